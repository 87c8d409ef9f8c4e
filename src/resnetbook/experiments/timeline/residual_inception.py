"""C36: residual connections speed up the training of Inception networks and raise accuracy and stability.

Design: the small Inception-ResNet (`MiniInceptionResNet`) with its branches scaled by .1, .3 and 1 ("residual-0.1", ...); "plain",
the same network with the sums left out: the same parameters and first weights; and "inception", pure Inception modules of the same
stages with wider branches in the place of the 1x1 convolution that leads back to x: parameters equal within 5 %, as
Inception-v4 stands beside Inception-ResNet-v2. Equal: depth in modules, images, order of batches, steps; each arm takes its best of three
learning rates, chosen on validation loss with an extra seed.
`epochs_to_loss`: first epoch whose training loss in eval mode is at `target_loss`, else epochs + 1 (which favours the arm that misses
it). `diverged_share`: of trainings without warm-up over `stable_epochs` epochs at each of `stable_rates`, the share whose last
training loss is not below that of guessing; `failed_share`: not below half of it, as in C08 (this decides nothing: a network that
does not move never diverges, and the two tell these cases apart).
Refuted if the residual arm is not faster by a tenth in epochs; not more accurate; does not diverge less often.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from resnetbook.lab import fitting, training
from resnetbook.lab.data import ImageSet
from resnetbook.lab.running import Context, Experiment


@dataclass(frozen=True)
class Settings(fitting.Fitting):
    """The training, the network, and the trainings that count how often an arm diverges."""

    epochs: int = 10
    widths: tuple[int, ...] = (16, 32, 64)
    blocks: int = 2
    scales: tuple[float, ...] = (0.1, 0.3, 1.0)
    stable_rates: tuple[float, ...] = (0.3, 1.0, 3.0)
    stable_epochs: int = 3


def arms(settings: Settings) -> Sequence[str]:
    """Return the pure Inception network, the plain twin and the residual networks by scale."""
    return ("inception", "plain", *(f"residual-{scale:g}" for scale in settings.scales))


def pure(width: int) -> dict[str, Any]:
    """Return the branches of a pure Inception module of `width` channels, as many parameters as a residual module."""
    from resnetbook.timeline._branches import Conv

    quarter, more = width // 4, 3 * width // 8
    return {
        "branch0": (Conv(quarter),),
        "branch1": (Conv(5 * width // 16), Conv(more, 3)),
        "branch2": (Conv(quarter), Conv(quarter, (1, 3)), Conv(width - quarter - more, (3, 1))),
    }


def network(settings: Settings, arm: str, data: ImageSet) -> nn.Module:
    """Build the network of an arm; the random state decides its weights, equal for all but "inception"."""
    from resnetbook.timeline._branches import Branches
    from resnetbook.timeline._checks import he_init
    from resnetbook.timeline.inception_resnet import MiniInceptionResNet, ResidualInception

    scale = float(arm.split("-")[1]) if "-" in arm else 1.0
    model = MiniInceptionResNet(
        num_classes=len(data.classes),
        in_channels=data.train.images.shape[1],
        widths=settings.widths,
        blocks=settings.blocks,
        scale=scale,
        residual=arm.startswith("residual"),
    )
    if arm == "inception":
        for number, module in enumerate(model.features):
            if isinstance(module, ResidualInception):
                width = module.conv.out_channels
                model.features[number] = Branches(width, pure(width))
        he_init(model)
    return model


def shares_lost(settings: Settings, arm: str, data: ImageSet, seed: int, device: str) -> dict[str, float]:
    """Return the shares of `stable_rates` at which a short training ends no better than guessing, or than half of it."""
    shares = data.train.labels.bincount().double() / len(data.train.labels)
    guess = float(-(shares * shares.clamp_min(1e-12).log()).sum())
    losses = []
    for rate in settings.stable_rates:
        training.seed_everything(seed)
        rows = fitting.train(
            network(settings, arm, data),
            data,
            epochs=settings.stable_epochs,
            learning_rate=rate,
            batch_size=settings.batch_size,
            schedule="constant",
            seed=seed,
            device=device,
        ).rows
        loss = float(rows[-1]["train_loss"])
        losses.append(loss if math.isfinite(loss) else math.inf)
    return {
        "diverged_share": sum(loss >= guess for loss in losses) / len(losses),
        "failed_share": sum(loss >= guess / 2 for loss in losses) / len(losses),
    }


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Train one network, measure it, and count how often it diverges."""
    data = fitting.images_of(settings)
    _, found = fitting.fit_and_measure(settings, lambda: network(settings, arm, data), data, seed, context)
    return found | shares_lost(settings, arm, data, seed, context.device)


def tune(settings: Settings, arm: str, context: Context) -> dict[str, Any]:
    """Choose the arm's learning rate."""
    data = fitting.images_of(settings)
    return fitting.best_rate(settings, lambda: network(settings, arm, data), data, context)


EXPERIMENT = Experiment(
    name="residual_inception",
    title="Inception modules with and without a shortcut",
    claims=("C36",),
    scales={
        "live": Settings(
            train_size=200,
            epochs=2,
            blocks=1,
            scales=(0.3,),
            rates=(0.05,),
            stable_rates=(0.1,),
            stable_epochs=1,
        ),
        "quick": Settings(),
        "full": Settings(
            data="cifar10_jpeg",
            epochs=60,
            batch_size=128,
            widths=(64, 128, 256),
            blocks=3,
            rates=(0.03, 0.1, 0.3),
        ),
    },
    arms=arms,
    run=run,
    tune=tune,
    data=fitting.describe,
)
