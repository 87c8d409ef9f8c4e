"""C18: plain stacking of residual blocks limits optimisation; shortcuts over shortcuts (RoR) help.

Design: a residual network of 6n + 2 layers ("resnet") and the same network with a shortcut over each stage and one over all
blocks ("ror", three levels), each without and with stochastic depth ("-sd", the linear rule down to `survival`): the
published gain of RoR comes from both ideas at once. Here the outer shortcuts are compared without stochastic depth, and with it in
both networks; a network with against one without decides nothing. Equal: depth, widths, first weights of what the networks
share, images, order of batches, epochs, warm-up, grid of learning rates; each arm takes the rate with the lowest training loss for
what is read on training images, the one with the lowest validation loss for test images. RoR has three
projections more, those of its outer shortcuts (`parameters`); no other shortcut has any.
"Optimisation" is read in two ways: the training loss at the end, in eval mode on the whole training set, and the epochs until it is
`target_share` of what a guess by class frequencies costs (`lab.targets`), in both with batch normalisation's statistics estimated
anew after each epoch (`lab.normalisation`); the pair with stochastic depth keeps its running averages. "Help" may also mean test accuracy. Losses and epochs are
compared as ratios, so that one seed that hardly learns weighs as its logarithm does.
On digits, and on chest X-rays (`--set data=pneumoniamnist`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from resnetbook.experiments.timeline._settings import FewImages
from resnetbook.lab import fitting, normalisation, targets
from resnetbook.lab.data import ImageSet
from resnetbook.lab.running import Context
from resnetbook.timeline.ror import RoR


@dataclass(frozen=True)
class Settings(FewImages):
    """The training on few images, depth (6n + 2), widths, the last block's survival probability, the target's share of a guess."""

    depth: int = 56
    widths: tuple[int, ...] = (8, 16, 32)
    survival: float = 0.5
    target_share: float = 0.5


def arms(settings: Settings) -> Sequence[str]:
    """Return the networks with one and three levels, without and with stochastic depth."""
    return ("resnet", "ror", "resnet-sd", "ror-sd")


def network(settings: Settings, arm: str, data: ImageSet) -> nn.Module:
    """Build an arm's network; the random state decides its weights, equal for all arms where they share them."""
    return RoR(
        settings.depth,
        levels=3 if arm.startswith("ror") else 1,
        num_classes=len(data.classes),
        stochastic_depth=settings.survival if arm.endswith("-sd") else None,
        in_channels=data.shape[0],
        widths=settings.widths,
    )


def anew(arm: str) -> bool:
    """Return whether an arm's statistics are estimated anew; with stochastic depth that would draw which blocks are missing."""
    return not arm.endswith("-sd")


def score(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, float]:
    """Return what may choose an arm's rate, with the statistics that `run` reads."""
    return normalisation.score(network, settings, arm, seed, context, anew=anew(arm))


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Train one network and measure it."""
    _, found = normalisation.fit_and_measure(network, settings, arm, seed, context, anew=anew(arm))
    labels = fitting.images_of(settings, seed).train.labels
    return found | targets.epochs_to_loss(found["train_curve"], labels, settings.target_share)


EXPERIMENT = fitting.experiment(
    __name__, "Shortcuts over shortcuts, with and without stochastic depth", claims=("C18",),
    network=network, arms=arms, run=run, score=score,
    scales={
        "live": Settings(depth=14, epochs=2, rates=(0.05,)),
        "quick": Settings(),
        "full": Settings(
            "cifar10_jpeg", train_size=8000, epochs=12, batch_size=512, rates=(0.1, 0.3, 1.0),
            widths=(16, 32, 64),
        ),
    },
    variants={"quick": (Settings("pneumoniamnist", size=14, train_size=300),)},
)  # fmt: skip
