"""C47 to C49: pooling prevents overfitting; overlapping windows, and chance in the choice, do it better.

Design: one network of three stages, one pre-activation unit each, that halves its maps twice, on few images without augmentation; the
arms differ in what halves: average, max, overlapping max (3 pixels, stride 2), stochastic, mixed (one draw a layer, p = 1/2);
"strided" has a 2x2 convolution of stride 2 instead, "none" nothing, so that its maps stay as large as the images. A ReLU
stands before each, in all arms: what a stage puts out is a sum with negative values, which stochastic pooling cuts off, and
without it that arm alone would have two nonlinearities more. Equal: all other layers with their widths and first weights, the
head (the mean over the last map), images, order of batches, steps, schedule. Not equal: "strided" has the parameters of its
two convolutions more; "none" computes seven times as much, and its last unit sees a smaller part of the image.
Statistics of batch normalisation are estimated anew after each epoch with the pooling as it is evaluated (`_statistics`): over
epochs of five steps running averages lag, and those of stochastic and mixed pooling are of draws, not of the expectation.
What is overfitting? Where every training image is learned, training minus test accuracy is the error on test images under
another name. So C47 and C48 read, as C30 does, `fit_loss`, the test loss where the training loss first comes to `fit_share` of
what guessing costs (at the end where it does not: `fit_loss_reached` is 0), and the test accuracy at the end, both at the rate
with the lowest validation loss; gap is recorded and decides nothing. C47 reads them for max and for average pooling against
"strided" and "none", C48 for overlapping against plain max pooling. C49 reads the test accuracy of mixed and of stochastic
pooling against max *and* against average, which are both fixed and both at hand.
A second set, `--set data=pneumoniamnist`: 200 chest X-rays at 16 px, which two halvings divide evenly; `fit_share` is .2 there,
since a guess costs a quarter of what it costs among ten classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from resnetbook.experiments.structure._statistics import as_evaluated
from resnetbook.lab import fitting, targets
from resnetbook.lab.data import ImageSet
from resnetbook.lab.equal_fit import EachLoss, at_equal_fit
from resnetbook.lab.running import Context
from resnetbook.structure import StructureNet
from resnetbook.timeline._checks import he_init

KINDS = ("average", "max", "overlapping", "stochastic", "mixed", "strided", "none")


@dataclass(frozen=True)
class Settings(fitting.Fitting):
    """Few images, and the network's widths."""

    train_size: int = 100
    epochs: int = 30
    batch_size: int = 20
    widths: tuple[int, ...] = (8, 16, 32)
    fit_share: float = 0.1


def arms(settings: Settings) -> Sequence[str]:
    """Return what halves the maps."""
    return KINDS


def network(settings: Settings, arm: str, data: ImageSet) -> nn.Module:
    """Build an arm's network."""
    pool = "max" if arm in ("strided", "none") else arm
    net = StructureNet(
        pool=pool, num_classes=len(data.classes), in_channels=data.shape[0], widths=settings.widths
    )
    for stage, width in zip(net.between, settings.widths, strict=False):
        halves = stage.get_submodule("0")
        if arm == "strided":
            halves = nn.Conv2d(width, width, 2, 2, bias=False)
            he_init(halves)
        elif arm == "none":
            halves = nn.Identity()
        stage.register_module("0", nn.Sequential(nn.ReLU(), halves))
    return net


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Train one network on few images and measure it."""
    data = fitting.images_of(settings, seed)
    looking = (as_evaluated(settings, data), EachLoss(data.test))
    model, rows = fitting.fit(
        settings, partial(network, settings, arm), data, seed, context, callbacks=looking
    )
    losses, reached = at_equal_fit(rows, settings.fit_share * targets.guess(data.train.labels))
    found = {**fitting.trained_metrics(settings, rows), **fitting.tested_metrics(model, data, context.device)}
    found["outcomes"]["fit_loss"] = losses
    return {
        **found,
        "fit_loss": float(losses.double().mean()),
        "fit_loss_reached": float(reached),
        "gap": found["train_accuracy"] - found["test_accuracy"],
        "parameters": float(sum(p.numel() for p in model.parameters())),
    }


def score(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, float]:
    """Return what chooses an arm's rate."""
    looking = (as_evaluated(settings, fitting.images_of(settings, seed), settings.epochs),)
    return fitting.score(settings, partial(network, settings, arm), seed, context, callbacks=looking)


EXPERIMENT = fitting.experiment(
    __name__, "Kinds of pooling on few images", claims=("C47", "C48", "C49"),
    network=network, run=run, score=score, arms=arms,
    scales={
        "live": Settings(epochs=2, rates=(0.05,)),
        "quick": Settings(),
        "full": Settings("cifar10_jpeg", train_size=5000, epochs=30, batch_size=128, widths=(32, 64, 128), rates=(0.03, 0.1, 0.3)),
    },
    variants={"quick": (Settings("pneumoniamnist", size=16, train_size=200, fit_share=0.2),)},
)  # fmt: skip
