"""Parallel pooling: max pooling beside a strided convolution, so that what one loses the other may keep.

    y = [max(x), w * x]      concatenated along channels        y = max(x) + w * x      added

Both see the same windows. The source (the survey's [35]) was found as an abstract only: it names max pooling and a
convolution side by side, and not how the two are joined. Concatenation is our reading; the sum is the other one.
Survey: section 4.2(7), claim C53.
"""

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from resnetbook.structure.pooling._windows import check_window
from resnetbook.structure.pooling.fixed import MaxPool2d
from resnetbook.timeline._checks import check_images, check_positive

__all__ = ["ParallelPool2d"]

Join = Literal["concatenate", "add"]


class ParallelPool2d(nn.Module):
    """Max pooling and a strided convolution of the same windows, side by side.

    Shape: (N, in_channels, H, W) -> (N, in_channels + conv_channels, rows, columns); added: (N, in_channels, rows, columns).

    Args:
        in_channels: channels of x.
        kernel_size, stride, padding: of both, as `WindowPool2d`.
        conv_channels: channels of the convolution; None: `in_channels`.
        join: "concatenate" or "add".

    Attributes:
        out_channels: channels of y.

    Raises:
        ValueError: a size below 1, too much padding, an unknown join, or a sum of unequal channels; in `forward` a batch of
            another form.
    """

    def __init__(
        self,
        in_channels: int,
        kernel_size: int = 2,
        stride: int | None = None,
        padding: int = 0,
        *,
        conv_channels: int | None = None,
        join: Join = "concatenate",
    ) -> None:
        super().__init__()
        stride = kernel_size if stride is None else stride
        conv_channels = in_channels if conv_channels is None else conv_channels
        check_positive(in_channels=in_channels, conv_channels=conv_channels)
        check_window(kernel_size, stride, padding)
        if join not in get_args(Join):
            raise ValueError(f"join={join!r}: expected 'concatenate' or 'add'")
        if join == "add" and conv_channels != in_channels:
            raise ValueError(f"conv_channels={conv_channels}: expected in_channels={in_channels} for a sum")
        self.in_channels, self.join = in_channels, join
        self.out_channels = in_channels + (conv_channels if join == "concatenate" else 0)
        self.pool = MaxPool2d(kernel_size, stride, padding)
        self.conv = nn.Conv2d(in_channels, conv_channels, kernel_size, stride, padding)

    def forward(self, x: Tensor) -> Tensor:
        """Return both, joined."""
        check_images(x, self.in_channels, 1)
        pooled, convolved = self.pool(x), self.conv(x)
        return torch.cat([pooled, convolved], 1) if self.join == "concatenate" else pooled + convolved

    def extra_repr(self) -> str:
        """Describe the layer in `print`."""
        return f"join={self.join!r}"
