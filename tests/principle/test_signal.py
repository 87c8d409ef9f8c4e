import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from resnetbook.principle.signal import VectorBlock, VectorStack, named_blocks, propagate
from resnetbook.principle.twins import TwinNet

WIDTH, BATCH = 400, 256


def mean_squares(depth: int, *, seed: int = 0, **options) -> torch.Tensor:
    torch.manual_seed(seed)
    rows = propagate(VectorStack(depth, WIDTH, **options).train(), torch.randn(BATCH, WIDTH))
    return torch.tensor([row.mean_square for row in rows])


def test_an_unnormalised_residual_stack_doubles_a_block() -> None:
    runs = torch.stack([mean_squares(12, seed=seed) for seed in range(8)])
    factor = (runs[:, 1:] / runs[:, :-1]).log2().mean()
    assert factor.item() == pytest.approx(1.0, abs=0.03)
    # ... so the norm grows by sqrt(2) a block.
    assert (runs[:, -1] / runs[:, 0]).sqrt().log().mean().item() == pytest.approx(
        12 * math.log(2**0.5), rel=0.03
    )


@pytest.mark.parametrize("scale", [0.1, 0.5])
def test_a_scaled_branch_grows_by_one_plus_its_square(scale: float) -> None:
    runs = torch.stack([mean_squares(10, seed=seed, scale=scale) for seed in range(6)])
    assert (runs[:, -1] / runs[:, 0]).log().mean().item() == pytest.approx(
        10 * math.log1p(scale**2), rel=0.05
    )


def test_a_normalised_branch_adds_one_a_block() -> None:
    runs = torch.stack([mean_squares(16, seed=seed, norm=True) for seed in range(6)])
    expected = 1.0 + torch.arange(17)
    assert ((runs.mean(0) - expected).abs() < 0.1 * expected).all()


def test_the_variance_over_the_batch_grows_by_one_minus_one_over_pi() -> None:
    slopes = []
    for seed in range(6):
        torch.manual_seed(seed)
        out = VectorStack(16, WIDTH, norm=True).train()(torch.randn(BATCH, WIDTH))
        slopes.append((out.var(dim=0).mean().item() - 1) / 16)
    assert sum(slopes) / 6 == pytest.approx(1 - 1 / math.pi, rel=0.05)


def test_plain_he_weights_keep_the_mean_square() -> None:
    runs = torch.stack([mean_squares(12, seed=seed, residual=False) for seed in range(10)])
    assert (runs[:, -1] / runs[:, 0]).log().mean().abs().item() < 0.25


@given(depth=st.integers(1, 6), width=st.integers(2, 20), norm=st.booleans())
@settings(max_examples=20, deadline=None)
def test_a_zero_branch_keeps_the_variance_exactly(depth: int, width: int, norm: bool) -> None:
    stack = VectorStack(depth, width, norm=norm, scale=0.0)
    rows = propagate(stack, torch.randn(16, width))
    assert {(row.mean, row.variance) for row in rows} == {(rows[0].mean, rows[0].variance)}


def test_the_gradient_grows_by_sqrt_two_too() -> None:
    logs = []
    for seed in range(8):
        torch.manual_seed(seed)
        x = torch.randn(64, WIDTH, requires_grad=True)
        out = VectorStack(12, WIDTH)(x)
        (gradient,) = torch.autograd.grad(out, x, seeds := torch.randn_like(out))
        logs.append((gradient.norm() / seeds.norm()).log())
    assert torch.stack(logs).mean().item() == pytest.approx(12 * math.log(2**0.5), rel=0.05)


def test_statistics_are_those_of_the_tensors_and_nothing_remains() -> None:
    torch.manual_seed(0)
    net, x = TwinNet(8, widths=(4, 8, 16)), torch.randn(8, 1, 8, 8)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    rows = propagate(net.train(), x)
    assert [row.layer for row in rows] == ["input", "layer1.0", "layer2.0", "layer3.0"]
    out = net.relu(net.bn1(net.conv1(x)))
    assert rows[0].mean == pytest.approx(out.mean().item(), rel=1e-5)
    out = net.layer1(out)
    assert rows[1].variance == pytest.approx(out.var(correction=0).item(), rel=1e-5)
    net2 = TwinNet(8, widths=(4, 8, 16))
    net2.load_state_dict(before)
    propagate(net2.train(), x)
    assert all(torch.equal(before[name], value) for name, value in net2.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


def test_a_list_of_blocks_is_run_in_order() -> None:
    rows = propagate([nn.Identity(), nn.Tanh()], torch.full((4, 3), 2.0))
    assert [row.mean for row in rows] == pytest.approx([2.0, 2.0, math.tanh(2.0)])
    assert [row.variance for row in rows] == pytest.approx([0.0, 0.0, 0.0])


def test_order_after_is_he_s_first_one() -> None:
    torch.manual_seed(0)
    block, x = VectorBlock(8, after=True), torch.randn(4, 8)
    assert torch.equal(block(x), torch.relu(x @ block.linear.weight.T + x))


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="depth=0"):
        VectorStack(0, 3)
    with pytest.raises(ValueError, match="Linear without `blocks`"):
        named_blocks(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="no block"):
        propagate([], torch.zeros(1))

    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Identity(), nn.Identity()
            self.blocks = [("a", self.a), ("b", self.b)]

        def forward(self, x):
            return self.a(x)

    with pytest.raises(ValueError, match="did not run: b"):
        propagate(Half(), torch.zeros(2, 2))
