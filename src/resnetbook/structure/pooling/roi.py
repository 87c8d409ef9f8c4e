"""RoI max pooling (Girshick 2015, Fast R-CNN, arXiv:1504.08083, section 2.1): a region of any size to a map of one size.

    box (x1, y1, x2, y2)  ->  rounded to whole pixels, both ends included  ->  rows x columns bins, the largest value of each

The image goes through the network once, and each region is cut from the map of features. The rounding costs up to half a
cell of the map: RoIAlign was made to mend that. The survey cites [29] for it, which brought its deformable kind (E6).
Survey: section 4.2(4), claim C51.
"""

import math

import torch
from torch import Tensor, nn
from torchvision.ops import roi_pool

from resnetbook.structure.pooling._windows import check_map
from resnetbook.timeline._checks import check_positive

__all__ = ["RoIPool2d"]


def _nearest(value: float) -> int:
    """Round halves away from zero, as C does; Python's `round` takes them to the even neighbour."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


def _cuts(start: int, end: int, count: int, size: int) -> list[slice]:
    """Return `count` bins of the pixels from `start` to `end`, both included, cut off at the map's borders."""
    length = max(end - start + 1, 1)
    edges = [
        (start + math.floor(i * length / count), start + math.ceil((i + 1) * length / count))
        for i in range(count)
    ]
    return [slice(min(max(a, 0), size), min(max(b, 0), size)) for a, b in edges]


def _largest(x: Tensor, cut: slice, dim: int) -> Tensor:
    """Return the largest value of a bin along `dim`, 0 for a bin outside the map."""
    part = x[(slice(None),) * dim + (cut,)]
    return part.amax(dim) if part.shape[dim] else x.new_zeros(x.shape[:dim] + x.shape[dim + 1 :])


class RoIPool2d(nn.Module):
    """The largest value of each bin of each region.

    Shape: features (N, C, H, W) and boxes (K, 5) -> (K, C, rows, columns). A box is (image's index, x1, y1, x2, y2) in
    pixels of the image.

    Args:
        output_size: rows and columns; one number stands for both.
        spatial_scale: cells of the map for a pixel of the image, 1/16 after four halvings.
        fast: call torchvision's kernel; the same numbers.

    Raises:
        ValueError: a size below 1, a scale that is not positive; in `forward` features or boxes of another form, or an
            index of no image.
    """

    def __init__(
        self, output_size: int | tuple[int, int], *, spatial_scale: float = 1.0, fast: bool = False
    ) -> None:
        super().__init__()
        rows, columns = (output_size, output_size) if isinstance(output_size, int) else output_size
        check_positive(rows=rows, columns=columns)
        if not spatial_scale > 0:
            raise ValueError(f"spatial_scale={spatial_scale!r}: expected a positive number")
        self.output_size = (rows, columns)
        self.spatial_scale = spatial_scale
        self.fast = fast

    def forward(self, x: Tensor, boxes: Tensor) -> Tensor:
        """Return one map for each box, (K, C, rows, columns)."""
        check_map(x)
        if boxes.dim() != 2 or boxes.shape[1] != 5:
            raise ValueError(f"boxes of shape {tuple(boxes.shape)}: expected (K, 5): image, x1, y1, x2, y2")
        if len(boxes) and not 0 <= boxes[:, 0].min() <= boxes[:, 0].max() <= len(x) - 1:
            raise ValueError(
                f"boxes name images {sorted(set(boxes[:, 0].tolist()))}: expected 0 to {len(x) - 1}"
            )
        if self.fast:
            return roi_pool(x, boxes.to(x), self.output_size, self.spatial_scale)
        if not len(boxes):
            return x.new_zeros((0, x.shape[1], *self.output_size))
        return torch.stack([self._pool(x[int(image)], corners) for image, *corners in boxes.tolist()])

    def _pool(self, features: Tensor, corners: list[float]) -> Tensor:
        left, top, right, bottom = (_nearest(corner * self.spatial_scale) for corner in corners)
        rows, columns = self.output_size
        height, width = features.shape[1:]
        strips = torch.stack([_largest(features, cut, 1) for cut in _cuts(top, bottom, rows, height)], 1)
        return torch.stack([_largest(strips, cut, 2) for cut in _cuts(left, right, columns, width)], 2)

    def extra_repr(self) -> str:
        """Describe the layer in `print`."""
        return f"output_size={self.output_size}, spatial_scale={self.spatial_scale}, fast={self.fast}"
