"""Images and volumes in another size than their file has, and the words that say so."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional


def check_size(size: Any) -> None:
    """Refuse a side that is not a positive whole number; None is none.

    Raises:
        ValueError: names the value.
    """
    if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
        raise ValueError(f"size={size!r}: expected a positive number of pixels")


def resized(images: Tensor, size: int | None) -> Tensor:
    """Bring images (N, C, H, W) to size x size by antialiased bilinear interpolation; None keeps them.

    Raises:
        ValueError: `size` is not positive.
    """
    check_size(size)
    if size is None or images.shape[-2:] == (size, size):
        return images
    return functional.interpolate(
        images, size=(size, size), mode="bilinear", align_corners=False, antialias=True
    )


def resized_volumes(volumes: Tensor, size: int) -> Tensor:
    """Bring cubes (N, C, side, side, side) to `size`: means of the voxels covered, or linear between voxels.

    Raises:
        ValueError: `size` is not positive.
    """
    check_size(size)
    side = volumes.shape[-1]
    if side == size:
        return volumes
    if size < side:
        return functional.adaptive_avg_pool3d(volumes, size)
    return functional.interpolate(volumes, size=(size,) * 3, mode="trilinear", align_corners=False)


def said(split: str, source: int, size: int | None, *, of: str = "", dimensions: int = 2) -> str:
    """`split`, and that the images were resampled where `size` is not the `source`'s; `of` names the file."""
    if size is None or size == source:
        return split
    new, old = (" x ".join([str(side)] * dimensions) for side in (size, source))
    return f"{split}; resampled to {new} from the {old}{f' of {of}' if of else ''}"
