"""C12: pooling gives a network strong robustness.

Design: a CNN of three stages, convolution - batch norm - ReLU - halving, and one linear layer on the last 4x4 maps (32-px
canvas). The arms differ in how a stage halves its maps: the maximum of each 2x2 window ("max"), its mean ("average"), or its
first pixel ("strided": a convolution of stride 2 computes just these). So stride is the control that pools nothing and differs in
nothing else. "dilated" does not halve at all: dilated convolutions (1, 2, 4) keep the full resolution and every eighth
pixel of the last maps goes to the linear layer, so that no arm hides behind global pooling. It stands beside the others and
decides nothing: it has another field of view as well.
They train on centred images without augmentation and are tested on images shifted by 1-3 px (mean over four directions) and
with Gaussian noise (standard deviations of the training images; mean over two drawings, the same for all arms and seeds).
Equal: parameters, initial weights, images, batches, epochs; each arm takes its best rate. Not equal: multiplications (a
strided convolution is computed at a quarter of the places) and so the number of places over which batch norm takes its means.
Metrics: accuracy under the change over accuracy as it is, the mean over the levels.
Refuted for shifts, or for noise, if max or average pooling keeps no more than the strided convolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from resnetbook.experiments.principle import _canvas
from resnetbook.lab import measuring
from resnetbook.lab.data import ImageSet, Part, transforms


@dataclass(frozen=True)
class Settings(_canvas.Settings):
    """Picture and canvas (a multiple of 8), the training, widths, the changes and the drawings of noise."""

    epochs: int = 8
    widths: tuple[int, ...] = (8, 16, 32)
    shifts: tuple[int, ...] = (1, 2, 3)
    noises: tuple[float, ...] = (0.25, 0.5, 1.0)
    drawings: int = 2


class Subsample(nn.Module):
    """Keep every `step`-th pixel: what is left has the size that pooling would leave."""

    def __init__(self, step: int):
        super().__init__()
        self.step = step

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, H / step, W / step)."""
        return x[:, :, :: self.step, :: self.step]


def network(settings: Settings, arm: str, data: ImageSet) -> nn.Sequential:
    """Build the CNN with one way of halving: "max", "average", "strided" or "dilated"."""
    if arm not in arms(settings):
        raise ValueError(f"arm is {arm!r}: expected one of {arms(settings)}")
    layers: list[nn.Module] = []
    before = data.shape[0]
    for stage, width in enumerate(settings.widths):
        dilation = 2**stage if arm == "dilated" else 1
        stride = 2 if arm == "strided" else 1
        convolution = nn.Conv2d(
            before, width, 3, stride=stride, padding=dilation, dilation=dilation, bias=False
        )
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        layers += [convolution, nn.BatchNorm2d(width), nn.ReLU()]
        if arm == "max":
            layers.append(nn.MaxPool2d(2))
        elif arm == "average":
            layers.append(nn.AvgPool2d(2))
        before = width
    halved = 2 ** len(settings.widths)
    if arm == "dilated":
        layers.append(Subsample(halved))
    side = settings.canvas // halved
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(before * side**2, len(data.classes)))


def arms(settings: Settings) -> Sequence[str]:
    """Return the ways of halving."""
    return ("max", "average", "strided", "dilated")


def measure(
    settings: Settings, model: nn.Module, test: Part, clean: Tensor
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Measure accuracy under shift and noise."""
    shifts = {by: measuring.shifts(by) for by in settings.shifts}
    noises = {
        deviation: [
            partial(transforms.noise, deviation=deviation, seed=seed) for seed in range(settings.drawings)
        ]
        for deviation in settings.noises
    }
    moved = _canvas.under(model, test, clean, "shift", shifts, {"": settings.shifts})
    noisy = _canvas.under(model, test, clean, "noise", noises, {"": settings.noises})
    return moved[0] | noisy[0], moved[1] | noisy[1]


EXPERIMENT = _canvas.experiment(
    __name__, "Max pooling, average pooling, stride or dilation under shift and noise", claims=("C12",),
    network=network, measure=measure, arms=arms,
    scales={
        "live": Settings(epochs=2, rates=(0.03,), widths=(4, 8, 16)),
        "quick": Settings(),
        "full": Settings("mednist_small", picture=48, canvas=64, widths=(16, 32, 64), epochs=15),
    },
    variants={"quick": (Settings("mednist_small", picture=24, train_size=720),)},
)  # fmt: skip
