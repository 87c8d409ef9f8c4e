"""Transposed convolution: the way back. Section 4.1(7).

    a convolution is a matrix A on the pixels, its transposed convolution the matrix A'      <A x, y> = <x, A' y>

A' is not the inverse of A, whatever the name "deconvolution" says: it sends each value back to all the pixels that it came
from, weighted as they were. It is what the backward pass computes. Written as a convolution: put stride - 1 zeros between
the values of y, and convolve with the turned kernel. Where the stride does not divide the kernel some pixels are reached
more often than others, a checkerboard (`overlaps`).
"""

import torch
from torch import Tensor
from torch.nn import functional

from resnetbook.timeline._checks import check_positive

__all__ = ["bilinear_kernel", "overlaps", "transposed_conv2d"]


def transposed_conv2d(
    y: Tensor, weight: Tensor, *, stride: int = 1, padding: int = 0, output_padding: int = 0
) -> Tensor:
    """Return A' y for the convolution A with this weight, stride and padding.

    Shape: y (N, O, H, W), weight of the convolution (O, C, h, w) -> (N, C, (H - 1) stride - 2 padding + h + output_padding, ...).

    Args:
        output_padding: rows and columns of the convolution's input that no window reached; they get what reaches them.

    Raises:
        ValueError: channels that do not meet, a stride below 1, a padding outside 0 to the kernel's side less one, an output
            padding outside 0 to the stride less one.
    """
    check_positive(stride=stride)
    if y.dim() != 4 or weight.dim() != 4 or y.shape[1] != weight.shape[0]:
        raise ValueError(
            f"y of shape {tuple(y.shape)}: expected (N, {weight.shape[0]}, H, W) for this weight"
        )
    if not 0 <= padding < min(weight.shape[2:]):
        raise ValueError(f"padding={padding}: expected 0 to {min(weight.shape[2:]) - 1}")
    if not 0 <= output_padding < stride:
        raise ValueError(f"output_padding={output_padding}: expected 0 to {stride - 1}")
    count, channels, height, width = y.shape
    spread = y.new_zeros(count, channels, (height - 1) * stride + 1, (width - 1) * stride + 1)
    spread[:, :, ::stride, ::stride] = y
    above, beside = (side - 1 - padding for side in weight.shape[2:])
    spread = functional.pad(spread, (beside, beside + output_padding, above, above + output_padding))
    return functional.conv2d(spread, weight.transpose(0, 1).flip(2, 3))


def overlaps(size: int, kernel_size: int, stride: int) -> Tensor:
    """Return how often each pixel of a row is reached by a transposed convolution of `size` values.

    Raises:
        ValueError: a size below 1.
    """
    check_positive(size=size, kernel_size=kernel_size, stride=stride)
    ones = torch.ones(1, 1, 1, size)
    return transposed_conv2d(ones, torch.ones(1, 1, 1, kernel_size), stride=stride).flatten().long()


def bilinear_kernel(scale: int) -> Tensor:
    """Return the kernel with which a transposed convolution of stride `scale` interpolates bilinearly.

    Shape: (side, side) with side = 2 scale - scale % 2; the padding is scale // 2, for an odd scale (side - scale) // 2.
    The outer border, where the interpolation would need pixels beyond the image, is left too dark.

    Raises:
        ValueError: a scale below 1.
    """
    check_positive(scale=scale)
    side = 2 * scale - scale % 2
    line = 1 - (torch.arange(side) - (side - 1) / 2).abs() / scale
    return line[:, None] * line
