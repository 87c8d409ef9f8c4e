"""Deformable convolution (Dai et al. 2017, arXiv:1703.06211, equations 1 to 4): a kernel that chooses where it looks.

    y(p) = sum over taps n of  w_n . x(p + p_n + d_n(p))        x between pixels: bilinear, 0 outside the image

The offsets d come from a second convolution on the same input and start at 0, so the layer starts as an ordinary one. With
`modulated=True` each tap has a weight too, 2 sigmoid(m), 1 at the start (after Zhu et al. 2019, arXiv:1811.11168; the factor
2 is ours, there the start is one half). Channels of d come in pairs, rows first: dy of tap 0, dx of tap 0, dy of tap 1.
Section 4.1(5), claim C41.
"""

import torch
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

from resnetbook.structure.pooling._windows import pooled_size
from resnetbook.timeline._checks import check_images, check_positive

__all__ = ["DeformableConv2d", "bilinear", "deformable_conv2d"]


def bilinear(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return the values of x at places between its pixels; x is 0 outside.

    Shape: (N, C, H, W), and rows and columns (N, P) in pixels -> (N, C, P).
    """
    height, width = x.shape[2:]
    top, left = rows.floor(), columns.floor()
    found = torch.zeros((*x.shape[:2], rows.shape[1]), dtype=x.dtype, device=x.device)
    for row, column in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        weight = (1 - (rows - row).abs()) * (1 - (columns - column).abs()) * inside
        place = row.clamp(0, height - 1).long() * width + column.clamp(0, width - 1).long()
        values = x.flatten(2).gather(2, place[:, None].expand(-1, x.shape[1], -1))
        found = found + weight[:, None] * values
    return found


def deformable_conv2d(
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    mask: Tensor | None = None,
) -> Tensor:
    """Return the deformable convolution, written for reading: gather every tap, then one matrix product.

    Shape: x (N, C, H, W), offset (N, 2 k k, H', W'), weight (O, C, k, k), mask (N, k k, H', W') -> (N, O, H', W').
    """
    side, (height, width) = weight.shape[2], offset.shape[2:]

    def steps(count: int) -> Tensor:
        return torch.arange(count, dtype=x.dtype, device=x.device)

    taps_at = steps(side) * dilation - padding
    tap_rows, tap_columns = torch.meshgrid(taps_at, taps_at, indexing="ij")
    out_rows, out_columns = torch.meshgrid(steps(height) * stride, steps(width) * stride, indexing="ij")
    dy, dx = offset.unflatten(1, (side * side, 2)).unbind(2)  # (N, k k, H', W') each
    rows = out_rows + tap_rows.reshape(-1, 1, 1) + dy
    columns = out_columns + tap_columns.reshape(-1, 1, 1) + dx
    taps = bilinear(x, rows.flatten(1), columns.flatten(1)).unflatten(2, (side * side, height, width))
    if mask is not None:
        taps = taps * mask[:, None]
    out = torch.einsum("ock,nckhw->nohw", weight.flatten(2), taps)
    return out if bias is None else out + bias.reshape(1, -1, 1, 1)


class DeformableConv2d(nn.Module):
    """A convolution whose taps move: offsets from a convolution on the same input, 0 at the start.

    Shape: (N, in_channels, H, W) -> (N, out_channels, H', W'), as `torch.nn.Conv2d`.

    Args:
        in_channels, out_channels: channels before and after.
        kernel_size, stride, padding, dilation: of both convolutions.
        bias: whether the convolution has a bias; the one for the offsets always has.
        modulated: weigh each tap too.
        fast: call torchvision's kernel; the same numbers.

    Attributes:
        offset: the convolution that gives 2 kernel_size^2 channels of offsets, and kernel_size^2 more with `modulated`.

    Raises:
        ValueError: a size below 1, a negative padding; in `forward` images of another form.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        *,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        bias: bool = True,
        modulated: bool = False,
        fast: bool = False,
    ) -> None:
        super().__init__()
        check_positive(
            in_channels=in_channels,
            out_channels=out_channels,
            kernel_size=kernel_size,
            stride=stride,
            dilation=dilation,
        )
        if isinstance(padding, bool) or not isinstance(padding, int) or padding < 0:
            raise ValueError(f"padding={padding!r}: expected an integer of 0 or more")
        self.taps = kernel_size**2
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, dilation, bias=bias)
        self.offset = nn.Conv2d(
            in_channels, (3 if modulated else 2) * self.taps, kernel_size, stride, padding, dilation
        )
        for parameter in self.offset.parameters():
            nn.init.zeros_(parameter)
        self.place = {"stride": stride, "padding": padding, "dilation": dilation}
        self.modulated, self.fast, self.in_channels = modulated, fast, in_channels
        self.field = dilation * (kernel_size - 1) + 1

    def forward(self, x: Tensor) -> Tensor:
        """Look where the offsets say."""
        check_images(x, self.in_channels, 1)
        for size in x.shape[2:]:
            pooled_size(size, self.field, self.place["stride"], self.place["padding"])
        offset, *rest = self.offset(x).split([2 * self.taps] + [self.taps] * self.modulated, 1)
        mask = 2 * rest[0].sigmoid() if rest else None
        convolve = deform_conv2d if self.fast else deformable_conv2d
        return convolve(x, offset, self.conv.weight, self.conv.bias, mask=mask, **self.place)
