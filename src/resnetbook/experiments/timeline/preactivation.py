"""C16: ResNet V2 (pre-activation) is easier to train and generalises better.

Design: ResNet ("v1") and ResNet V2 ("v2") at three depths (6n + 2). Equal within a depth: layers, widths, parameters (shortcuts
of type A), initial weights, images, order of batches, steps, warm-up; each arm takes its best of three learning rates,
chosen on validation loss with an extra seed.
Training and test are reported apart: "easier to train" reads, at the greatest depth, the training loss at the end (in eval
mode, on the whole training set) and the epochs until it is `target_loss`; "generalises better" reads the accuracy on test
images. Smaller depths stand beside them: a gain is expected only when deep. Refuted where v2 is not better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from resnetbook.experiments.timeline._orders import OrderedResNet
from resnetbook.lab import fitting
from resnetbook.lab.data import ImageSet
from resnetbook.lab.running import Context, Experiment


@dataclass(frozen=True)
class Settings(fitting.Fitting):
    """The training, the depths (6n + 2) and the widths of the stages."""

    epochs: int = 10
    depths: tuple[int, ...] = (20, 56, 110)
    widths: tuple[int, ...] = (8, 16, 32)


def arms(settings: Settings) -> Sequence[str]:
    """Return v1-D and v2-D for each depth."""
    return tuple(f"{version}-{depth}" for depth in settings.depths for version in ("v1", "v2"))


def network(settings: Settings, arm: str, data: ImageSet) -> nn.Module:
    """Build "v1-D" or "v2-D"; the random state decides its weights, equal for both versions."""
    version, depth = arm.split("-")
    order = {"v1": "original", "v2": "full"}[version]
    return OrderedResNet(int(depth), order, len(data.classes), data.train.images.shape[1], settings.widths)


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Train one network and measure it."""
    data = fitting.images_of(settings)
    return fitting.fit_and_measure(settings, lambda: network(settings, arm, data), data, seed, context)[1]


def tune(settings: Settings, arm: str, context: Context) -> dict[str, Any]:
    """Choose the arm's learning rate."""
    data = fitting.images_of(settings)
    return fitting.best_rate(settings, lambda: network(settings, arm, data), data, context)


EXPERIMENT = Experiment(
    name="preactivation",
    title="ResNet and ResNet V2 by depth",
    claims=("C16",),
    scales={
        "live": Settings(depths=(8, 14), epochs=1, rates=(0.05,)),
        "quick": Settings(),
        "full": Settings(
            data="cifar10_jpeg", widths=(16, 32, 64), epochs=60, batch_size=128, rates=(0.03, 0.1, 0.3)
        ),
    },
    arms=arms,
    run=run,
    tune=tune,
    data=fitting.describe,
)
