"""C17: the order BN-ReLU-convolution makes the structure of a residual network optimal.

Design: the five orders of He et al. 2016 (arXiv:1603.05027, figure 4) in one network of 6n + 2 layers: "original" (the ReLU
after the sum), "bn-after" (the second BN after the sum too), "relu-before" (the ReLU moved into the branch's end),
"relu-only" (the branch begins with a ReLU) and "full" (BN and ReLU before each convolution). Equal for all arms: layers,
widths, parameters (shortcuts of type A), initial weights, images, order of batches, steps, warm-up; each arm takes its
best of four learning rates, chosen on validation loss with an extra seed. The lowest was added after a run in which two
orders chose the lowest of three: it can help the rivals of "full" alone. Where a unit leaves something out at its end,
the network makes it up once, behind the last unit; a unit that begins with a BN has none in the stem.
Metric: accuracy on test images at the end; training loss stands beside it. Two readings: "full" is better than each
other order by the margin, or no other order is better than "full". Refuted where another order is better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from resnetbook.experiments.timeline._orders import ORDERS, OrderedResNet
from resnetbook.lab import fitting
from resnetbook.lab.data import ImageSet
from resnetbook.lab.running import Context, Experiment


@dataclass(frozen=True)
class Settings(fitting.Fitting):
    """The training, the depth (6n + 2) and the widths of the stages."""

    epochs: int = 10
    rates: tuple[float, ...] = (0.007, 0.02, 0.05, 0.15)
    depth: int = 56
    widths: tuple[int, ...] = (8, 16, 32)


def arms(settings: Settings) -> Sequence[str]:
    """Return the five orders."""
    return tuple(ORDERS)


def network(settings: Settings, arm: str, data: ImageSet) -> nn.Module:
    """Build the network whose units have the order `arm`."""
    return OrderedResNet(settings.depth, arm, len(data.classes), data.train.images.shape[1], settings.widths)


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Train one order and measure it."""
    data = fitting.images_of(settings)
    return fitting.fit_and_measure(settings, lambda: network(settings, arm, data), data, seed, context)[1]


def tune(settings: Settings, arm: str, context: Context) -> dict[str, Any]:
    """Choose the order's learning rate."""
    data = fitting.images_of(settings)
    return fitting.best_rate(settings, lambda: network(settings, arm, data), data, context)


EXPERIMENT = Experiment(
    name="orders",
    title="The five orders of He et al. 2016 in one network",
    claims=("C17",),
    scales={
        "live": Settings(depth=8, epochs=1, rates=(0.05,)),
        "quick": Settings(),
        "full": Settings(
            data="cifar10_jpeg",
            depth=110,
            widths=(16, 32, 64),
            epochs=60,
            batch_size=128,
            rates=(0.01, 0.03, 0.1, 0.3),
        ),
    },
    arms=arms,
    run=run,
    tune=tune,
    data=fitting.describe,
)
