"""C30: dense connection eases overfitting.

Design: DenseNet-BC-22, ResNet-20 (basic blocks) and pre-activation ResNet-29 with bottlenecks, which shares with DenseNet-BC
all but the concatenation, trained on few images without augmentation. Equal: parameters (within 2 %), images, order of batches,
steps, warm-up, schedule. Arms are "densenet-few", "densenet-more" and so on: network, and the first or second of `train_sizes`.
What is overfitting? Where every training image is learned, training minus test accuracy is the error on test images under
another name, and a network that fits less has a smaller gap. So two things decide, both at the rate with the lowest validation
loss. `fit_loss`, the test loss at equal training loss: where the training loss (eval mode, after each epoch) first comes to
`fit_share` of what guessing costs, each test image's loss is read on the straight line between the two epochs around it; a lower
one means that the same fit has been bought with less of what does not carry over. Where that is not reached it is read at the
end, and `fit_loss_reached` is 0. Statistics of batch normalisation are estimated anew from the training images after each epoch
(`lab.normalisation`): over epochs of five steps running averages lag, and not alike in networks of different depth. And the test accuracy at the end, after training far beyond that point.
Beside them, deciding nothing: gap, train_loss, test_loss, and `rise`, the validation loss at the end over its lowest.
A second set, `--set data=pneumoniamnist`: 200 chest X-rays at 14 px.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from resnetbook.lab import fitting, measuring, normalisation, targets
from resnetbook.lab.data import ImageSet
from resnetbook.lab.equal_fit import EachLoss, at_equal_fit
from resnetbook.lab.running import Context
from resnetbook.timeline.densenet import CifarDenseNet
from resnetbook.timeline.resnet import CifarResNet
from resnetbook.timeline.resnet_v2 import PreActResNet


@dataclass(frozen=True)
class Settings(fitting.Fitting):
    """One or two numbers of training images, and sizes of the networks, chosen so that parameters are equal."""

    epochs: int = 25
    batch_size: int = 20
    train_sizes: tuple[int, ...] = (100, 300)
    fit_share: float = 0.1
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
    of: dict[str, Any] = {"num_classes": len(data.classes), "in_channels": data.shape[0]}
    kind = arm.split("-")[0]
    if kind == "densenet":
        return CifarDenseNet(settings.densenet_depth, settings.growth_rate, **of)
    if kind == "resnet":
        return CifarResNet(settings.resnet_depth, widths=settings.resnet_widths, **of)
    return PreActResNet(settings.preact_depth, bottleneck=True, widths=settings.preact_widths, **of)


def with_images(settings: Settings, arm: str) -> Settings:
    """Return the settings with the arm's number of training images."""
    sizes = dict(zip(("few", "more"), settings.train_sizes, strict=False))
    return dataclasses.replace(settings, train_size=sizes[arm.split("-")[1]])


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Train one network on few images and measure it."""
    settings = with_images(settings, arm)
    data = fitting.images_of(settings, seed)
    looking = (normalisation.fresh(settings, data), EachLoss(data.test))
    model, rows = fitting.fit(
        settings, partial(network, settings, arm), data, seed, context, callbacks=looking
    )
    losses, reached = at_equal_fit(rows, settings.fit_share * targets.guess(data.train.labels))
    found = {**fitting.trained_metrics(settings, rows), **fitting.tested_metrics(model, data, context.device)}
    found["outcomes"]["fit_loss"] = losses
    validation = [float(row.get("validation_loss", "nan")) for row in rows]
    return {
        **found,
        "fit_loss": float(losses.double().mean()),
        "fit_loss_reached": float(reached),
        "gap": found["train_accuracy"] - found["test_accuracy"],
        "rise": validation[-1] / min(validation),
        "mode_gap": measuring.mode_gap(model, data.train),
        "parameters": float(sum(p.numel() for p in model.parameters())),
    }


def score(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, float]:
    """Return what chooses an arm's rate."""
    return normalisation.score(network, with_images(settings, arm), arm, seed, context)


EXPERIMENT = fitting.experiment(
    __name__, "DenseNet and ResNets of equal size on few images", claims=("C30",),
    network=network, run=run, score=score, arms=arms,
    scales={
        "live": Settings(epochs=2, train_sizes=(100,), rates=(0.05,)),
        "quick": Settings(),
        "full": Settings(
            "cifar10_jpeg", epochs=30, batch_size=128, rates=(0.03, 0.1, 0.3), train_sizes=(1000, 5000),
            densenet_depth=40, growth_rate=12, resnet_widths=(13, 26, 52), preact_widths=(12, 24, 48),
        ),
    },
    variants={"quick": (Settings("pneumoniamnist", size=14, epochs=20, train_sizes=(200,)),)},
)  # fmt: skip
