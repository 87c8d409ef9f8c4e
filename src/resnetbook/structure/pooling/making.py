"""`make_pool`: any pooling layer in the place of any other, so that a network can be compared with itself.

A place is a window and a stride: from H rows floor((H + 2 padding - kernel_size) / stride) + 1 are left. Layers that know
no window fill it thus: k-max and chunk-max keep as many values, or cut as many chunks, as the place has rows and columns;
a pyramid of one level and the region that is the whole map have as many bins.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from resnetbook.structure.pooling._windows import check_map, check_window, pooled_size
from resnetbook.structure.pooling.adaptive import SpatialPyramidPool2d, grid_max
from resnetbook.structure.pooling.chunk_max import ChunkMaxPool2d
from resnetbook.structure.pooling.fixed import AveragePool2d, MaxPool2d, OverlappingPool2d
from resnetbook.structure.pooling.k_max import KMaxPool2d
from resnetbook.structure.pooling.mixed import MixedPool2d
from resnetbook.structure.pooling.parallel import ParallelPool2d
from resnetbook.structure.pooling.roi import RoIPool2d
from resnetbook.structure.pooling.stochastic import StochasticPool2d

__all__ = ["NAMES", "make_pool"]


class Grid(nn.Module):
    """A layer that is told how many rows and columns are wanted, in the place of one with windows.

    Args:
        kind: its name, for `print`.
        pool: from x, rows and columns to (N, C, rows, columns).
        kernel_size, stride, padding: the place.
    """

    def __init__(
        self,
        kind: str,
        pool: Callable[[Tensor, int, int], Tensor],
        kernel_size: int,
        stride: int,
        padding: int,
    ) -> None:
        super().__init__()
        check_window(kernel_size, stride, padding)
        self.kind, self.pool, self.place = kind, pool, (kernel_size, stride, padding)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C, rows, columns)."""
        check_map(x)
        rows, columns = (pooled_size(side, *self.place) for side in x.shape[2:])
        return self.pool(x, rows, columns)

    def extra_repr(self) -> str:
        """Describe the layer in `print`."""
        return f"{self.kind}, kernel_size={self.place[0]}, stride={self.place[1]}, padding={self.place[2]}"


class WiderPool2d(OverlappingPool2d):
    """Overlapping pooling in the place of windows that touch: each reaches one pixel over its stride, right and down."""

    def __init__(self, kernel_size: int, stride: int, padding: int) -> None:
        super().__init__(max(kernel_size, stride + 1), stride, padding)
        check_window(kernel_size, stride, padding)
        self.more = self.kernel_size - kernel_size

    def forward(self, x: Tensor) -> Tensor:
        """Return the largest values, as many as the narrower windows would give."""
        check_map(x)
        for side in x.shape[2:]:
            pooled_size(side, self.kernel_size - self.more, self.stride, self.padding)
        return super().forward(functional.pad(x, (0, self.more) * 2, value=-math.inf))


def _rows_and_columns_of_k(x: Tensor, rows: int, columns: int) -> Tensor:
    return KMaxPool2d((rows, columns))(x)


def _chunks(x: Tensor, rows: int, columns: int) -> Tensor:
    return ChunkMaxPool2d((rows, columns))(x)


def _whole_map(x: Tensor, rows: int, columns: int) -> Tensor:
    height, width = x.shape[2:]
    boxes = [[image, 0, 0, width - 1, height - 1] for image in range(len(x))]
    return RoIPool2d((rows, columns))(x, torch.tensor(boxes, dtype=x.dtype, device=x.device).reshape(-1, 5))


_WINDOWS: dict[str, Callable[..., nn.Module]] = {
    "average": AveragePool2d,
    "max": MaxPool2d,
    "stochastic": StochasticPool2d,
    "overlapping": WiderPool2d,
    "mixed": MixedPool2d,
    "parallel": ParallelPool2d,
}
# For a place of a network, and the layer as it is known otherwise with the setting that asks for it.
_GRIDS: dict[str, tuple[Callable[[Tensor, int, int], Tensor], Callable[..., nn.Module], str]] = {
    "spp": (grid_max, SpatialPyramidPool2d, "levels"),
    "roi": (_whole_map, RoIPool2d, "output_size"),
    "k-max": (_rows_and_columns_of_k, KMaxPool2d, "k"),
    "chunk-max": (_chunks, ChunkMaxPool2d, "chunks"),
}
NAMES = (
    "average",
    "max",
    "stochastic",
    "overlapping",
    "spp",
    "roi",
    "k-max",
    "chunk-max",
    "mixed",
    "parallel",
)


def make_pool(
    name: str, *, kernel_size: int = 2, stride: int | None = None, padding: int = 0, **settings: object
) -> nn.Module:
    """Return a pooling layer by its name in the survey's map, without "4.2.".

    Shape: (N, C, H, W) -> (N, C, rows, columns) with rows = floor((H + 2 padding - kernel_size) / stride) + 1, for all ten
    the same; "parallel" without `join="add"` gives more channels.

    Args:
        name: one of `NAMES`.
        kernel_size: the window's side. "overlapping" widens it to stride + 1 where windows would only touch.
        stride: None: `kernel_size`.
        padding: pixels added at each border.
        settings: of that layer: `p`, `granularity` ("mixed"), `in_channels`, `conv_channels`, `join` ("parallel"). With `levels`
            ("spp"), `output_size` ("roi"), `k` or `chunks` the layer itself is returned: it fits no place, its output has
            a size of its own.

    Raises:
        ValueError: an unknown name, a setting that the layer does not have, or what the layer refuses.
    """
    if name not in NAMES:
        raise ValueError(f"name={name!r}: expected one of {', '.join(NAMES)}")
    stride = kernel_size if stride is None else stride
    try:
        if name in _WINDOWS:
            if name == "parallel":
                settings = {"in_channels": settings.pop("in_channels", None), **settings}
                if settings["in_channels"] is None:
                    raise ValueError(
                        "in_channels=None: expected the channels of x, for the convolution of 'parallel'"
                    )
            return _WINDOWS[name](kernel_size=kernel_size, stride=stride, padding=padding, **settings)
        pool, layer, own = _GRIDS[name]
        if own in settings:
            return layer(**settings)
        if settings:
            raise TypeError(f"unexpected {', '.join(settings)}")
    except TypeError as error:
        raise ValueError(f"settings={settings!r}: {name!r} has no such setting ({error})") from error
    return Grid(name, pool, kernel_size, stride, padding)
