"""Spatial pyramid pooling (He et al. 2014, arXiv:1406.4729) and what it rests on: a grid of bins on a map of any size.

    level n:  n x n bins, the largest value of each     all levels in a row: C (n_1^2 + n_2^2 + ...) numbers

The bins of a level are those of torch's adaptive pooling: bin i of n covers rows floor(i H / n) to ceil((i + 1) H / n).
The paper's rule, a window of ceil(H / n) and a stride of floor(H / n), does not give n bins for every H: at H = 5, n = 3 it
gives four (erratum E20). Survey: section 4.2(3), claim C50.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from resnetbook.structure.pooling._windows import check_map
from resnetbook.timeline._checks import check_positive

__all__ = ["SpatialPyramidPool2d", "bins", "grid_max"]


def bins(size: int, count: int) -> list[slice]:
    """Return the `count` bins of an axis of `size` values. They cover it and overlap where `count` does not divide it.

    Raises:
        ValueError: a size or count below 1.
    """
    check_positive(size=size, count=count)
    return [slice(i * size // count, -((i + 1) * size // -count)) for i in range(count)]


def grid_max(x: Tensor, rows: int, columns: int) -> Tensor:
    """Return the largest value of each bin of a grid. Shape: (N, C, H, W) -> (N, C, rows, columns).

    Raises:
        ValueError: a batch of another form, a count below 1.
    """
    check_map(x)
    strips = torch.stack([x[:, :, cut].amax(2) for cut in bins(x.shape[2], rows)], 2)
    return torch.stack([strips[..., cut].amax(3) for cut in bins(x.shape[3], columns)], 3)


class SpatialPyramidPool2d(nn.Module):
    """The largest value of each bin of several grids: one length from maps of any size.

    Shape: (N, C, H, W) -> (N, C * sum(n^2 for n in levels)), level by level, in each C x n x n flattened.

    Args:
        levels: bins along a side, for each level; the paper has (1, 2, 4) or (1, 2, 3, 6).

    Raises:
        ValueError: no level, or one below 1; in `forward` a batch of another form.
    """

    def __init__(self, levels: Sequence[int] = (1, 2, 4)) -> None:
        super().__init__()
        self.levels = tuple(levels)
        if not self.levels:
            raise ValueError(f"levels={levels!r}: expected at least one number of bins")
        for level in self.levels:
            check_positive(levels=level)

    def length(self, channels: int) -> int:
        """Return how many numbers come out for a map with so many channels."""
        return channels * sum(n * n for n in self.levels)

    def forward(self, x: Tensor) -> Tensor:
        """Return all levels in a row, (N, C * sum(n^2))."""
        return torch.cat([grid_max(x, n, n).flatten(1) for n in self.levels], 1)

    def extra_repr(self) -> str:
        """Describe the layer in `print`."""
        return f"levels={self.levels}"
