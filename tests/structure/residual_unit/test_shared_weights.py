"""Shared weights: the author's counts, one parameter in several places, and the sum of its gradients."""

import copy

import pytest
import torch
from torch import nn

from resnetbook.structure.residual_unit import (
    PreActivationUnit,
    SharedWeightsUnit,
    make_units,
    share,
    share_weights,
)
from resnetbook.timeline import create_model
from resnetbook.timeline.resnet_v2 import PreActResNet


def count(net):
    return sum(p.numel() for p in net.parameters())


def stages(net):
    return [getattr(net, f"layer{i}") for i in range(1, 5) if hasattr(net, f"layer{i}")]


@pytest.mark.parametrize(
    ("name", "first_own", "before", "after"),
    [
        ("preact_resnet164", True, 1_703_258, 929_114),
        ("wrn40_4", True, 8_949_210, 5_852_634),
        ("resnet34", False, 21_797_672, 13_613_864),
        ("resnet50", False, 25_557_032, 20_469_800),
    ],
)
def test_the_authors_counts(name, first_own, before, after):
    with torch.device("meta"):
        net = create_model(name)
    assert count(net) == before
    share_weights(stages(net), first_own=first_own)
    assert count(net) == after


def test_shared_copies_answer_as_equal_ones_and_their_gradients_are_summed():
    torch.manual_seed(0)
    shared = PreActResNet(20, widths=(4, 8, 16)).double()
    share_weights(stages(shared), first_own=True)
    untied = copy.deepcopy(shared)
    for stage in stages(untied):
        for unit in stage:
            unit.conv2.weight = nn.Parameter(unit.conv2.weight.detach().clone())
    assert count(untied) > count(shared)
    x = torch.randn(4, 3, 8, 8, dtype=torch.float64)
    for net in (shared, untied):
        net(x).square().sum().backward()
    torch.testing.assert_close(shared(x), untied(x))
    for tied, free in zip(stages(shared), stages(untied), strict=True):
        assert tied[1].conv2.weight is tied[2].conv2.weight
        assert tied[0].conv2.weight is not tied[1].conv2.weight
        summed = sum(unit.conv2.weight.grad for unit in list(free)[1:])
        torch.testing.assert_close(tied[1].conv2.weight.grad, summed)


def test_two_units_a_stage_share_nothing_by_the_authors_rule_for_small_images():
    net = PreActResNet(14)
    before = count(net)
    share_weights(stages(net), first_own=True)
    assert count(net) == before


def test_a_step_moves_all_places_together_and_weights_can_be_loaded():
    torch.manual_seed(1)
    units = make_units("shared-weights", 4, 4)
    assert units[0].conv2.weight is not units[1].conv2.weight
    units(torch.randn(2, 4, 6, 6)).square().sum().backward()
    torch.optim.SGD(units.parameters(), 0.1).step()
    assert torch.equal(units[1].conv2.weight, units[3].conv2.weight)
    assert not torch.equal(units[0].conv2.weight, units[1].conv2.weight)
    other = make_units("shared-weights", 4, 4)
    other.load_state_dict(units.state_dict())
    x = torch.randn(1, 4, 5, 5)
    assert torch.equal(other.eval()(x), units.eval()(x))


def test_alone_it_is_the_pre_activation_unit():
    torch.manual_seed(2)
    unit, plain = SharedWeightsUnit(4), PreActivationUnit(4)
    for name, place in (("bn1", 0), ("conv1", 2), ("bn2", 3), ("conv2", 5)):
        plain.layers[place].load_state_dict(getattr(unit, name).state_dict())
    x = torch.randn(2, 4, 6, 6)
    torch.testing.assert_close(unit(x), plain(x))


def test_a_unit_takes_another_ones_convolution():
    first = SharedWeightsUnit(4)
    second = SharedWeightsUnit(4, shared=first.conv2)
    assert second.conv2 is first.conv2
    with pytest.raises(ValueError, match=r"expected \(8, 8, 3, 3\)"):
        SharedWeightsUnit(8, shared=first.conv2)


def test_what_cannot_be_shared_is_refused():
    with pytest.raises(ValueError, match="weights of the shapes"):
        share([nn.Conv2d(2, 2, 3), nn.Conv2d(2, 2, 1)])
    with pytest.raises(ValueError, match="Conv2d has no convolution conv2"):
        share_weights([[nn.Conv2d(1, 1, 1)]], first_own=False)
