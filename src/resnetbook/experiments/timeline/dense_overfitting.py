"""C30: dense connection eases overfitting.

Design: DenseNet-BC-22, ResNet-20 (basic blocks) and pre-activation ResNet-29 with bottlenecks, which shares with DenseNet-BC
all but the concatenation, trained on few images without augmentation. Equal: parameters (within 2 %), images, order of batches,
epochs, schedule; each arm takes its best of three learning rates, chosen on validation loss with an extra seed. Arms are
"densenet-few", "densenet-more" and so on: network, and the first or second of `train_sizes`.
gap: training minus test accuracy, at the end, in eval mode. test_accuracy, test_loss, train_loss beside it: a network that does
not fit its training images has a small gap too.
Refuted if DenseNet's gap is not smaller; read apart, if its test accuracy is not higher.

Record beside the one on digits: `--set data=pneumoniamnist` (200 chest X-rays at 14 px).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from resnetbook.lab import fitting
from resnetbook.lab.data import ImageSet
from resnetbook.lab.fitting import Fitting
from resnetbook.lab.running import Context, Experiment


@dataclass(frozen=True)
class Settings(Fitting):
    """One or two numbers of training images, and sizes of the networks, chosen so that parameters are equal."""

    epochs: int = 30
    batch_size: int = 32
    train_sizes: tuple[int, ...] = (100, 300)
    densenet_depth: int = 22
    resnet_depth: int = 20
    preact_depth: int = 29
    growth_rate: int = 8  # 32,318 parameters on digits
    resnet_widths: tuple[int, ...] = (5, 11, 22)  # 31,989
    preact_widths: tuple[int, ...] = (5, 10, 20)  # 31,925


def arms(settings: Settings) -> Sequence[str]:
    """Return each network with each number of images."""
    names = ("few", "more")[: len(settings.train_sizes)]
    return tuple(f"{kind}-{name}" for name in names for kind in ("densenet", "resnet", "preact"))


def network(settings: Settings, arm: str, data: ImageSet) -> nn.Module:
    """Build an arm's network."""
    from resnetbook.timeline.densenet import CifarDenseNet
    from resnetbook.timeline.resnet import CifarResNet
    from resnetbook.timeline.resnet_v2 import PreActResNet

    of: dict[str, Any] = {"num_classes": len(data.classes), "in_channels": data.train.images.shape[1]}
    kind = arm.split("-")[0]
    if kind == "densenet":
        return CifarDenseNet(settings.densenet_depth, settings.growth_rate, **of)
    if kind == "resnet":
        return CifarResNet(settings.resnet_depth, widths=settings.resnet_widths, **of)
    return PreActResNet(settings.preact_depth, bottleneck=True, widths=settings.preact_widths, **of)


def _with_images(settings: Settings, arm: str) -> Settings:
    sizes = dict(zip(("few", "more"), settings.train_sizes, strict=False))
    return dataclasses.replace(settings, train_size=sizes[arm.split("-")[1]])


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Train one network on few images and measure it."""
    settings = _with_images(settings, arm)
    data = fitting.images_of(settings)
    _, found = fitting.fit_and_measure(settings, lambda: network(settings, arm, data), data, seed, context)
    return found


def tune(settings: Settings, arm: str, context: Context) -> dict[str, Any]:
    """Choose the arm's learning rate."""
    settings = _with_images(settings, arm)
    data = fitting.images_of(settings)
    return fitting.best_rate(settings, lambda: network(settings, arm, data), data, context)


EXPERIMENT = Experiment(
    name="dense_overfitting",
    title="DenseNet and ResNets of equal size on few images",
    claims=("C30",),
    scales={
        "live": Settings(epochs=2, train_sizes=(100,), rates=(0.05,)),
        "quick": Settings(),
        "full": Settings(
            data="cifar10_jpeg", epochs=60, batch_size=128, rates=(0.03, 0.1, 0.3), train_sizes=(1000, 5000),
            densenet_depth=40, growth_rate=12, resnet_widths=(13, 26, 52), preact_widths=(12, 24, 48),
        ),
    },
    variants={
        "quick": (Settings("pneumoniamnist", size=14, epochs=20, train_sizes=(200,)),),
    },
    arms=arms,
    run=run,
    tune=tune,
    data=fitting.describe,
)  # fmt: skip
