"""Pre-activation unit: equal to the one of section 3, and the order of its layers changes no count."""

import torch

from resnetbook.principle.block import BasicBlock
from resnetbook.structure.residual_unit import PreActivationUnit
from resnetbook.timeline.resnet_v2 import PreActBlock


def test_equals_the_block_of_resnet_v2():
    torch.manual_seed(0)
    unit, block = PreActivationUnit(4), PreActBlock(4, 4)
    names = {"layers.0": "bn1", "layers.2": "conv1", "layers.3": "bn2", "layers.5": "conv2"}
    state = {
        f"{names[key.rsplit('.', 1)[0]]}.{key.rsplit('.', 1)[1]}": value
        for key, value in unit.state_dict().items()
    }
    block.load_state_dict(state)
    x = torch.randn(2, 4, 6, 6)
    torch.testing.assert_close(unit(x), block(x))


def test_order_changes_neither_depth_nor_width():
    """Erratum E13."""
    count = [sum(p.numel() for p in block.parameters()) for block in (PreActivationUnit(8), BasicBlock(8, 8))]
    assert count[0] == count[1]


def test_more_channels_between_are_the_wide_unit():
    unit = PreActivationUnit(8, 16)
    assert sum(p.numel() for p in unit.parameters() if p.dim() == 4) == 2 * 9 * 8 * 16


def test_silent_units_pass_x_and_its_gradient_unchanged():
    torch.manual_seed(1)
    units = torch.nn.Sequential(*(PreActivationUnit(4) for _ in range(5)))
    for unit in units:
        torch.nn.init.zeros_(unit.layers[5].weight)
    x = torch.randn(1, 4, 5, 5, requires_grad=True)
    y = units(x)
    assert torch.equal(y, x)
    y.backward(torch.full_like(y, 3))
    assert torch.equal(x.grad, torch.full_like(x, 3))
