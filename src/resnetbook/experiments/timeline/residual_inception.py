"""C36: residual connections speed up the training of Inception networks and raise accuracy and stability.

Design: the small Inception-ResNet (`MiniInceptionResNet`) with its branches scaled by .1, .3 and 1: "residual-S" computes
relu(x + S F(x)) in each module; "plain", the same network without sums, relu(F(x)). "residual-1" against "plain" isolates the
sum; against "residual-0.1" and "residual-0.3" plain lacks the sum and the scale, and these two against "residual-1" isolate
the scale (a plain network of scale .1 would be no fair twin: nothing carries what the scale makes small). Equal: parameters
and first weights of all these, images, order of batches, steps, warm-up, schedule. "inception" is pure Inception modules of
the same stages with wider branches in the place of the 1x1 convolution that leads back to x: parameters equal within 5 %,
as Inception-v4 stands beside Inception-ResNet-v2; its shapes are others, so that first weights are not shared.
Speed: `epochs_to_loss`, until the training loss in eval mode is `target_share` of what guessing by the classes' shares costs,
restricted to the epochs trained. Statistics of batch normalisation are estimated anew after each epoch (`lab.normalisation`): running
averages lag behind the weights, and a loss that rises for that says nothing of stability.
Accuracy: on test images at the end. Stability: `largest_rise`, how many times as large as the lowest before it the training
loss (eval mode, after each epoch) ever becomes, 1 where it never rises; a loss above that of guessing counts
as that one, since there is no more to lose. It is read at the rate with the lowest training loss, so that a network
cannot be stable by not moving; how large a rate a network bears is not asked.
A second set, `--set data=pneumoniamnist`: 400 chest X-rays at 14 px, scales .3 and 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from resnetbook.lab import fitting, normalisation, targets
from resnetbook.lab.data import ImageSet, Part
from resnetbook.lab.running import Context
from resnetbook.timeline._branches import Branches, Conv
from resnetbook.timeline._checks import he_init
from resnetbook.timeline.inception_resnet import MiniInceptionResNet, ResidualInception


@dataclass(frozen=True)
class Settings(fitting.Fitting):
    """The training, the network, and the scales that are compared."""

    train_size: int = 500
    epochs: int = 10
    batch_size: int = 32
    widths: tuple[int, ...] = (16, 32, 64)
    blocks: int = 2
    scales: tuple[float, ...] = (0.1, 0.3, 1.0)
    target_share: float = 0.25


def arms(settings: Settings) -> Sequence[str]:
    """Return the pure Inception network, the plain twin and the residual networks by scale."""
    return ("inception", "plain", *(f"residual-{scale:g}" for scale in settings.scales))


def pure(width: int) -> dict[str, Any]:
    """Return the branches of a pure Inception module of `width` channels, as many parameters as a residual module."""
    quarter, more = width // 4, 3 * width // 8
    return {
        "branch0": (Conv(quarter),),
        "branch1": (Conv(5 * width // 16), Conv(more, 3)),
        "branch2": (Conv(quarter), Conv(quarter, (1, 3)), Conv(width - quarter - more, (3, 1))),
    }


def network(settings: Settings, arm: str, data: ImageSet) -> nn.Module:
    """Build the network of an arm; the random state decides its weights, equal for all but "inception"."""
    kind, _, scale = arm.partition("-")
    model = MiniInceptionResNet(
        num_classes=len(data.classes),
        in_channels=data.shape[0],
        widths=settings.widths,
        blocks=settings.blocks,
        scale=float(scale or 1),
        residual=kind == "residual",
    )
    if arm == "inception":
        for number, module in enumerate(model.features):
            if isinstance(module, ResidualInception):
                width = module.conv.out_channels
                model.features[number] = Branches(width, pure(width))
        he_init(model)
    return model


def largest_rise(losses: Sequence[float], part: Part) -> float:
    """Return the largest of the losses over the lowest before it, at least 1; none counts more than guessing costs."""
    guess = targets.guess(part.labels)
    bounded = [min(loss, guess) if math.isfinite(loss) else guess for loss in losses]
    lowest, found = guess, 1.0
    for loss in bounded:
        found, lowest = max(found, loss / lowest), min(lowest, loss)
    return found


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Train one network, measure it, and find how far its loss ever rose."""
    data = fitting.images_of(settings, seed)
    _, found = normalisation.fit_and_measure(network, settings, arm, seed, context)
    soon = targets.epochs_to_loss(found["train_curve"], data.train.labels, settings.target_share)
    return {**found, **soon, "largest_rise": largest_rise(found["train_curve"], data.train)}


EXPERIMENT = fitting.experiment(
    __name__, "Inception modules with and without a shortcut", claims=("C36",),
    network=network, run=run, score=partial(normalisation.score, network), arms=arms,
    scales={
        "live": Settings(train_size=200, epochs=2, blocks=1, scales=(0.3,), rates=(0.05,)),
        "quick": Settings(),
        "full": Settings(
            "cifar10_jpeg", train_size=0, epochs=15, batch_size=512, rates=(0.1, 0.3, 1.0),
            widths=(32, 64, 128),
        ),
    },
    variants={"quick": (Settings("pneumoniamnist", size=14, train_size=400, epochs=6, scales=(0.3, 1.0)),)},
)  # fmt: skip
