"""The 6n + 2 layer networks: counts of the paper, stages, equal initial weights, the difference made by the sum."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from resnetbook.principle.block import BasicBlock
from resnetbook.principle.twins import TwinNet, blocks_per_stage, twins


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def on_meta(depth: int, **changes: object) -> TwinNet:
    with torch.device("meta"):
        return TwinNet(depth, **changes)  # type: ignore[arg-type]


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 30))
def test_closed_form_of_the_paper(n: int) -> None:
    for residual in (True, False):
        assert parameters(on_meta(6 * n + 2, in_channels=3, residual=residual)) == 97_216 * n - 21_926


@pytest.mark.parametrize(("depth", "count"), [(20, 269_722), (32, 464_154), (56, 853_018), (110, 1_727_962)])
def test_counts_of_the_paper(depth: int, count: int) -> None:
    assert parameters(on_meta(depth, in_channels=3)) == count
    assert parameters(on_meta(depth, in_channels=3, shortcut="B")) == count + 2_752


def test_layers_with_weights_are_the_depth() -> None:
    net = on_meta(32)
    assert sum(isinstance(m, nn.Conv2d | nn.Linear) for m in net.modules()) == 32
    assert [name for name, _ in net.blocks] == [f"layer{s}.{i}" for s in (1, 2, 3) for i in range(5)]
    assert all(isinstance(block, BasicBlock) for _, block in net.blocks)


@pytest.mark.parametrize("size", [4, 8, 9, 28])
def test_sizes_of_the_stages(size: int) -> None:
    sizes: list[tuple[int, ...]] = []
    net = TwinNet(14, in_channels=2, num_classes=5, widths=(3, 5, 7))
    for stage in (net.layer1, net.layer2, net.layer3):
        stage.register_forward_hook(lambda module, args, out: sizes.append(tuple(out.shape[1:])))
    assert net(torch.randn(2, 2, size, size)).shape == (2, 5)
    half, quarter = math.ceil(size / 2), math.ceil(size / 4)
    assert sizes == [(3, size, size), (5, half, half), (7, quarter, quarter)]


@pytest.mark.parametrize("changes", [{}, {"norm": False}, {"bias": True, "norm": False}, {"shortcut": "B"}])
def test_twins_start_from_the_same_weights(changes: dict[str, object]) -> None:
    torch.manual_seed(7)
    plain, residual = twins(14, **changes)
    other = residual.state_dict()
    assert all(torch.equal(value, other[name]) for name, value in plain.state_dict().items())
    assert set(other) - set(plain.state_dict()) == {n for n in other if "downsample" in n}
    assert parameters(plain) == parameters(residual) - (2_752 if changes.get("shortcut") == "B" else 0)
    torch.manual_seed(7)
    again, _ = twins(14, **changes)
    assert all(torch.equal(p, q) for p, q in zip(plain.parameters(), again.parameters(), strict=True))


def test_they_differ_in_the_sum_alone() -> None:
    plain, residual = twins(14)
    x = torch.randn(4, 1, 8, 8)
    assert not torch.allclose(plain(x), residual(x))
    for _, block in residual.blocks:
        block.residual = False
    assert torch.equal(plain(x), residual(x))


def test_initial_weights_are_he_s() -> None:
    torch.manual_seed(0)
    for name, module in TwinNet(20, widths=(32, 64, 128)).named_modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 9_000:
            expected = math.sqrt(2 / module.weight[0].numel())
            assert module.weight.std().item() == pytest.approx(expected, rel=0.05), name
            assert abs(module.weight.mean().item()) < 0.05 * expected, name


def test_norm_and_bias_switches() -> None:
    bare = TwinNet(8, norm=False)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in bare.modules())
    assert [n for n, _ in bare.named_parameters() if n.endswith("bias")] == ["fc.bias"]
    biased = TwinNet(8, norm=False, bias=True)
    assert sum(n.endswith("bias") for n, _ in biased.named_parameters()) == 8


@pytest.mark.parametrize(
    ("depth", "message"),
    [
        (True, "8"),
        (13, "8 and 14"),
        (21, "20 and 26"),
        (55, "50 and 56"),
        (9, "8 and 14"),
        (2, "8"),
        (-4, "8"),
        (20.0, "8"),
    ],
)
def test_other_depths_are_refused_with_the_nearest(depth: int, message: str) -> None:
    with pytest.raises(ValueError, match=rf"depth={depth}.*{message}"):
        blocks_per_stage(depth)


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="widths"):
        TwinNet(8, widths=(16, 32))
    for classes in (0, -1, 2.0, "10"):
        with pytest.raises(ValueError, match=f"num_classes={classes!r}: expected an integer of 1 or more"):
            TwinNet(8, num_classes=classes)  # type: ignore[arg-type]
    assert TwinNet(8, num_classes=1)(torch.zeros(2, 1, 4, 4)).shape == (2, 1)
    with pytest.raises(ValueError, match="residual=True"):
        twins(8, residual=True)
    with pytest.raises(ValueError, match=r"\(2, 3, 8, 8\).*\(N, 1, H, W\)"):
        TwinNet(8)(torch.zeros(2, 3, 8, 8))
    for shape in ((2, 1, 3, 8), (2, 1, 8, 3), (1, 8, 8), (2, 1, 8)):
        with pytest.raises(ValueError, match="4 or more"):
            TwinNet(8)(torch.zeros(shape))


def test_what_is_built_when_nothing_is_said() -> None:
    net = on_meta(8)
    assert (net.conv1.in_channels, net.fc.out_features) == (1, 10)
    assert [stage[0].conv2.out_channels for stage in (net.layer1, net.layer2, net.layer3)] == [16, 32, 64]  # type: ignore[union-attr, index]
    assert all(block.residual for _, block in net.blocks)
    assert parameters(net) == parameters(
        on_meta(8, num_classes=10, in_channels=1, shortcut="A", residual=True, norm=True, bias=False)
    )
