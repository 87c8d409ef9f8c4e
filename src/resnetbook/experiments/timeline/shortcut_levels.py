"""C18: plain stacking of residual blocks limits optimisation; shortcuts over shortcuts (RoR) help.

Design: a residual network of 6n + 2 layers ("resnet") and the same network with a shortcut over each stage and one over all
blocks ("ror", three levels), each without and with stochastic depth ("-sd", the linear rule down to `survival`): the
published gain of RoR comes from both ideas at once, and here they stand apart. Equal: depth, widths, first weights of
what the networks share, images, order of batches, epochs, warm-up, grid of learning rates; each arm takes its best rate,
chosen on validation loss with an extra seed. RoR has five projections more (`parameters`); no other shortcut has any.
"Optimisation" is read in two ways: the training loss at the end, in eval mode on the whole training set, and the epochs until
it falls to `target_loss` (never: epochs + 1). "Help" may also mean test accuracy: without stochastic depth, with it in both
networks, and as published, RoR with it against ResNet without. Refuted if RoR's loss is not lower, its epochs not fewer, its
accuracy not higher, by the margin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from resnetbook.lab import fitting
from resnetbook.lab.data import ImageSet
from resnetbook.lab.running import Context, Experiment


@dataclass(frozen=True)
class Settings(fitting.Fitting):
    """Depth (6n + 2), widths of the stages, and the survival probability of the last block under stochastic depth."""

    train_size: int = 300
    epochs: int = 20
    batch_size: int = 32
    rates: tuple[float, ...] = (0.007, 0.02, 0.05, 0.15)
    depth: int = 56
    widths: tuple[int, ...] = (8, 16, 32)
    survival: float = 0.5


def arms(settings: Settings) -> Sequence[str]:
    """Return the networks with one and three levels, without and with stochastic depth."""
    return ("resnet", "ror", "resnet-sd", "ror-sd")


def network(settings: Settings, arm: str, data: ImageSet) -> nn.Module:
    """Build an arm's network; the random state decides its weights, equal for all arms where they share them."""
    from resnetbook.timeline.ror import RoR

    return RoR(
        settings.depth,
        levels=3 if arm.startswith("ror") else 1,
        num_classes=len(data.classes),
        stochastic_depth=settings.survival if arm.endswith("-sd") else None,
        in_channels=data.train.images.shape[1],
        widths=settings.widths,
    )


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Train one network and measure it."""
    data = fitting.images_of(settings)
    _, found = fitting.fit_and_measure(settings, lambda: network(settings, arm, data), data, seed, context)
    return found


def tune(settings: Settings, arm: str, context: Context) -> dict[str, Any]:
    """Choose the arm's learning rate."""
    data = fitting.images_of(settings)
    return fitting.best_rate(settings, lambda: network(settings, arm, data), data, context)


EXPERIMENT = Experiment(
    name="shortcut_levels",
    title="Shortcuts over shortcuts, with and without stochastic depth",
    claims=("C18",),
    scales={
        "live": Settings(depth=14, epochs=2, rates=(0.05,)),
        "quick": Settings(),
        "full": Settings(
            data="cifar10_jpeg",
            train_size=0,
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
