from itertools import combinations
from math import comb

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from resnetbook.principle.paths import (
    expected_energies,
    gradient_by_path_length,
    lesion,
    lesion_study,
    path_sum,
    product,
    single_path_gradients,
)
from resnetbook.principle.signal import VectorStack
from resnetbook.principle.twins import TwinNet, twins

SMALL = {"widths": (4, 6, 8)}


def close(a: torch.Tensor, b: torch.Tensor, bound: float = 1e-10) -> bool:
    return bool((a - b).norm() <= bound * max(1.0, b.norm().item()))


@given(blocks=st.integers(1, 8), size=st.integers(1, 6), seed=st.integers(0, 100))
@settings(max_examples=25, deadline=None)
def test_the_product_is_the_sum_over_all_paths(blocks: int, size: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    matrices = [torch.randn(size, size, generator=generator, dtype=torch.float64) for _ in range(blocks)]
    by_length = path_sum(matrices)
    assert len(by_length) == blocks + 1
    assert torch.equal(by_length[0], torch.eye(size, dtype=torch.float64))
    assert close(by_length[1], torch.stack(matrices).sum(0))
    assert close(torch.stack(by_length).sum(0), product(matrices))


def net_and_batch(depth: int = 20, norm: bool = True, shortcut: str = "A"):
    torch.manual_seed(1)
    net = TwinNet(depth, norm=norm, shortcut=shortcut, **SMALL).double().eval()
    return net, torch.randn(6, 1, 8, 8, dtype=torch.float64), torch.arange(6)


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_the_parts_add_up_to_the_gradient(norm: bool, shortcut: str) -> None:
    net, x, y = net_and_batch(norm=norm, shortcut=shortcut)
    split = gradient_by_path_length(net, x, y)
    inputs = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(functional.cross_entropy(net(inputs), y), inputs)
    assert split.parts.shape == (10, *x.shape)
    assert split.counts == [comb(9, k) for k in range(10)]
    assert close(split.total, expected)
    assert close(split.parts.sum(0), expected)
    assert split.shares.sum().item() == pytest.approx(1.0, abs=1e-10)
    assert split.shares[2].item() == pytest.approx(
        ((split.parts[2] * expected).sum() / (expected * expected).sum()).item()
    )
    assert split.norms[3].item() == pytest.approx(split.parts[3].norm().item())


def test_part_k_is_the_sum_of_the_single_paths_of_length_k() -> None:
    net, x, y = net_and_batch(14)
    names = [name for name, _ in net.blocks]
    split = gradient_by_path_length(net, x, y)
    for k in range(len(names) + 1):
        assert close(single_path_gradients(net, x, y, combinations(names, k)).sum(0), split.parts[k])


def test_lengths_zero_and_all_in_a_linear_network() -> None:
    # Blocks x + A x with quadratic loss: everything is known in closed form.
    torch.manual_seed(0)

    class Linear(nn.Module):
        def __init__(self, matrix: torch.Tensor) -> None:
            super().__init__()
            self.matrix = matrix

        def branch(self, x):
            return x @ self.matrix.T

        def identity(self, x):
            return x

        def forward(self, x):
            return self.branch(x) + self.identity(x)

    matrices = [torch.randn(5, 5, dtype=torch.float64) for _ in range(4)]
    net = nn.Sequential(*(Linear(m) for m in matrices))
    x, head = torch.randn(3, 5, dtype=torch.float64), torch.randn(3, 5, dtype=torch.float64)
    split = gradient_by_path_length(net, x, head, loss=lambda out, target: (out * target).sum())
    for part, matrix in zip(split.parts, path_sum(matrices), strict=True):
        assert close(part, head @ matrix)
    assert torch.equal(split.parts[0], head)  # the pure identity path hands the gradient on untouched


def test_relu_after_the_sum_stops_part_of_the_identity_path() -> None:
    torch.manual_seed(0)
    x, head = torch.rand(8, 50, dtype=torch.float64), torch.randn(8, 50, dtype=torch.float64)

    def loss(out, target):
        return (out * target).sum()

    clean = gradient_by_path_length(VectorStack(6, 50).double(), x, head, loss=loss)
    clipped = gradient_by_path_length(VectorStack(6, 50, after=True).double(), x, head, loss=loss)
    assert torch.equal(clean.parts[0], head)
    assert 0 < clipped.norms[0] < 0.8 * head.norm()
    passed = clipped.parts[0] != 0
    assert torch.equal(clipped.parts[0][passed], head[passed])


@pytest.mark.parametrize("scale", [1.0, 0.3])
def test_expected_energies_against_drawn_networks(scale: float) -> None:
    depth, width, drawn = 8, 300, []
    for seed in range(10):
        torch.manual_seed(seed)
        stack, x, head = (
            VectorStack(depth, width, scale=scale),
            torch.randn(32, width),
            torch.randn(32, width),
        )
        split = gradient_by_path_length(stack, x, head, loss=lambda out, target: (out * target).sum())
        drawn.append(split.norms.double().square() / head.double().square().sum())
    expected = expected_energies([scale**2] * depth)
    assert expected.sum().item() == pytest.approx((1 + scale**2) ** depth)
    mean = torch.stack(drawn).mean(0)
    assert ((mean - expected).abs() < 0.12 * expected + 0.001 * expected.sum()).all()


def test_expected_energies_by_hand() -> None:
    assert expected_energies([2.0, 3.0]).tolist() == [1.0, 5.0, 6.0]
    assert expected_energies([1.0] * 5).tolist() == [comb(5, k) for k in range(6)]
    with pytest.raises(ValueError, match="gains"):
        expected_energies([-1.0])


def test_nothing_remains_after_a_look() -> None:
    net, x, y = net_and_batch(8)
    net.train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    gradient_by_path_length(net, x, y)
    with pytest.raises(ValueError, match="no-such"):
        single_path_gradients(net, x, y, [["no-such"]])
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert all("branch" not in block.__dict__ and "identity" not in block.__dict__ for _, block in net.blocks)
    assert not any(module._forward_hooks for module in net.modules())
    assert all(parameter.grad is None for parameter in net.parameters())


def test_plain_networks_and_foreign_blocks_are_refused() -> None:
    plain, _ = twins(8, **SMALL)
    with pytest.raises(ValueError, match=r"layer1\.0.*plain"):
        gradient_by_path_length(plain, torch.randn(2, 1, 8, 8), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="branch and identity"):
        gradient_by_path_length(nn.Sequential(nn.Linear(2, 2)), torch.randn(2, 2), torch.tensor([0, 1]))
    broken = VectorStack(2, 4)
    broken.insert(1, nn.ReLU())
    broken.__class__ = type("Gap", (VectorStack,), {"blocks": property(lambda s: [("0", s[0]), ("2", s[2])])})
    with pytest.raises(ValueError, match="does not feed"):
        gradient_by_path_length(broken, torch.randn(2, 4), torch.tensor([0, 1]))


def test_deleting_a_block_with_a_zero_branch_changes_nothing() -> None:
    net, x, _ = net_and_batch()
    nn.init.zeros_(net.layer2[1].bn2.weight)
    nn.init.zeros_(net.layer2[1].bn2.bias)
    with torch.no_grad():
        whole = net(x)
        with lesion(net, "layer2.1"):
            assert torch.equal(net(x), whole)
        with lesion(net, "layer2.2"):
            assert not torch.allclose(net(x), whole)
        assert torch.equal(net(x), whole)


def test_with_every_block_deleted_only_stem_and_shortcuts_remain() -> None:
    net, x, _ = net_and_batch(14)
    with torch.no_grad(), lesion(net, [name for name, _ in net.blocks]):
        out = torch.relu(net.bn1(net.conv1(x)))
        out = functional.pad(out[:, :, ::4, ::4], (0, 0, 0, 0, 0, 4))
        assert close(net(x), net.fc(out.mean((2, 3))))


def test_a_plain_block_is_taken_out_with_its_convolutions() -> None:
    torch.manual_seed(2)
    plain, _ = twins(14, **SMALL)
    x = torch.randn(4, 1, 9, 9)
    before = {name: value.clone() for name, value in plain.state_dict().items()}
    with torch.no_grad(), lesion(plain.train(), "layer2.0"):
        hidden = plain.layer1(plain.relu(plain.bn1(plain.conv1(x))))
        assert torch.equal(
            plain.layer2[0](hidden), functional.pad(hidden[:, :, ::2, ::2], (0, 0, 0, 0, 0, 2))
        )
        assert torch.equal(plain.layer2[0].bn1.running_mean, before["layer2.0.bn1.running_mean"])


def test_lesions_are_undone_after_an_error_and_nest() -> None:
    net, x, _ = net_and_batch()
    whole = net(x)
    with lesion(net, ["layer1.1", "layer1.2"]):
        both = net(x)
        with lesion(net, "layer1.1"):
            assert torch.equal(net(x), both)
        assert torch.equal(net(x), both)
    with pytest.raises(RuntimeError, match="stop"), lesion(net, ["layer1.1", "layer1.2"]):
        raise RuntimeError("stop")
    assert torch.equal(net(x), whole)
    with lesion(net, "layer1.1"), lesion(net, "layer1.2"):
        assert torch.equal(net(x), both)
    with pytest.raises(ValueError, match=r"layer9.*layer1\.0.*layer3\.2"), lesion(net, "layer9"):
        pass


def test_lesion_study_visits_each_block_once() -> None:
    net, x, _ = net_and_batch()
    nn.init.zeros_(net.layer3[2].bn2.weight)
    nn.init.zeros_(net.layer3[2].bn2.bias)
    whole = net(x)
    study = lesion_study(net, lambda model: (model(x) - whole).norm().item())
    assert list(study) == [name for name, _ in net.blocks]
    assert study["layer3.2"] == 0.0
    assert min(value for name, value in study.items() if name != "layer3.2") > 0.0


def test_a_plain_block_on_oblong_maps_is_taken_out_too() -> None:
    plain, _ = twins(8, **SMALL)
    for height, width in ((16, 8), (8, 16), (4, 9)):
        hidden = torch.rand(2, 4, height, width)
        with torch.no_grad(), lesion(plain, "layer2.0"):
            expected = functional.pad(hidden[:, :, ::2, ::2], (0, 0, 0, 0, 0, 2))
            assert torch.equal(plain.layer2[0](hidden), expected)


@pytest.mark.parametrize("shapes", [[], [(2, 3)], [(3, 2)], [(2, 2), (3, 3)], [(2,)], [(2, 2, 2)]])
def test_matrices_are_square_and_of_one_size(shapes: list[tuple[int, ...]]) -> None:
    matrices = [torch.zeros(shape) for shape in shapes]
    for function in (product, path_sum):
        with pytest.raises(ValueError, match=r"matrices has shapes .*: expected one or more of one \(n, n\)"):
            function(matrices)


class Constant(nn.Module):
    """x + c: a branch that does not look at x."""

    def __init__(self) -> None:
        super().__init__()
        self.c = nn.Parameter(torch.ones(3))

    def branch(self, x: torch.Tensor) -> torch.Tensor:
        return self.c.expand_as(x)

    def identity(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.branch(x) + self.identity(x)


def test_a_branch_that_does_not_look_at_its_input_carries_nothing() -> None:
    net, x = nn.Sequential(Constant(), Constant()), torch.randn(2, 3)
    split = gradient_by_path_length(net, x, x, loss=lambda out, target: (out * target).sum())
    assert split.norms.tolist() == [x.norm().item(), 0.0, 0.0]
    assert (
        single_path_gradients(net, x, x, [["0"], []], loss=lambda out, y: (out * y).sum()).norm(dim=(1, 2))[0]
        == 0
    )
