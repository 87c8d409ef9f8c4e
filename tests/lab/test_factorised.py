"""The energies that C35 measures, the arms of C34 to C36, and what is equal between them."""

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d

from resnetbook.experiments.timeline import asymmetric, factorisation_cost, residual_inception
from resnetbook.lab.data import load
from resnetbook.principle.counting import count


def composed(row, column):
    """The square kernel that a row (m, i, 1, n) and then a column (o, m, n, 1) amount to."""
    return torch.einsum("omar,mirb->oiab", column, row)


def test_a_row_and_a_column_with_m_channels_between_have_rank_m():
    torch.manual_seed(0)
    row, column = torch.randn(3, 4, 1, 7).double(), torch.randn(5, 3, 7, 1).double()
    square = composed(row, column)
    x = torch.randn(2, 4, 9, 9).double()
    apart = conv2d(conv2d(x, row, padding=(0, 3)), column, padding=(3, 0))
    assert torch.allclose(apart, conv2d(x, square, padding=3), atol=1e-10)
    assert asymmetric.reachable_energy(square, 3) == pytest.approx(1.0, abs=1e-12)
    assert asymmetric.reachable_energy(square, 2) < 0.99
    assert asymmetric.rank1_energy(square) < 0.99  # a pair of channels may have rank 3


def test_one_channel_reaches_rank_one_alone():
    row, column = torch.randn(1, 1, 1, 5).double(), torch.randn(1, 1, 5, 1).double()
    assert asymmetric.rank1_energy(composed(row, column)) == pytest.approx(1.0)
    assert asymmetric.rank1_energy(torch.eye(5)[None, None]) == pytest.approx(1 / 5)


def test_no_layer_of_a_row_and_a_column_is_nearer():
    """The bound is the least that gradient descent on the factors can come to."""
    torch.manual_seed(1)
    square = torch.randn(3, 2, 5, 5).double()
    row = torch.randn(2, 2, 1, 5).double().requires_grad_()
    column = torch.randn(3, 2, 5, 1).double().requires_grad_()
    optimiser = torch.optim.LBFGS([row, column], max_iter=400, line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        loss = (composed(row, column) - square).square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    left = float(closure().detach() / square.square().sum())
    assert left == pytest.approx(1 - asymmetric.reachable_energy(square, 2), rel=1e-3)


def test_a_grey_first_layer_loses_nothing():
    """With one channel in, 7 channels between reach every 7x7 layer."""
    torch.manual_seed(2)
    assert asymmetric.reachable_energy(torch.randn(12, 1, 7, 7), 7) == pytest.approx(1.0)


@pytest.mark.parametrize("n", [3, 5, 7])
def test_the_cost_falls_to_2_over_n(n):
    square, factored = (asymmetric.layer(8, 8, n, factored=each) for each in (False, True))
    counts = [count(module, (8, 17, 17)) for module in (square, factored)]
    assert counts[1].multiplications * n == counts[0].multiplications * 2
    assert [sum(isinstance(m, nn.Conv2d) for m in module.modules()) for module in (square, factored)] == [
        1,
        2,
    ]
    assert square(torch.randn(1, 8, 17, 17)).shape == factored(torch.randn(1, 8, 17, 17)).shape


@pytest.mark.parametrize("stride", [1, 2])
def test_the_arms_of_a_pair_differ_in_one_place(stride):
    settings = asymmetric.Settings("digits", size=16, stride=stride)
    data = load("digits", size=16)
    x = data.train.images[:2]
    for place in ("middle", "first"):
        square, factored = (
            asymmetric.network(settings, f"{kind}-{place}", data) for kind in ("square", "factored")
        )
        shapes = []
        for net in (square, factored):
            found = []
            for part in net:
                part.register_forward_hook(lambda module, args, out, found=found: found.append(out.shape))
            net(x)
            shapes.append(found)
        assert shapes[0] == shapes[1]
        changed = [i for i, (a, b) in enumerate(zip(square, factored, strict=True)) if type(a) is not type(b)]
        assert changed == ([1, 2] if place == "middle" else [0])


def test_times_are_taken_in_turn():
    calls = []
    found = factorisation_cost.seconds(["a", "b"], calls.append, repeats=3, on_gpu=False)
    assert calls == ["a", "b"] * 5
    assert len(found) == 2


def test_inception_arms_have_equal_parameters_and_twins_equal_weights():
    settings, data, nets = residual_inception.Settings(), load("digits"), {}
    for arm in residual_inception.arms(settings):
        torch.manual_seed(0)
        nets[arm] = residual_inception.network(settings, arm, data)
    counts = {arm: sum(p.numel() for p in net.parameters()) for arm, net in nets.items()}
    assert counts["plain"] == counts["residual-0.1"] == counts["residual-1"]
    assert counts["inception"] == pytest.approx(counts["plain"], rel=0.05)
    for a, b in zip(nets["plain"].parameters(), nets["residual-0.3"].parameters(), strict=True):
        assert torch.equal(a, b)
    scales = {m.scale for m in nets["residual-0.3"].modules() if hasattr(m, "scale")}
    assert scales == {0.3}
    assert nets["inception"](data.train.images[:2]).shape == (2, 10)


def test_trainings_that_cannot_learn_fail_and_some_diverge():
    settings = residual_inception.Settings(
        train_size=100, stable_rates=(1e-12, 1e6), stable_epochs=1, blocks=1, widths=(4, 8, 16)
    )
    data = load("digits", train_size=100)
    lost = residual_inception.shares_lost(settings, "plain", data, 0, "cpu")
    assert lost["failed_share"] == 1.0
    assert lost["diverged_share"] >= 0.5
