"""Deformable convolution: our gather against torchvision's kernel, and offsets whose effect is known."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from torchvision.ops import deform_conv2d

from resnetbook.structure.convolution import DeformableConv2d, deformable_conv2d


def drawn(*shape, seed=0, scale=1.0):
    return scale * torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def size(side, kernel, stride, padding, dilation):
    return (side + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 1000), st.sampled_from([1, 2, 3]), st.integers(1, 2), st.integers(0, 2), st.integers(1, 2),
    st.sampled_from([0.3, 2.0, 9.0]), st.booleans(),
)  # fmt: skip
def test_equals_torchvision_for_any_offsets(seed, kernel, stride, padding, dilation, scale, masked):
    """Also for offsets that lead far out of the image."""
    x, weight, bias = (
        drawn(2, 3, 8, 9, seed=seed),
        drawn(4, 3, kernel, kernel, seed=seed + 1),
        drawn(4, seed=seed + 2),
    )
    height, width = (size(side, kernel, stride, padding, dilation) for side in (8, 9))
    offset = drawn(2, 2 * kernel**2, height, width, seed=seed + 3, scale=scale)
    mask = drawn(2, kernel**2, height, width, seed=seed + 4).sigmoid() if masked else None
    place = {"stride": stride, "padding": padding, "dilation": dilation}
    ours = deformable_conv2d(x, offset, weight, bias, mask=mask, **place)
    torch.testing.assert_close(
        ours, deform_conv2d(x, offset, weight, bias, mask=mask, **place), rtol=0, atol=1e-11
    )


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("modulated", [False, True])
def test_it_starts_as_an_ordinary_convolution(fast, modulated):
    torch.manual_seed(0)
    layer = DeformableConv2d(3, 4, 3, padding=1, stride=2, modulated=modulated, fast=fast).double()
    x = drawn(2, 3, 8, 8)
    wanted = functional.conv2d(x, layer.conv.weight, layer.conv.bias, 2, 1)
    torch.testing.assert_close(layer(x), wanted, rtol=0, atol=1e-12)


def test_both_paths_agree_after_the_offsets_have_moved():
    torch.manual_seed(1)
    layer = DeformableConv2d(2, 3, 3, padding=1, modulated=True).double()
    for parameter in layer.offset.parameters():
        torch.nn.init.normal_(parameter)
    x = drawn(2, 2, 7, 7)
    slow = layer(x)
    layer.fast = True
    torch.testing.assert_close(layer(x), slow, rtol=0, atol=1e-11)


def test_offsets_whose_effect_is_known():
    x, weight = drawn(1, 2, 8, 8), drawn(3, 2, 3, 3, seed=1)
    ones = torch.ones(1, 18, 8, 8, dtype=torch.float64)
    rows = ones.clone()
    rows[:, 1::2] = 0
    moved = deformable_conv2d(x, rows, weight, padding=1)
    wanted = functional.conv2d(functional.pad(x[:, :, 1:], (0, 0, 0, 1)), weight, padding=1)
    torch.testing.assert_close(moved[:, :, 1:], wanted[:, :, 1:])
    # Taps pushed outwards by one step are a dilation of 2.
    tap = torch.arange(-1.0, 2, dtype=torch.float64)
    outwards = (
        torch.stack(torch.meshgrid(tap, tap, indexing="ij"), -1).reshape(1, 18, 1, 1).expand(1, 18, 8, 8)
    )
    wide = deformable_conv2d(x, outwards, weight, padding=1)
    torch.testing.assert_close(wide, functional.conv2d(x, weight, padding=2, dilation=2))
    # Half a pixel to the right is the mean of two neighbours.
    half = torch.zeros_like(ones)
    half[:, 1::2] = 0.5
    mean = (x + functional.pad(x[..., 1:], (0, 1))) / 2
    found = deformable_conv2d(x, half, weight, padding=1)
    torch.testing.assert_close(found[..., 1:], functional.conv2d(mean, weight, padding=1)[..., 1:])


def test_gradients_by_finite_differences():
    x, weight = drawn(1, 2, 5, 5).requires_grad_(), drawn(2, 2, 3, 3, seed=1).requires_grad_()
    # Away from whole pixels, where bilinear interpolation has a kink.
    offset = (0.3 + 0.4 * torch.rand(1, 18, 5, 5, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda *given_: deformable_conv2d(*given_, padding=1), (x, offset, weight)
    )


def test_offsets_learn_a_shift():
    """Between an image and the same moved by one pixel, the weights held: the offsets find the move."""
    torch.manual_seed(0)
    x = torch.randn(8, 1, 10, 10)
    x = functional.avg_pool2d(functional.pad(x, (1, 1, 1, 1)), 3, 1)  # smooth, so that a slope points there
    layer = DeformableConv2d(1, 1, 1)
    with torch.no_grad():
        layer.conv.weight.fill_(1)
        layer.conv.bias.zero_()
    optimiser = torch.optim.Adam([layer.offset.bias], 0.05)
    for _ in range(150):
        optimiser.zero_grad()
        functional.mse_loss(layer(x)[..., 1:-1, 1:-1], x.roll(-1, 3)[..., 1:-1, 1:-1]).backward()
        optimiser.step()
    torch.testing.assert_close(layer.offset.bias.detach(), torch.tensor([0.0, 1.0]), rtol=0, atol=0.05)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: DeformableConv2d(1, 0), "out_channels=0"),
        (lambda: DeformableConv2d(1, 1, padding=-1), "padding=-1"),
        (lambda: DeformableConv2d(2, 1)(torch.zeros(1, 1, 4, 4)), r"expected \(N, 2, H, W\)"),
        (lambda: DeformableConv2d(1, 1, 5)(torch.zeros(1, 1, 4, 4)), "a side of 4: expected at least 5"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
