"""Asymmetric factorisation: rank, exactness and cost."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from resnetbook.structure.convolution import AsymmetricConv2d, separate


def test_one_channel_is_an_outer_product():
    torch.manual_seed(0)
    layer = AsymmetricConv2d(1, 1, 5, relu=False, bias=False).double()
    kernel = layer.column.weight[0, 0] @ layer.row.weight[0, 0]
    assert torch.linalg.matrix_rank(kernel) == 1
    x = torch.randn(2, 1, 8, 9, dtype=torch.float64)
    torch.testing.assert_close(layer(x), functional.conv2d(x, kernel[None, None], padding=2))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([3, 5, 7]))
def test_any_kernel_is_a_sum_of_n_pairs(seed, n):
    kernel = torch.randn(n, n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    columns, rows = separate(kernel, n)
    torch.testing.assert_close(columns.T @ rows, kernel)
    # With n channels between the two layers, they are that kernel.
    layer = AsymmetricConv2d(1, 1, n, mid_channels=n, relu=False, bias=False).double()
    with torch.no_grad():
        layer.row.weight.copy_(rows[:, None, None, :])
        layer.column.weight.copy_(columns[None, :, :, None])
        x = torch.randn(1, 1, 9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(seed + 1))
        torch.testing.assert_close(layer(x), functional.conv2d(x, kernel[None, None], padding=n // 2))


@pytest.mark.parametrize("pairs", [1, 2])
def test_fewer_pairs_leave_the_singular_values_that_are_cut(pairs):
    kernel = torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    columns, rows = separate(kernel, pairs)
    left = torch.linalg.svdvals(kernel)[pairs:].square().sum().sqrt()
    torch.testing.assert_close(torch.linalg.norm(columns.T @ rows - kernel), left)


@pytest.mark.parametrize(("n", "saved"), [(3, 1 / 3), (7, 5 / 7)])
def test_weights(n, saved):
    layer = AsymmetricConv2d(16, 16, n, bias=False)
    assert sum(p.numel() for p in layer.parameters()) == 2 * n * 256
    assert 1 - 2 / n == pytest.approx(saved)
    narrow = AsymmetricConv2d(16, 32, n, mid_channels=8, bias=False)
    assert sum(p.numel() for p in narrow.parameters()) == n * 16 * 8 + n * 8 * 32


def test_training_finds_a_kernel_of_rank_one_and_not_of_rank_two():
    torch.manual_seed(0)
    targets = {
        1: torch.outer(torch.tensor([1.0, 2, 1]), torch.tensor([1.0, 0, -1])),
        2: torch.eye(3) - torch.ones(3, 3) / 3,
    }
    left = {}
    for rank, kernel in targets.items():
        layer = AsymmetricConv2d(1, 1, 3, relu=False, bias=False)
        optimiser = torch.optim.LBFGS(layer.parameters(), max_iter=200, line_search_fn="strong_wolfe")
        goal = kernel / kernel.norm()

        def closure(layer=layer, goal=goal, optimiser=optimiser):
            optimiser.zero_grad()
            loss = (layer.column.weight[0, 0] @ layer.row.weight[0, 0] - goal).square().sum()
            loss.backward()
            return loss

        optimiser.step(closure)
        left[rank] = closure().item()
    assert left[1] < 1e-8
    # Two equal singular values: the best pair leaves one half.
    assert left[2] == pytest.approx(0.5, abs=1e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: AsymmetricConv2d(1, 1, 4), "kernel_size=4"),
        (lambda: AsymmetricConv2d(0, 1), "in_channels=0"),
        (lambda: AsymmetricConv2d(2, 1)(torch.zeros(1, 1, 4, 4)), r"expected \(N, 2, H, W\)"),
        (lambda: separate(torch.zeros(3), 1), "kernel of shape"),
        (lambda: separate(torch.zeros(3, 5), 4), "pairs=4: expected at most 3"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
