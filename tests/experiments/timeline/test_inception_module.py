"""The arms of the experiment on the Inception module cost what they say."""

import pytest
import torch
from torch import nn

from resnetbook.experiments.timeline import inception_module as module
from resnetbook.principle.counting import count
from resnetbook.timeline.googlenet import GoogLeNet, Inception

SCALES = module.EXPERIMENT.scales
ARMS = module.arms(SCALES["quick"])


class Few:
    """The shape of a set of colour images, and ten classes."""

    classes = tuple(range(10))

    def __init__(self, side: int) -> None:
        self.shape = (3, side, side)


@pytest.mark.parametrize(("scale", "side"), [("quick", 16), ("full", 32)])
def test_all_arms_cost_the_same(scale, side):
    found = {
        arm: count(module.network(SCALES[scale], arm, Few(side)), (3, side, side)).multiplications
        for arm in ARMS
    }
    assert all(abs(value / found["inception"] - 1) < 0.01 for value in found.values()), found


@pytest.mark.parametrize("arm", ARMS)
def test_the_cost_of_a_block_is_what_counting_finds(arm):
    table = {"inception": (3, 4, 5, 2, 6, 7), "wide": (5, 9)}.get(arm, 9)
    block, channels = module.block(arm, 8, table)
    found = count(block, (8, 5, 5))
    assert found.multiplications == 25 * module.cost(arm, 8, table)
    assert block(torch.zeros(2, 8, 5, 5)).shape == (2, channels, 5, 5)


def test_the_modules_are_googlenets_own():
    with torch.device("meta"):
        net = GoogLeNet()
    names = ("inception3a", "inception3b", "inception4a", "inception4b")
    tables = [table for half in module.MODULES for table in half]
    for name, (c1, r3, c3, r5, c5, cp) in zip(names, tables, strict=True):
        convs = [m for m in net.get_submodule(name).modules() if isinstance(m, nn.Conv2d)]
        assert [conv.out_channels for conv in convs] == [c1, r3, c3, r5, c5, cp]
    found = module.network(SCALES["quick"], "inception", Few(16))
    assert sum(isinstance(part, Inception) for part in found) == 4


def test_arms_differ_in_their_blocks_alone():
    nets = []
    for arm in ARMS:
        torch.manual_seed(0)
        nets.append(module.network(SCALES["quick"], arm, Few(16)))
    for net in nets[1:]:
        assert [name for name, _ in net.named_children()] == [name for name, _ in nets[0].named_children()]
        assert torch.equal(net.entry.conv.weight, nets[0].entry.conv.weight)
    assert [net.fc.in_features for net in nets] == [64, 26, 37, 64]


@pytest.mark.parametrize("scale", ["quick", "full"])
def test_one_arm_is_as_wide_as_the_modules_in_every_block(scale):
    side = 16
    outs = []
    for arm in ("inception", "wide"):
        net, seen = module.network(SCALES[scale], arm, Few(side)).eval(), []
        for name, part in net.named_children():
            if name[:-1] in ("first", "second"):
                part.register_forward_hook(lambda *call, seen=seen: seen.append(tuple(call[2].shape)))
        net(torch.zeros(1, 3, side, side))
        outs.append(seen)
    assert outs[0] == outs[1]
    assert len(outs[0]) == 4
