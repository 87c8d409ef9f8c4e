"""C20: less depth and more width train faster. C22: a wide residual network is better than a residual network.

Design: two pre-activation networks of one class with equally many parameters (within 3 %): "wide", WRN-10-3, has three
blocks of three times the width; "deep", WRN-46-1, which is the ResNet V2 of 44 layers, has 21. Equal besides: images, order of
batches, epochs, warm-up, grid of learning rates; each arm takes the rate with the lowest training loss for what is read on training
images, the one with the lowest validation loss for test images.
The networks do not multiply equally often (`multiplications`, for one image), so that time is read in three ways:
`images_per_second` of a training step; `multiplications_per_second`, the same for each multiplication of the forward pass,
which says how well the machine is used; `seconds_to_loss`, the epochs until the training loss is `target_share` of what a guess by
class frequencies costs (`lab.targets`) times the seconds of an epoch. The loss is that in eval mode with batch normalisation's
statistics estimated anew after each epoch (`lab.normalisation`): running averages lag more in the deeper network. Seconds are processor time with one thread (wall time on a
GPU): the median of five repeats after two warm-ups, both networks in turn within the same run.
C22 is read at these equal parameters, on test images: "better" as a network of more parameters, as published, is another question.
On digits, on chest X-rays (`--set data=pneumoniamnist`), and on small photographs (`--set data=cifar10_jpeg`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from resnetbook.experiments.timeline._settings import FewImages
from resnetbook.lab import fitting, normalisation, targets, training
from resnetbook.lab.data import ImageSet
from resnetbook.lab.running import Context
from resnetbook.principle.counting import count
from resnetbook.timeline.wide_resnet import WideResNet

ARMS = ("wide", "deep")


@dataclass(frozen=True)
class Settings(FewImages):
    """The training on few images, depth (6n + 4) and factor of both networks, `widths` before widening, and the target."""

    validation_size: int = 500  # most validation images that are used
    epochs: int = 20
    target_share: float = 0.5
    wide: tuple[int, int] = (10, 3)
    deep: tuple[int, int] = (46, 1)
    widths: tuple[int, ...] = (8, 16, 32)


def arms(settings: Settings) -> Sequence[str]:
    """Return both networks."""
    return ARMS


def network(settings: Settings, arm: str, data: ImageSet) -> nn.Module:
    """Build an arm's network."""
    depth, factor = settings.wide if arm == "wide" else settings.deep
    return WideResNet(
        depth,
        factor,
        num_classes=len(data.classes),
        in_channels=data.shape[0],
        widths=settings.widths,
    )


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Train one network, measure it and time it beside the other one."""
    data = fitting.images_of(settings, seed)
    training.seed_everything(seed)
    pair = [network(settings, name, data) for name in ARMS]
    step, epoch = targets.seconds_of(pair, settings, data, context.device, ARMS.index(arm))
    model, found = normalisation.fit_and_measure(network, settings, arm, seed, context)
    found |= targets.epochs_to_loss(found["train_curve"], data.train.labels, settings.target_share)
    multiplications = count(model, data.shape).multiplications
    images = min(settings.batch_size, len(data.train)) / step
    return {
        **found,
        "multiplications": float(multiplications),
        "seconds_per_step": step,
        "images_per_second": images,
        "multiplications_per_second": images * multiplications,
        "seconds_to_loss": found["epochs_to_loss"] * epoch,
        "seconds_to_loss_reached": found["epochs_to_loss_reached"],
    }


EXPERIMENT = fitting.experiment(
    __name__, "A wide and a deep residual network of equal parameters", claims=("C20", "C22"),
    network=network, arms=arms, run=run, score=partial(normalisation.score, network),
    scales={
        "live": Settings(epochs=2, rates=(0.05,)),
        "quick": Settings(),
        "full": Settings(
            "cifar10_jpeg", train_size=20_000, validation_size=0, epochs=15, batch_size=512,
            rates=(0.1, 0.3, 1.0), widths=(16, 32, 64),
        ),
    },
    variants={
        "quick": (
            Settings("pneumoniamnist", size=14),
            Settings("cifar10_jpeg", size=16, train_size=1000, epochs=10),
        ),
    },
)  # fmt: skip
