"""Asymmetric factorisation (Szegedy et al. 2016, Inception-v3, arXiv:1512.00567, section 3.2): n x n as 1 x n and n x 1.

    w * x   ->   column * (row * x)       2 n weights a pair of channels instead of n^2, for equal widths

For one channel the two are the outer product of a column and a row: a kernel of rank 1. Any n x n kernel is a sum of at
most n such pairs (its singular value decomposition, see `separate`), so what is lost is rank, and the channels between the
two layers buy it back. The paper advises it for maps of 12 to 20 pixels, not for early layers. The survey cites [24] for
it where [22] is meant (erratum E2). Section 4.1(2), claim C34.
"""

import torch
from torch import Tensor, nn

from resnetbook.timeline._checks import check_images, check_positive

__all__ = ["AsymmetricConv2d", "separate"]


class AsymmetricConv2d(nn.Module):
    """A convolution of 1 x n, then one of n x 1; the map keeps its size.

    Shape: (N, in_channels, H, W) -> (N, out_channels, H, W).

    Args:
        in_channels, out_channels: channels before and after.
        kernel_size: n, odd.
        mid_channels: channels between the two; None: `out_channels`.
        relu: a ReLU between the two, as in Inception-v3 (there after batch normalisation). False: one linear map.
        bias: whether both have biases.

    Raises:
        ValueError: a size below 1, an even kernel; in `forward` images of another form.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        *,
        mid_channels: int | None = None,
        relu: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__()
        mid = out_channels if mid_channels is None else mid_channels
        check_positive(
            in_channels=in_channels, out_channels=out_channels, kernel_size=kernel_size, mid_channels=mid
        )
        if kernel_size % 2 == 0:
            raise ValueError(
                f"kernel_size={kernel_size}: expected an odd side, so that the map keeps its size"
            )
        n, half = kernel_size, kernel_size // 2
        self.row = nn.Conv2d(in_channels, mid, (1, n), padding=(0, half), bias=bias)
        self.column = nn.Conv2d(mid, out_channels, (n, 1), padding=(half, 0), bias=bias)
        self.relu = nn.ReLU() if relu else nn.Identity()
        self.in_channels = in_channels

    def forward(self, x: Tensor) -> Tensor:
        """Apply the row, then the column."""
        check_images(x, self.in_channels, 1)
        return self.column(self.relu(self.row(x)))


def separate(kernel: Tensor, pairs: int) -> tuple[Tensor, Tensor]:
    """Return the `pairs` of columns and rows whose sum of outer products comes nearest to a kernel (Eckart and Young).

    Shape: (n, m) -> (pairs, n) and (pairs, m); as many pairs as the kernel's rank give it exactly.

    Raises:
        ValueError: not a matrix, or more pairs than its smaller side.
    """
    if kernel.dim() != 2:
        raise ValueError(f"kernel of shape {tuple(kernel.shape)}: expected (n, m)")
    check_positive(pairs=pairs)
    if pairs > min(kernel.shape):
        raise ValueError(f"pairs={pairs}: expected at most {min(kernel.shape)}, the smaller side")
    columns, sizes, rows = torch.linalg.svd(kernel, full_matrices=False)
    root = sizes[:pairs].sqrt()[:, None]
    return columns.T[:pairs] * root, rows[:pairs] * root
