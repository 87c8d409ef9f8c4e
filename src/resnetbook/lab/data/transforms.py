"""Shift, turn, scale and disturb images, to measure how robust a network is.

All functions take images (N, C, H, W) and return the same shape. What comes in at the edges has the
value `fill`; by default the smallest value of the batch, which is the background of digits on a dark
canvas, standardised or not.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def _check(images: Tensor) -> None:
    if images.ndim != 4 or not images.is_floating_point():
        raise ValueError(
            f"images: shape {tuple(images.shape)}, {images.dtype}; expected (N, C, H, W), floating point"
        )


def _warp(images: Tensor, matrix: Tensor, fill: float | None) -> Tensor:
    """Sample images at `matrix` (2, 3) applied to output coordinates in [-1, 1], bilinearly."""
    _check(images)
    value = float(images.min()) if fill is None else fill
    theta = matrix.to(images).expand(len(images), 2, 3)
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    # Zero padding of (images - value) is padding by `value`.
    moved = functional.grid_sample(images - value, grid, padding_mode="zeros", align_corners=False)
    return moved + value


def shift(images: Tensor, dy: float, dx: float, *, fill: float | None = None) -> Tensor:
    """Move the content by dy pixels down and dx pixels right; whole pixels are moved exactly.

    Raises:
        ValueError: `images` is not (N, C, H, W) of floats.
    """
    _check(images)
    if float(dy).is_integer() and float(dx).is_integer():
        value = float(images.min()) if fill is None else fill
        height, width = images.shape[-2:]
        dy, dx = int(dy), int(dx)
        moved = torch.full_like(images, value)
        if abs(dy) < height and abs(dx) < width:
            target = (slice(max(dy, 0), height + min(dy, 0)), slice(max(dx, 0), width + min(dx, 0)))
            source = (slice(max(-dy, 0), height + min(-dy, 0)), slice(max(-dx, 0), width + min(-dx, 0)))
            moved[..., target[0], target[1]] = images[..., source[0], source[1]]
        return moved
    height, width = images.shape[-2:]
    return _warp(images, torch.tensor([[1, 0, -2 * dx / width], [0, 1, -2 * dy / height]]), fill)


def rotate(images: Tensor, degrees: float, *, fill: float | None = None) -> Tensor:
    """Turn the content about its centre, counter-clockwise as it is seen (rows run downward).

    Raises:
        ValueError: `images` is not (N, C, H, W) of floats.
    """
    _check(images)
    height, width = images.shape[-2:]
    angle = math.radians(degrees)
    cos, sin = math.cos(angle), math.sin(angle)
    # Output to input, in units of half a side: the ratio of the sides keeps pixels square.
    return _warp(
        images, torch.tensor([[cos, -sin * height / width, 0], [sin * width / height, cos, 0]]), fill
    )


def scale(images: Tensor, factor: float, *, fill: float | None = None) -> Tensor:
    """Enlarge (factor > 1) or shrink the content about the centre, on the same canvas.

    Raises:
        ValueError: `factor` is not positive, or `images` is not (N, C, H, W) of floats.
    """
    if factor <= 0:
        raise ValueError(f"factor={factor}: expected a positive number")
    return _warp(images, torch.tensor([[1 / factor, 0, 0], [0, 1 / factor, 0]]), fill)


def noise(images: Tensor, deviation: float, *, seed: int = 0) -> Tensor:
    """Add Gaussian noise of the given standard deviation, the same for the same seed on every device.

    Raises:
        ValueError: `deviation` is negative, or `images` is not (N, C, H, W) of floats.
    """
    _check(images)
    if deviation < 0:
        raise ValueError(f"deviation={deviation}: expected 0 or more")
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(images.shape, generator=generator, dtype=torch.float32)
    return images + deviation * drawn.to(images)
