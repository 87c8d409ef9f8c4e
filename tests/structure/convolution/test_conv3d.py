"""VoxResNet: counts and layers of the paper, and identities of its parts."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from resnetbook.structure.convolution import VoxRes, VoxResNet, inflate


def test_counts():
    assert sum(p.numel() for p in VoxResNet(3, 4).parameters()) == 1_329_024
    assert sum(p.numel() for p in VoxResNet(3, 4, flat=False).parameters()) == 1_789_824


def test_the_papers_25_layers():
    kinds = [type(m) for m in VoxResNet(3, 4).modules() if isinstance(m, nn.Conv3d | nn.ConvTranspose3d)]
    classifiers = len(VoxResNet(3, 4).classifiers)
    assert (kinds.count(nn.Conv3d) - classifiers, kinds.count(nn.ConvTranspose3d), classifiers) == (17, 4, 4)


def test_each_branch_has_its_stride_and_all_are_summed():
    torch.manual_seed(0)
    net, x = VoxResNet(2, 3).eval(), torch.randn(1, 2, 16, 8, 24)
    assert [up.stride[0] for up in net.ups] == [1, 2, 4, 8]
    branches = net.branches(x)
    assert {b.shape for b in branches} == {(1, 3, 16, 8, 24)}
    torch.testing.assert_close(net(x), sum(branches[1:], branches[0]))
    with torch.no_grad():
        for classify in net.classifiers[:3]:
            classify.weight.zero_()
    torch.testing.assert_close(net(x), branches[3])


def test_a_silent_unit_is_the_identity():
    torch.manual_seed(1)
    unit, x = VoxRes(4), torch.randn(2, 4, 5, 6, 7)
    last = unit.branch[1][2]
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    assert torch.equal(unit(x), x)


def test_the_flat_kernel_works_slice_by_slice():
    torch.manual_seed(2)
    conv = VoxRes(3).branch[0][2]
    x = torch.randn(1, 3, 4, 6, 6)
    for depth in range(4):
        wanted = functional.conv2d(x[:, :, depth], conv.weight[:, :, 0], conv.bias, padding=1)
        torch.testing.assert_close(conv(x)[:, :, depth], wanted)


def test_an_inflated_kernel_on_equal_slices_is_the_flat_one():
    torch.manual_seed(3)
    weight, x = torch.randn(4, 2, 3, 3, dtype=torch.float64), torch.randn(1, 2, 8, 8, dtype=torch.float64)
    volume = x[:, :, None].expand(-1, -1, 7, -1, -1)
    found = functional.conv3d(volume, inflate(weight, 3))
    torch.testing.assert_close(found, functional.conv2d(x, weight)[:, :, None].expand_as(found))
    assert inflate(weight, 3).numel() == 3 * weight.numel()


@pytest.mark.parametrize("shape", [(1, 2, 8, 8, 12), (1, 3, 8, 8, 8), (2, 8, 8, 8), (1, 2, 0, 8, 8)])
def test_volumes_of_another_form_are_refused(shape):
    with pytest.raises(ValueError, match=r"expected \(N, 2, D, H, W\) with sides that 8 divides"):
        VoxResNet(2, 2)(torch.zeros(shape))


def test_bad_sizes_are_refused():
    with pytest.raises(ValueError, match="num_classes=0"):
        VoxResNet(1, 0)
    with pytest.raises(ValueError, match="channels=0"):
        VoxRes(0)
    with pytest.raises(ValueError, match="weight of shape"):
        inflate(torch.zeros(3, 3), 3)
