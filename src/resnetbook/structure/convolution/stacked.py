"""Small kernels (Simonyan & Zisserman 2015, VGG, arXiv:1409.1556, section 2.3): n convolutions of 3x3 see what one sees.

    n layers of k x k  see  1 + n (k - 1)  pixels       n k^2 weights a pair of channels instead of (1 + n (k - 1))^2

Two layers of 3x3 reach 5x5 with 18 weights for 25, three 7x7 with 27 for 49, and have a ReLU more each time. What they
cost instead is memory: each layer's output is kept for the backward pass. The survey says that they replace AlexNet's 7x7
kernels; AlexNet has 11x11 and 5x5 (erratum E1), and the paper compares with a 7x7 layer. Section 4.1(1), claim C39.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from resnetbook.timeline._checks import check_images, check_positive

__all__ = ["StackedConv", "composed_kernel", "field_of"]


class StackedConv(nn.Module):
    """`count` convolutions of stride 1, a ReLU after each but the last.

    Shape: (N, in_channels, H, W) -> (N, out_channels, H, W).

    Args:
        in_channels, out_channels: channels before and after.
        count: how many layers.
        kernel_size: side of each kernel, odd.
        mid_channels: channels between; None: `out_channels`.
        relu: False leaves the ReLUs out: the stack is then one linear convolution, see `composed_kernel`.
        bias: whether the convolutions have biases.

    Attributes:
        receptive_field: side of the square of x that one output sees.

    Raises:
        ValueError: a size below 1, an even kernel; in `forward` images of another form.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        count: int = 2,
        *,
        kernel_size: int = 3,
        mid_channels: int | None = None,
        relu: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__()
        mid = out_channels if mid_channels is None else mid_channels
        check_positive(
            in_channels=in_channels,
            out_channels=out_channels,
            count=count,
            kernel_size=kernel_size,
            mid_channels=mid,
        )
        if kernel_size % 2 == 0:
            raise ValueError(
                f"kernel_size={kernel_size}: expected an odd side, so that the map keeps its size"
            )
        widths = [in_channels, *[mid] * (count - 1), out_channels]
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, kernel_size, padding=kernel_size // 2, bias=bias) for a, b in pairwise(widths)
        )
        self.relu = nn.ReLU() if relu else nn.Identity()
        self.in_channels = in_channels
        self.receptive_field = 1 + count * (kernel_size - 1)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layers one after the other."""
        check_images(x, self.in_channels, 1)
        *first, last = self.convs
        for conv in first:
            x = self.relu(conv(x))
        return last(x)


def composed_kernel(first: Tensor, second: Tensor) -> Tensor:
    """Return the kernel of one convolution that does what two do, the second after the first, no ReLU and no padding.

    Shape: (B, A, h1, w1) and (C, B, h2, w2) -> (C, A, h1 + h2 - 1, w1 + w2 - 1): the full convolution of the two, summed
    over the channels between.

    Raises:
        ValueError: kernels whose channels do not meet.
    """
    if first.dim() != 4 or second.dim() != 4 or second.shape[1] != first.shape[0]:
        raise ValueError(
            f"second of shape {tuple(second.shape)}: expected (C, {first.shape[0]}, h, w) after {tuple(first.shape)}"
        )
    height, width = second.shape[2:]
    # Each kernel of `first` is an image; a correlation with the turned `second` is their full convolution.
    images = first.transpose(0, 1)
    return (
        functional.conv2d(images, second.flip(2, 3), padding=(height - 1, width - 1))
        .transpose(0, 1)
        .contiguous()
    )


def field_of(network: nn.Module, x: Tensor) -> tuple[int, int]:
    """Return height and width of the part of x that the middle output sees, read from its gradient.

    Every weight must be positive, so that no two paths cancel. x: (1, C, H, W), larger than the field.

    Raises:
        ValueError: the field reaches a border of x, so that it may be larger.
    """
    x = torch.ones_like(x).requires_grad_()
    out = network(x)
    out[0, :, out.shape[2] // 2, out.shape[3] // 2].sum().backward()
    seen = (x.grad if x.grad is not None else torch.zeros_like(x)).abs().sum((0, 1)) > 0
    rows, columns = seen.any(1).nonzero().flatten(), seen.any(0).nonzero().flatten()
    if (
        not len(rows)
        or rows[0] == 0
        or columns[0] == 0
        or rows[-1] == x.shape[2] - 1
        or columns[-1] == x.shape[3] - 1
    ):
        raise ValueError(f"x of shape {tuple(x.shape)}: expected more pixels than the network sees at once")
    return int(rows[-1] - rows[0] + 1), int(columns[-1] - columns[0] + 1)
