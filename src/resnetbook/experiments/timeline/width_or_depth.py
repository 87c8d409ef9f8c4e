"""C20: less depth and more width train faster. C22: a wide residual network is better than a residual network.

Design: two pre-activation networks of one class with equally many parameters (within 3 %): "wide", WRN-10-3, has three
blocks of three times the width; "deep", WRN-46-1, which is the ResNet V2 of 44 layers, has 21. Equal besides: images, order of
batches, epochs, warm-up, grid of learning rates; each arm takes its best rate, chosen on validation loss with an extra seed.
The networks do not multiply equally often (`multiplications`, for one image), so that time is read in three ways:
`images_per_second` of a training step; `multiplications_per_second`, the same for each multiplication of the forward pass,
which says how well the machine is used; `seconds_to_accuracy`, the epochs until the validation accuracy `target_accuracy`
(never: epochs + 1) times the seconds of an epoch. Seconds are processor time with one thread (wall time on a GPU): the median
of five repeats after two warm-ups, both networks in turn within the same run.
C20 is refuted if the wide network is not faster by 10 %, C22 if it is not more accurate on test images by the margin.
Record beside the one on digits: `--set data=cifar10_jpeg`, 1,000 images at 16 px.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from torch import nn

from resnetbook.lab import fitting, training
from resnetbook.lab.data import ImageSet, draw
from resnetbook.lab.measuring import seconds_per_step
from resnetbook.lab.running import Context, Experiment


@dataclass(frozen=True)
class Settings(fitting.Fitting):
    """The training, and depth (6n + 4) and factor of both networks; `widths` before widening."""

    train_size: int = 300
    validation_size: int = 1000  # most validation images that are used
    epochs: int = 20
    batch_size: int = 32
    rates: tuple[float, ...] = (0.02, 0.05, 0.15, 0.4)
    target_accuracy: float = 0.9
    wide: tuple[int, int] = (10, 3)
    deep: tuple[int, int] = (46, 1)
    widths: tuple[int, ...] = (8, 16, 32)


@cache
def images_of(settings: Settings) -> ImageSet:
    """Load the set, with no more validation images than asked for."""
    data = fitting.images_of(settings)
    if len(data.validation) <= settings.validation_size:
        return data
    return replace(data, validation=draw(data.validation, settings.validation_size))


def arms(settings: Settings) -> Sequence[str]:
    """Return both networks."""
    return ("wide", "deep")


def network(settings: Settings, arm: str, data: ImageSet) -> nn.Module:
    """Build an arm's network."""
    from resnetbook.timeline.wide_resnet import WideResNet

    depth, factor = settings.wide if arm == "wide" else settings.deep
    return WideResNet(
        depth,
        factor,
        num_classes=len(data.classes),
        in_channels=data.train.images.shape[1],
        widths=settings.widths,
    )


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Train one network, measure it and time it beside the other one."""
    from resnetbook.principle.counting import count

    data = images_of(settings)
    training.seed_everything(seed)
    pair = [network(settings, name, data) for name in arms(settings)]
    times = seconds_per_step(pair, data, settings.batch_size, training.device(context.device))
    seconds = dict(zip(arms(settings), times, strict=True))[arm]
    model, found = fitting.fit_and_measure(
        settings, lambda: network(settings, arm, data), data, seed, context
    )
    multiplications = count(model, data.train.images.shape[1:]).multiplications
    steps = math.ceil(len(data.train) / settings.batch_size)
    batch = min(settings.batch_size, len(data.train))
    return {
        **found,
        "multiplications": float(multiplications),
        "seconds_per_step": seconds,
        "images_per_second": batch / seconds,
        "multiplications_per_second": batch / seconds * multiplications,
        "seconds_to_accuracy": found["epochs_to_accuracy"] * steps * seconds,
    }


def tune(settings: Settings, arm: str, context: Context) -> dict[str, Any]:
    """Choose the arm's learning rate."""
    data = images_of(settings)
    return fitting.best_rate(settings, lambda: network(settings, arm, data), data, context)


EXPERIMENT = Experiment(
    name="width_or_depth",
    title="A wide and a deep residual network of equal parameters",
    claims=("C20", "C22"),
    scales={
        "live": Settings(epochs=2, rates=(0.05,)),
        "quick": Settings(),
        "full": Settings(
            data="cifar10_jpeg",
            train_size=0,
            validation_size=5000,
            epochs=60,
            batch_size=128,
            rates=(0.03, 0.1, 0.3),
            wide=(16, 4),
            deep=(172, 1),
            widths=(16, 32, 64),
        ),
    },
    variants={
        "quick": (
            Settings(
                "cifar10_jpeg", size=16, train_size=1000, validation_size=500, epochs=10, target_accuracy=0.3
            ),
        ),
    },
    arms=arms,
    run=run,
    tune=tune,
    data=fitting.describe,
)
