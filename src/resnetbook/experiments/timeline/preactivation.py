"""C16: ResNet V2 (pre-activation) is easier to train and generalises better.

Design: ResNet ("v1") and ResNet V2 ("v2") at two depths (6n + 2). Equal within a depth: layers, widths, parameters (shortcuts of
type A), initial weights, images, order of batches, steps, warm-up, grid of learning rates; each arm takes the rate with the lowest
training loss for what is read on training images, the one with the lowest validation loss for test images.
"Easier to train" is read at the greater depth, where version 1 is known to be hard to train: the training loss at the end
and the epochs until it is `target_share` of what a guess by class frequencies costs (`lab.targets`), in eval mode on the whole
training set, with batch normalisation's statistics estimated anew after each epoch (`lab.normalisation`), as the two versions'
running averages need not lag alike. "Generalises better" is read at the smaller depth, where both can fit the training set
(`train_accuracy` and `train_loss` stand beside it): at the greater one a better test accuracy may be a better fit and nothing more.
On digits, and on chest X-rays (`--set data=pneumoniamnist`), fewer images in smaller batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from resnetbook.experiments.timeline._orders import OrderedResNet
from resnetbook.lab import fitting, normalisation, targets
from resnetbook.lab.data import ImageSet
from resnetbook.lab.running import Context


@dataclass(frozen=True)
class Settings(fitting.Fitting):
    """The training, the depths (6n + 2), the widths of the stages, and the target as a share of the loss of a guess."""

    epochs: int = 8
    depths: tuple[int, ...] = (56, 110)
    widths: tuple[int, ...] = (8, 16, 32)
    target_share: float = 0.5


def arms(settings: Settings) -> Sequence[str]:
    """Return v1-D and v2-D for each depth."""
    return tuple(f"{version}-{depth}" for depth in settings.depths for version in ("v1", "v2"))


def network(settings: Settings, arm: str, data: ImageSet) -> nn.Module:
    """Build "v1-D" or "v2-D"; the random state decides its weights, equal for both versions."""
    version, depth = arm.split("-")
    order = {"v1": "original", "v2": "full"}[version]
    return OrderedResNet(int(depth), order, len(data.classes), data.shape[0], settings.widths)


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Train one network and measure it."""
    _, found = normalisation.fit_and_measure(network, settings, arm, seed, context)
    labels = fitting.images_of(settings, seed).train.labels
    return found | targets.epochs_to_loss(found["train_curve"], labels, settings.target_share)


EXPERIMENT = fitting.experiment(
    __name__, "ResNet and ResNet V2 by depth", claims=("C16",),
    network=network, arms=arms, run=run, score=partial(normalisation.score, network),
    scales={
        "live": Settings(depths=(8, 14), epochs=1, rates=(0.05,)),
        "quick": Settings(),
        "full": Settings(
            "cifar10_jpeg", train_size=8000, epochs=12, batch_size=512, rates=(0.1, 0.3, 1.0),
            widths=(16, 32, 64),
        ),
    },
    variants={"quick": (Settings("pneumoniamnist", size=14, train_size=300, batch_size=25),)},
)  # fmt: skip
