"""Transposed convolution: the adjoint, torch's own, and what it interpolates."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from resnetbook.structure.convolution import bilinear_kernel, transposed_conv2d
from resnetbook.structure.convolution.transposed import overlaps

PLACE = st.tuples(
    st.integers(1, 5), st.integers(1, 3), st.integers(0, 4), st.integers(5, 9), st.integers(5, 9)
)


def drawn(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=60, deadline=None)
@given(PLACE, st.integers(0, 1000))
def test_it_is_the_adjoint_of_the_convolution(place, seed):
    kernel, stride, padding, height, width = place
    padding = min(padding, kernel - 1)
    x, weight = drawn(2, 3, height, width, seed=seed), drawn(4, 3, kernel, kernel, seed=seed + 1)
    there = functional.conv2d(x, weight, None, stride, padding)
    y = drawn(*there.shape, seed=seed + 2)
    rests = {(side + 2 * padding - kernel) % stride for side in (height, width)}
    if len(rests) > 1:
        x = x[..., : min(height, width), : min(height, width)]
        there = functional.conv2d(x, weight, None, stride, padding)
        y = y[..., : there.shape[2], : there.shape[3]]
    rest = (x.shape[2] + 2 * padding - kernel) % stride
    back = transposed_conv2d(y, weight, stride=stride, padding=padding, output_padding=rest)
    assert back.shape == x.shape
    torch.testing.assert_close((there * y).sum(), (x * back).sum())
    wanted = functional.conv_transpose2d(y, weight, None, stride, padding, rest)
    torch.testing.assert_close(back, wanted, rtol=0, atol=1e-11)


def test_it_is_what_the_backward_pass_computes():
    x, weight = drawn(1, 2, 7, 7).requires_grad_(), drawn(3, 2, 3, 3, seed=1)
    there = functional.conv2d(x, weight, None, 2, 1)
    y = drawn(*there.shape, seed=2)
    (wanted,) = torch.autograd.grad(there, x, y)
    torch.testing.assert_close(transposed_conv2d(y, weight, stride=2, padding=1), wanted)


def test_it_is_no_inverse():
    x, weight = drawn(1, 1, 6, 6), drawn(1, 1, 3, 3, seed=1)
    back = transposed_conv2d(functional.conv2d(x, weight), weight)
    assert not torch.allclose(back / back.norm(), x / x.norm(), atol=0.1)


@pytest.mark.parametrize("scale", [2, 3, 4, 5])
def test_bilinear_interpolation_inside_the_border(scale):
    x, kernel = drawn(1, 1, 6, 6), bilinear_kernel(scale).double()[None, None]
    padding = (kernel.shape[2] - scale) // 2 if scale % 2 else scale // 2
    ours = transposed_conv2d(x, kernel, stride=scale, padding=padding)
    wanted = functional.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)
    assert ours.shape == wanted.shape
    torch.testing.assert_close(ours[..., scale:-scale, scale:-scale], wanted[..., scale:-scale, scale:-scale])


def test_one_hot_kernels_shuffle_pixels():
    x, weight = drawn(1, 4, 3, 3), torch.zeros(4, 1, 2, 2, dtype=torch.float64)
    for place in range(4):
        weight[place, 0, place // 2, place % 2] = 1
    assert torch.equal(transposed_conv2d(x, weight, stride=2), functional.pixel_shuffle(x, 2))


def test_a_checkerboard_where_the_stride_does_not_divide_the_kernel():
    assert overlaps(4, 3, 2).tolist() == [1, 1, 2, 1, 2, 1, 2, 1, 1]
    assert overlaps(4, 4, 2).tolist() == [1, 1, 2, 2, 2, 2, 2, 2, 1, 1]


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"stride": 0}, "stride=0"),
        ({"padding": 3}, "padding=3: expected 0 to 2"),
        ({"output_padding": 1}, "expected 0 to 0"),
    ],
)
def test_bad_settings_are_refused(settings_, message):
    with pytest.raises(ValueError, match=message):
        transposed_conv2d(torch.zeros(1, 2, 3, 3), torch.zeros(2, 1, 3, 3), **settings_)


def test_channels_that_do_not_meet_are_refused():
    with pytest.raises(ValueError, match=r"expected \(N, 2, H, W\)"):
        transposed_conv2d(torch.zeros(1, 3, 3, 3), torch.zeros(2, 1, 3, 3))
    with pytest.raises(ValueError, match="scale=0"):
        bilinear_kernel(0)
