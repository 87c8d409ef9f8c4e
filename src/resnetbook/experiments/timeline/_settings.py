"""Trainings that several experiments of section 3 share."""

from __future__ import annotations

from dataclasses import dataclass

from resnetbook.lab import fitting


@dataclass(frozen=True)
class FewImages(fitting.Fitting):
    """A training on 300 images in batches of 32."""

    train_size: int = 300
    batch_size: int = 32


@dataclass(frozen=True)
class Photographs(fitting.Fitting):
    """A training on photographs of 16 pixels in batches of 32."""

    data: str = "cifar10_jpeg"
    size: int = 16
    batch_size: int = 32
    validation_size: int = 500  # most validation images that are used
