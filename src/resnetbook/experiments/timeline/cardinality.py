"""C38: ResNeXt raises accuracy at about equal complexity and lowers the number of parameters.

Design: the ResNeXt for small images with 1, 2, 4 and 8 branches in each block. As the cardinality grows the branches get
narrower (the paper's pairs 1x64d, 2x40d, 4x24d, 8x14d at half of the widths), so that the parameters stay within five
percent and the multiplications within seven. Equal for all arms: depth, output widths, images, order of batches, steps,
warm-up, schedule. First weights are not shared: the shapes of the kernels differ.
Metrics of an arm: those of `fit_and_measure`; multiplications of one image; parameter_ratio, multiplication_ratio and
time_ratio to cardinality 1, the last from training steps of both in turn in one job (processor time of one thread, wall
time on a GPU). The arms "resnet50" and "resnext50" are counted, not trained, at 224 pixels: parameters_saved and
multiplications_saved are 1 - ratio to ResNet-50, so that their sign is the direction and their value the size.
A second set, `--set data=pneumoniamnist`: 500 chest X-rays at 10 px, cardinality 1 and 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from torch import nn

from resnetbook.experiments.timeline._settings import FewImages
from resnetbook.lab import fitting, training
from resnetbook.lab.data import ImageSet
from resnetbook.lab.measuring import seconds_per_step
from resnetbook.lab.running import Context
from resnetbook.principle.counting import count
from resnetbook.timeline.resnet import VARIANTS as RESNETS
from resnetbook.timeline.resnext import VARIANTS as RESNEXTS
from resnetbook.timeline.resnext import CifarResNeXt

COUNTED = {"resnet50": RESNETS["resnet50"], "resnext50": RESNEXTS["resnext50_32x4d"]}


@dataclass(frozen=True)
class Settings(FewImages):
    """The training on few images, depth (9n + 2), a quarter of the stages' output widths, and the pairs that are compared."""

    epochs: int = 8
    depth: int = 11
    widths: tuple[int, ...] = (32, 64, 128)
    cardinalities: tuple[int, ...] = (1, 2, 4, 8)
    group_widths: tuple[int, ...] = (32, 20, 12, 7)  # of one branch, in the first stage


def trained(settings: Settings) -> Sequence[str]:
    """Return one arm for each cardinality."""
    return tuple(f"cardinality-{c}" for c in settings.cardinalities)


def arms(settings: Settings) -> Sequence[str]:
    """Return the counted pair and the arms that are trained."""
    return (*COUNTED, *trained(settings))


def network(settings: Settings, arm: str, data: ImageSet) -> nn.Module:
    """Build "cardinality-C" from torch's random state."""
    cardinality = int(arm.removeprefix("cardinality-"))
    return CifarResNeXt(
        settings.depth,
        cardinality,
        settings.group_widths[settings.cardinalities.index(cardinality)],
        num_classes=len(data.classes),
        in_channels=data.shape[0],
        widths=settings.widths,
    )


@cache
def counted(arm: str) -> dict[str, float]:
    """Return parameters and multiplications of a network of 50 layers, and the shares saved against ResNet-50's."""
    with torch.device("meta"):
        networks = [COUNTED[name] for name in (arm, "resnet50")]
        own, reference = (count(kind(**form), (3, 224, 224)) for kind, form in networks)
    return {
        "parameters": float(own.parameters),
        "multiplications": float(own.multiplications),
        "parameters_saved": 1 - own.parameters / reference.parameters,
        "multiplications_saved": 1 - own.multiplications / reference.multiplications,
    }


def costs(settings: Settings, arm: str, data: ImageSet, device: str) -> dict[str, float]:
    """Return what a network costs, and its ratios to cardinality 1."""
    first, own = (network(settings, name, data) for name in (trained(settings)[0], arm))
    counts = [count(model, data.shape) for model in (first, own)]
    seconds = seconds_per_step((first, own), data, settings.batch_size, training.device(device))
    return {
        "multiplications": float(counts[1].multiplications),
        "parameter_ratio": counts[1].parameters / counts[0].parameters,
        "multiplication_ratio": counts[1].multiplications / counts[0].multiplications,
        "time_ratio": seconds[1] / seconds[0],
    }


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Count one arm, or train it and measure what it costs."""
    if arm in COUNTED:
        return dict(counted(arm))
    _, found = fitting.fit_and_measure(settings, partial(network, settings, arm), seed, context)
    return found | costs(settings, arm, fitting.images_of(settings, seed), context.device)


EXPERIMENT = fitting.experiment(
    __name__, "ResNeXt by cardinality, at equal parameters", claims=("C38",),
    network=network, run=run, arms=arms, tuned_arms=trained,
    scales={
        "live": Settings(epochs=4, rates=(0.05,), widths=(16, 32, 64), group_widths=(16, 10, 6, 4)),
        "quick": Settings(),
        "full": Settings(
            "cifar10_jpeg", train_size=0, epochs=15, batch_size=512, rates=(0.1, 0.3, 1.0), depth=20,
        ),
    },
    variants={
        "quick": (
            Settings(
                "pneumoniamnist", size=10, train_size=500, epochs=6, target_accuracy=0.9,
                cardinalities=(1, 8), group_widths=(32, 7),
            ),
        ),
    },
    seeds={"live": 2, "quick": 16, "full": 5},
)  # fmt: skip
