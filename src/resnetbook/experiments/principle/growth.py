"""C04: identity mapping ensures that performance does not drop when layers are added.

Design: a residual network is trained, then residual blocks whose last batch norm is zero are put behind each stage.
"inserted" measures by how much the output changes on the test images: such a block computes relu(x + 0), and x >= 0 comes
from a ReLU. "shallow" trains the network on as it is, "grown" trains the deeper one on, for the same number of further
steps (a step of the deeper one costs more: steps are the budget held equal, not time). Both start from the same
trained weights (of `base_rate`), so from the same function; equal besides: images, order of batches, warm-up, schedule; each takes
its best rate for training on.
Metrics: training loss and test accuracy at the end, with batch normalisation's statistics estimated anew from the training images
(`lab.normalisation`), as running averages need not lag alike in both.
This is one recipe for adding layers, one that begins without a drop by construction. Deep networks trained from scratch
are another: C03 compares them.
Refuted if the output changes by more than 1e-6, or if the grown network ends with a higher training loss, or a lower test
accuracy, than the shallow one.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from resnetbook.lab import fitting, measuring, normalisation, training
from resnetbook.lab.data import ImageSet
from resnetbook.lab.running import Context, Experiment
from resnetbook.principle.block import BasicBlock
from resnetbook.principle.twins import TwinNet

BASE = (
    1_000_000  # added to the seed for the order of the first epochs' batches: the further epochs have another
)


@dataclass(frozen=True)
class Settings(fitting.Fitting):
    """Depths before and after (6n + 2), widths, and epochs before the blocks are put in; `epochs` are those after."""

    epochs: int = 8
    rates: tuple[float, ...] = (0.01, 0.03, 0.1)
    shallow: int = 8
    deep: int = 20
    widths: tuple[int, ...] = (8, 16, 32)
    epochs_before: int = 4
    base_rate: float = 0.1


def arms(settings: Settings) -> Sequence[str]:
    """Return the measurement and the two networks that train on."""
    return ("inserted", *trained_on(settings))


def trained_on(settings: Settings) -> Sequence[str]:
    """Return the arms that have a rate to choose."""
    return ("shallow", "grown")


def trained(settings: Settings, data: ImageSet, seed: int, device: str) -> TwinNet:
    """Return the shallow network after the first epochs: the same for every arm."""
    training.seed_everything(seed)
    model = TwinNet(
        settings.shallow, num_classes=len(data.classes), in_channels=data.shape[0], widths=settings.widths
    )
    first = dataclasses.replace(settings, epochs=settings.epochs_before)
    fitting.train(model, data, first, rate=settings.base_rate, seed=seed + BASE, device=device)
    return model


def grow(model: TwinNet, settings: Settings) -> TwinNet:
    """Return a copy of `model` with the missing blocks behind each stage, their last batch norm zero.

    Raises:
        ValueError: `deep` is not above `shallow` by a multiple of 6.
    """
    extra, rest = divmod(settings.deep - settings.shallow, 6)
    if rest or extra < 1:
        raise ValueError(f"deep is {settings.deep}: expected {settings.shallow} + 6, + 12, ...")
    grown = copy.deepcopy(model)
    for stage, width in zip((grown.layer1, grown.layer2, grown.layer3), settings.widths, strict=True):
        for _ in range(extra):
            block = BasicBlock(width, width, shortcut="A")
            for convolution in (block.conv1, block.conv2):
                nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")  # as TwinNet's
            nn.init.zeros_(block.bn2.weight)  # type: ignore[arg-type]  # its bias is zero from the start
            stage.append(block)
    return grown.to(next(model.parameters()).device)


def start(settings: Settings, arm: str, seed: int, device: str, data: ImageSet) -> TwinNet:
    """Return the network that `arm` trains on."""
    model = trained(settings, data, seed, device)
    return grow(model, settings) if arm == "grown" else model


def score(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, float]:
    """Train on at the rate that is tried."""
    looking = normalisation.fresh(settings, fitting.images_of(settings, seed), settings.epochs)
    build = partial(start, settings, arm, seed, context.device)
    return fitting.score(settings, build, seed, context, callbacks=(looking,))


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Measure the change of the output ("inserted"), or train on."""
    data = fitting.images_of(settings, seed)
    if arm in trained_on(settings):
        build = partial(start, settings, arm, seed, context.device)
        looking = normalisation.fresh(settings, data)
        return fitting.fit_and_measure(settings, build, seed, context, every=(looking,))[1]
    model = trained(settings, data, seed, context.device).eval()
    images = data.test.images
    before, after = (measuring.logits(net, images) for net in (model, grow(model, settings).eval()))
    return {
        "output_difference": float((after - before).abs().max()),
        "largest_output": float(before.abs().max()),
        "loss_before": training.evaluate(model, data.train, device=context.device)["loss"],
    }


EXPERIMENT = Experiment(
    name="growth", title="Blocks put into a trained network", claims=("C04",),
    scales={
        "live": Settings(deep=14, epochs_before=2, epochs=1, rates=(0.03,)),
        "quick": Settings(),
        "full": Settings(
            "cifar10_jpeg", train_size=10_000, epochs=12, epochs_before=8, batch_size=512, widths=(16, 32, 64),
        ),
    },
    variants={"quick": (Settings("pneumoniamnist", size=14, train_size=1000),)},
    arms=arms, run=run, score=score, tuned_arms=trained_on, data=fitting.describe,
)  # fmt: skip
