"""C17: the order BN-ReLU-convolution makes the structure of a residual network optimal.

Design: the five orders of He et al. 2016 (arXiv:1603.05027, figure 4) in one network of 6n + 2 layers: "original" (the ReLU
after the sum), "bn-after" (the second BN after the sum too), "relu-before" (the ReLU moved into the branch's end),
"relu-only" (the branch begins with a ReLU) and "full" (BN and ReLU before each convolution). Equal for all arms: layers,
widths, parameters (shortcuts of type A), initial weights, images, order of batches, steps, warm-up. Where a unit leaves
something out at its end, the network makes it up once, behind the last unit; a unit that begins with a BN has none in the stem.
Each arm takes its rate by validation loss for what is read on test images. Metric: accuracy on test images at the end, full
pre-activation against each of the others, in both directions: better than it, and no worse than it. Training loss stands beside it.
On digits, and on chest X-rays (`--set data=pneumoniamnist`) with fewer layers, images and steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from resnetbook.experiments.timeline._orders import ORDERS, OrderedResNet
from resnetbook.lab import fitting
from resnetbook.lab.data import ImageSet


@dataclass(frozen=True)
class Settings(fitting.Fitting):
    """The training, the depth (6n + 2) and the widths of the stages."""

    epochs: int = 8
    depth: int = 56
    widths: tuple[int, ...] = (8, 16, 32)


def arms(settings: Settings) -> Sequence[str]:
    """Return the five orders."""
    return tuple(ORDERS)


def network(settings: Settings, arm: str, data: ImageSet) -> nn.Module:
    """Build the network of an order."""
    return OrderedResNet(settings.depth, arm, len(data.classes), data.shape[0], settings.widths)


EXPERIMENT = fitting.experiment(
    __name__, "The five orders of BN, ReLU and convolution", claims=("C17",),
    network=network, arms=arms,
    scales={
        "live": Settings(depth=20, epochs=3, rates=(0.05,)),
        "quick": Settings(),
        "full": Settings(
            "cifar10_jpeg", train_size=8000, epochs=15, batch_size=512, rates=(0.1, 0.3, 1.0),
            widths=(16, 32, 64),
        ),
    },
    variants={
        "quick": (Settings("pneumoniamnist", size=14, train_size=600, epochs=8, batch_size=50, depth=32),),
    },
)  # fmt: skip
