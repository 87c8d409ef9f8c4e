"""ST-ResNet: the counts of its formula, its branches one by one, and that it has no recurrence."""

import pytest
import torch
from torch import nn

from resnetbook.principle.gradient_flow import GradientFlow
from resnetbook.structure.network import STResNet

SIZE = (6, 5)


def past(lengths=(3, 1, 1), count=2):
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(count, 2 * length, *SIZE, generator=generator) * 2 - 1 for length in lengths if length]


@pytest.mark.parametrize(
    ("size", "lengths", "units", "external", "count"),
    [
        ((32, 32), (3, 1, 1), 12, 28, 2_697_192),
        ((32, 32), (3, 1, 1), 2, 28, 481_512),
        ((16, 8), (3, 4, 4), 4, 8, 906_272),
    ],
)
def test_counts(size, lengths, units, external, count):
    net = STResNet(size, lengths=lengths, units=units, external=external)
    assert sum(p.numel() for p in net.parameters()) == count
    cells = size[0] * size[1]
    formula = sum(2 * length * 576 + 64 + 73_856 * units + 1_154 for length in lengths)
    assert count == formula + 6 * cells + 10 * external + 10 + 22 * cells


def test_one_branch_alone():
    torch.manual_seed(0)
    net, x = STResNet(SIZE, units=1, width=8), past()
    alone = STResNet(SIZE, lengths=(3, 0, 0), units=1, width=8)
    with torch.no_grad():
        alone.branches[0].load_state_dict(net.branches[0].state_dict())
        for weight, value in zip(net.weights, (1, 0, 0), strict=True):
            weight.fill_(value)
    torch.testing.assert_close(net(x), alone(x[:1]))
    assert alone.weights[0].unique().tolist() == [1]


def test_each_cell_weighs_for_itself():
    torch.manual_seed(1)
    net, x = STResNet(SIZE, units=0, width=4), past()
    before = net.before_tanh(x)
    with torch.no_grad():
        net.weights[1][0, 2, 3] += 1
    change = net.before_tanh(x) - before
    assert change.nonzero().tolist() == [[n, 0, 2, 3] for n in range(2)]
    torch.testing.assert_close(change[:, 0, 2, 3], net.branches[1](x[1])[:, 0, 2, 3])


def test_external_numbers_shift_every_cell_and_tanh_bounds():
    torch.manual_seed(2)
    net = STResNet(SIZE, units=0, width=4, external=3)
    weather = torch.randn(2, 3)
    shift = net.before_tanh(past(), weather) - net.before_tanh(past(), torch.zeros(2, 3))
    wanted = net.external(weather) - net.external(torch.zeros(2, 3))
    torch.testing.assert_close(shift, wanted.reshape(2, 2, *SIZE))
    torch.testing.assert_close(
        torch.atanh(net(past(), weather)), net.before_tanh(past(), weather), rtol=1e-4, atol=1e-5
    )


def test_it_has_no_recurrent_part():
    """Erratum E12: nothing is handed from step to step; the order of steps is an order of channels."""
    net = STResNet(SIZE, units=1, width=4)
    assert not any(isinstance(m, nn.RNNBase | nn.RNNCellBase) for m in net.modules())
    x, order = past(), [4, 5, 2, 3, 0, 1]
    with torch.no_grad():
        moved = STResNet(SIZE, units=1, width=4)
        moved.load_state_dict(net.state_dict())
        moved.branches[0][0].weight.copy_(net.branches[0][0].weight[:, order])
        torch.testing.assert_close(moved([x[0][:, order], *x[1:]]), net(x))


def test_its_units_are_split():
    net = STResNet(SIZE, units=2, width=4)
    with GradientFlow(net) as flow:
        net(past()).square().sum().backward()
    assert len(flow.blocks) == 6


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: STResNet((0, 4)), "height=0"),
        (lambda: STResNet(SIZE, lengths=(0, 0, 0)), "not all 0"),
        (lambda: STResNet(SIZE, units=-1), "units=-1"),
        (lambda: STResNet(SIZE, units=0)(past()[:2]), "past: 2 tensors given, expected 3"),
        (
            lambda: STResNet(SIZE, units=0)([torch.zeros(1, 4, *SIZE), *past()[1:]]),
            r"expected \(N, 6, 6, 5\)",
        ),
        (lambda: STResNet(SIZE, units=0)(past(), torch.zeros(2, 3)), "external=a tensor"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("lengths", [(3, 1, 1), (3, 0, 1), (2, 0, 0)])
def test_the_branches_start_with_equal_weights_of_sum_one(lengths):
    weights = torch.stack(list(STResNet(SIZE, lengths=lengths, units=0).weights))
    torch.testing.assert_close(weights.sum(0), torch.ones(2, *SIZE))
    assert len(weights.unique()) == 1
