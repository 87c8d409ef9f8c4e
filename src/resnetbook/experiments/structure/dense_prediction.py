"""C60: what a fully connected layer does, a convolution can do.

Design: a classifier (two convolutions, then a linear layer on the flattened map) with weights drawn by the seed, and the same
with its linear layer turned into a convolution. On images of the classifier's own size both give one answer; on larger ones the
convolutions give a map, compared with the classifier on every crop, cut out and computed by itself. Metric: the largest
difference over the largest answer, in double precision. Nothing is trained.
The trunk has no padding: with padding a crop's border differs from the same place inside a larger image, and so do the
answers. `padded` is that difference; it decides nothing, and the page says it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from resnetbook.lab.running import Context, Experiment
from resnetbook.structure.fully_connected import fc_to_conv
from resnetbook.structure.fully_connected.convolutional import slide


@dataclass(frozen=True)
class Settings:
    """Side of the classifier's images and of the larger ones, images, channels and classes."""

    size: int = 24
    larger: int = 40
    images: int = 4
    channels: int = 8
    classes: int = 10


def arms(settings: Settings) -> Sequence[str]:
    """Return the two sizes of image."""
    return ("same size", "larger")


def difference(settings: Settings, side: int, padding: int, generator: torch.Generator) -> float:
    """Return the largest difference between map and crops, over the largest answer."""

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    trunk = nn.Sequential(
        nn.Conv2d(1, settings.channels, 4, 2, padding),
        nn.ReLU(),
        nn.Conv2d(settings.channels, settings.channels, 3, 2, padding),
        nn.ReLU(),
    ).double()
    cell = trunk(torch.zeros(1, 1, settings.size, settings.size, dtype=torch.float64)).shape[2]
    linear = nn.Linear(settings.channels * cell**2, settings.classes).double()
    with torch.no_grad():
        for parameter in [*trunk.parameters(), *linear.parameters()]:
            parameter.copy_(drawn(*parameter.shape) / parameter[0].numel() ** 0.5)
        images = drawn(settings.images, 1, side, side)
        crops = slide(nn.Sequential(trunk, nn.Flatten(), linear), images, settings.size, 4)
        answers = fc_to_conv(linear, settings.channels, cell, cell)(trunk(images))
        answers = answers[..., : crops.shape[2], : crops.shape[3]]
    return float((answers - crops).abs().max() / crops.abs().max())


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Compare."""
    side = settings.size if arm == "same size" else settings.larger
    generator = torch.Generator().manual_seed(seed)
    return {
        "difference": difference(settings, side, 0, generator),
        "padded": difference(settings, side, 1, generator),
    }


EXPERIMENT = Experiment(
    name="dense_prediction", title="A classifier slid over the image, in one pass", claims=("C60",),
    scales={"live": Settings(), "quick": Settings(), "full": Settings()},
    arms=arms, run=run,
)  # fmt: skip
