"""Counts against closed forms, against PyTorch's own counter, and by hand."""

import pytest
import torch
import torchvision
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from resnetbook.principle.block import BasicBlock
from resnetbook.principle.counting import closed_form, count, memory_of_identity, saved_for_backward
from resnetbook.principle.twins import TwinNet, twins


@pytest.mark.parametrize("depth", [8, 20, 56])
def test_closed_form_equals_the_count(depth: int) -> None:
    for net in twins(depth, in_channels=3):
        counts = count(net, (3, 32, 32))
        assert (counts.parameters, counts.multiplications) == closed_form(depth)


def test_claim_c05() -> None:
    plain, residual = (count(net, (3, 32, 32)) for net in twins(20, in_channels=3))
    assert plain.parameters == residual.parameters == 269_722
    assert plain.multiplications == residual.multiplications == 40_551_040
    assert (plain.additions_shortcut, residual.additions_shortcut) == (
        0,
        3 * (16 * 32**2 + 32 * 16**2 + 64 * 8**2),
    )
    assert residual.additions_shortcut == 86_016
    projected = count(TwinNet(20, in_channels=3, shortcut="B"), (3, 32, 32))
    assert projected.parameters - residual.parameters == 2_752
    assert projected.multiplications - residual.multiplications == 262_144


@pytest.mark.parametrize("name", ["resnet18", "resnext50_32x4d"])  # the second has grouped convolutions
def test_multiplications_equal_pytorch_s_counter(name: str) -> None:
    model = torchvision.models.get_model(name, weights=None).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 3, 64, 64))
    assert count(model, (3, 64, 64)).multiplications == counter.get_total_flops() // 2


def test_activations_and_additions_by_hand() -> None:
    counts = count(BasicBlock(4, 8, stride=2), (4, 6, 6))
    assert counts.activations == 3 * 8 * 3 * 3  # conv1, conv2, projection
    assert counts.additions_shortcut == 8 * 3 * 3
    assert counts.multiplications == 72 * (36 + 72 + 4)


def test_counting_leaves_no_trace() -> None:
    net = TwinNet(8)
    net.layer2.eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    modes = [m.training for m in net.modules()]
    count(net, (1, 8, 8))
    memory_of_identity(net, (1, 8, 8))
    assert modes == [m.training for m in net.modules()]
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


def test_memory() -> None:
    plain, residual = twins(8, in_channels=3)
    assert memory_of_identity(plain, (3, 32, 32)) == 0
    assert memory_of_identity(residual, (3, 32, 32)) == 16 * 32 * 32 * 4
    assert memory_of_identity(residual.half(), (3, 32, 32)) == 16 * 32 * 32 * 2


def test_the_sum_keeps_nothing_more_for_training() -> None:
    x = torch.randn(2, 3, 16, 16)
    plain, residual = twins(14, in_channels=3)
    assert saved_for_backward(plain, x) == saved_for_backward(residual, x) > 0
    linear = nn.Linear(10, 5)
    assert saved_for_backward(linear, torch.randn(7, 10)) == 7 * 10 * 4  # its input, for the weight gradient


def test_bad_shapes_are_named() -> None:
    with pytest.raises(ValueError, match=r"input_shape=\(3, 0, 8\)"):
        count(TwinNet(8), (3, 0, 8))
    with pytest.raises(ValueError, match="depth=12"):
        closed_form(12)
