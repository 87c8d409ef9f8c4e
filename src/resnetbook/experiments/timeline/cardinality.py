"""C38: ResNeXt raises accuracy at about equal complexity and lowers the number of parameters.

Design: the ResNeXt for small images with 1, 2, 4 and 8 branches in each block. As the cardinality grows the branches get
narrower (the paper's pairs 1x64d, 2x40d, 4x24d, 8x14d at half of the widths), so that the parameters stay within five
percent and the multiplications within seven; depth, output widths, images, order of batches, epochs, schedule are equal; each arm takes
its best of three learning rates, chosen on validation loss with an extra seed.
Metrics of an arm: those of `_fitting.measure`; multiplications of one image; parameter_ratio, multiplication_ratio and
time_ratio to cardinality 1 (training steps of both in turn, processor time of one thread, wall time on a GPU).
The arms "resnet50" and "resnext50" are counted, not trained: parameters and multiplications at 224 pixels.
Refuted: accuracy does not rise from cardinality 1 to 8; a step takes over ten percent more time; ResNeXt-50 does not have
fewer parameters than ResNet-50 by the margin of ten percent, or has over ten percent more multiplications.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from resnetbook.lab import fitting, training
from resnetbook.lab.data import ImageSet
from resnetbook.lab.measuring import seconds_per_step
from resnetbook.lab.running import Context, Experiment

COUNTED = {"resnet50": "resnet50", "resnext50": "resnext50_32x4d"}


@dataclass(frozen=True)
class Settings(fitting.Fitting):
    """Depth (9n + 2), a quarter of the stages' output widths, and the pairs that are compared."""

    train_size: int = 300
    batch_size: int = 32
    depth: int = 11
    widths: tuple[int, ...] = (32, 64, 128)
    cardinalities: tuple[int, ...] = (1, 2, 4, 8)
    group_widths: tuple[int, ...] = (32, 20, 12, 7)  # of one branch, in the first stage


def arms(settings: Settings) -> Sequence[str]:
    """Return the counted pair and one arm for each cardinality."""
    return (*COUNTED, *(f"cardinality-{c}" for c in settings.cardinalities))


def network(settings: Settings, arm: str, data: ImageSet) -> nn.Module:
    """Build "cardinality-C" from torch's random state."""
    from resnetbook.timeline.resnext import CifarResNeXt

    cardinality = int(arm.removeprefix("cardinality-"))
    return CifarResNeXt(
        settings.depth,
        cardinality,
        settings.group_widths[settings.cardinalities.index(cardinality)],
        num_classes=len(data.classes),
        in_channels=data.train.images.shape[1],
        widths=settings.widths,
    )


def counted(arm: str) -> dict[str, Any]:
    """Return parameters and multiplications of a network of 50 layers, and their ratios to ResNet-50's."""
    import torch

    from resnetbook.principle.counting import count
    from resnetbook.timeline import resnet, resnext

    with torch.device("meta"):
        networks = [{**resnet.VARIANTS, **resnext.VARIANTS}[COUNTED[name]] for name in (arm, "resnet50")]
        own, reference = (count(kind(**form), (3, 224, 224)) for kind, form in networks)
    return {
        "parameters": float(own.parameters),
        "multiplications": float(own.multiplications),
        "parameter_ratio": own.parameters / reference.parameters,
        "multiplication_ratio": own.multiplications / reference.multiplications,
    }


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Count one arm or train it; seconds are measured before the training."""
    if arm in COUNTED:
        return counted(arm)
    from resnetbook.principle.counting import count

    data = fitting.images_of(settings)
    training.seed_everything(seed)
    first, own = (network(settings, name, data) for name in (arms(settings)[len(COUNTED)], arm))
    shape = tuple(data.train.images.shape[1:])
    counts = [count(model, shape) for model in (first, own)]
    seconds = seconds_per_step((first, own), data, settings.batch_size, training.device(context.device))
    _, found = fitting.fit_and_measure(settings, lambda: network(settings, arm, data), data, seed, context)
    return {
        **found,
        "multiplications": float(counts[1].multiplications),
        "parameter_ratio": counts[1].parameters / counts[0].parameters,
        "multiplication_ratio": counts[1].multiplications / counts[0].multiplications,
        "time_ratio": seconds[1] / seconds[0],
    }


def tune(settings: Settings, arm: str, context: Context) -> dict[str, Any]:
    """Choose the arm's learning rate; counting needs none."""
    if arm in COUNTED:
        return {}
    data = fitting.images_of(settings)
    return fitting.best_rate(settings, lambda: network(settings, arm, data), data, context)


EXPERIMENT = Experiment(
    name="cardinality",
    title="ResNeXt by cardinality, at equal parameters",
    claims=("C38",),
    scales={
        "live": Settings(epochs=4, rates=(0.05,), widths=(16, 32, 64), group_widths=(16, 10, 6, 4)),
        "quick": Settings(),
        "full": Settings(
            data="cifar10_jpeg",
            train_size=0,
            depth=29,
            widths=(64, 128, 256),
            group_widths=(64, 40, 24, 14),
            epochs=60,
            batch_size=128,
            rates=(0.03, 0.1, 0.3),
        ),
    },
    variants={
        "quick": (Settings("pneumoniamnist", size=10, epochs=8, target_accuracy=0.9),),
    },
    arms=arms,
    run=run,
    tune=tune,
    data=fitting.describe,
)
