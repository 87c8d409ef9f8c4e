"""Multi-scale unit: several kernels are one, set into the largest square."""

import torch
from torch.nn import functional

from resnetbook.structure.residual_unit import MultiScaleUnit, PreActivationUnit
from resnetbook.structure.residual_unit.multi_scale import one_kernel


def test_all_scales_are_one_convolution():
    torch.manual_seed(0)
    unit = MultiScaleUnit(8, (1, 3, 7)).double().eval()
    assert [scale.out_channels for scale in unit.scales] == [2, 4, 2]
    x = torch.randn(2, 8, 9, 9, dtype=torch.float64)
    active = unit.relu(unit.norm(x))
    maps = functional.conv2d(active, one_kernel(list(unit.scales)), padding=3)
    torch.testing.assert_close(unit(x), x + unit.fuse(unit.relu(unit.norm2(maps))))


def test_one_scale_is_the_pre_activation_unit_with_a_1x1_behind():
    torch.manual_seed(1)
    unit, plain = MultiScaleUnit(4, (3,)).eval(), PreActivationUnit(4).eval()
    with torch.no_grad():
        plain.layers[2].weight.copy_(unit.scales[0].weight)
        plain.layers[5].weight.zero_()
        plain.layers[5].weight[:, :, 1:2, 1:2] = unit.fuse.weight
    x = torch.randn(2, 4, 6, 6)
    torch.testing.assert_close(unit(x), plain(x))


def test_weights_are_counted_by_side():
    unit = MultiScaleUnit(16, (1, 3, 5))
    assert sum(scale.weight.numel() for scale in unit.scales) == 16 * (4 * 1 + 8 * 9 + 4 * 25)
