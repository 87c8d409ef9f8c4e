"""C14: the fully connected layer reduces the effect of position on the classification.

Design: the same convolutional trunk (three convolutions, two with max pooling: it looks at every fourth pixel) with two heads.
"fc": the last maps are flattened and go to one fully connected layer. "gap": global average pooling, then a fully connected
layer. A mean followed by a linear layer is a linear layer on all places that has the same weights at each; so the heads
differ in one thing, whether the weights may depend on the place. Both begin as one function: the flattened head's first weights
are those of the pooled one, repeated at each place and divided by their number.
Both train on centred images without augmentation and are tested on images shifted by 1-8 px (mean over four directions),
all of the picture still on the canvas. Equal: the trunk and its initial weights, images, order of batches, epochs; each head
takes its best rate. Not equal: parameters, of which the flattened head has more: its weights for each place.
Metric: accuracy under shift over accuracy as it is, for the whole curve of shifts (`shift_kept`) and for one pixel
(`shift_one_kept`). The two may differ: what the trunk sees comes back after 4 and after 8 px, and is another in between.
Refuted if the fully connected head keeps no more accuracy than the pooled one: then it is pooling that does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from resnetbook.experiments.principle import _canvas
from resnetbook.lab import measuring
from resnetbook.lab.data import ImageSet, Part


@dataclass(frozen=True)
class Settings(_canvas.Settings):
    """Picture and canvas (a multiple of 4), widths of the trunk, training and shifts."""

    picture: int = 12
    canvas: int = 28
    widths: tuple[int, int, int] = (16, 32, 32)
    shifts: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)


def network(settings: Settings, arm: str, data: ImageSet) -> nn.Sequential:
    """Build trunk and head, "fc" or "gap"; one random state gives both the same trunk and the same function."""
    if arm not in arms(settings):
        raise ValueError(f"arm is {arm!r}: expected one of {arms(settings)}")
    trunk = nn.Sequential()
    before = data.shape[0]
    for stage, width in enumerate(settings.widths):
        convolution = nn.Conv2d(before, width, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        trunk.extend([convolution, nn.BatchNorm2d(width), nn.ReLU()])
        if stage < 2:
            trunk.append(nn.MaxPool2d(2))
        before = width
    pooled = nn.Linear(before, len(data.classes))
    if arm == "gap":
        return nn.Sequential(trunk, nn.AdaptiveAvgPool2d(1), nn.Flatten(), pooled)
    places = (settings.canvas // 4) ** 2
    head = nn.Linear(before * places, len(data.classes))
    with torch.no_grad():
        head.weight.copy_(pooled.weight.repeat_interleave(places, 1) / places)
        head.bias.copy_(pooled.bias)
    return nn.Sequential(trunk, nn.Flatten(), head)


def arms(settings: Settings) -> Sequence[str]:
    """Return the two heads."""
    return ("fc", "gap")


def measure(
    settings: Settings, model: nn.Module, test: Part, clean: Tensor
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Measure accuracy under each shift."""
    levels = {by: measuring.shifts(by) for by in settings.shifts}
    sizes = {"": settings.shifts, "one": settings.shifts[:1]}
    return _canvas.under(model, test, clean, "shift", levels, sizes)


EXPERIMENT = _canvas.experiment(
    __name__, "Flattened and globally pooled heads on shifted images", claims=("C14",),
    network=network, measure=measure, arms=arms,
    scales={
        "live": Settings(epochs=3, rates=(0.03,), widths=(8, 16, 16)),
        "quick": Settings(),
        "full": Settings("mednist_small", picture=48, canvas=64, widths=(32, 64, 64), epochs=15),
    },
    variants={"quick": (Settings("mednist_small", picture=16, canvas=32, train_size=720),)},
)  # fmt: skip
