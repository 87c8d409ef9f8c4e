"""C19: with more layers features are reused less. C27: residual networks are redundant.

Design: networks are trained, then blocks are taken out and nothing is trained again (Veit et al. 2016, section 4.1): a
residual block then passes on its shortcut, a plain one its subsampled and padded input. Residual networks of depth 14 to 56;
the plain twin of depth 20 and a residual one trained with stochastic depth stand beside them and decide nothing. Equal: images,
order of batches, epochs, warm-up, widths, and at one depth initial weights and parameters. Each arm has its own learning rate:
the one of the lowest validation loss is that of the networks from which blocks are taken. Batch normalisation's statistics are
estimated anew from the training images after each epoch (`lab.normalisation`), since running averages lag behind, more so in
deeper networks; with stochastic depth they stay running averages. Each deletion is measured twice: with the statistics of the
whole network, and (names that end in _again) with those that training images give after it.

Metrics, on the test images. drops: the accuracy that each block's deletion costs, in the order of depth. A block costs little
where the upper end of its cost's one-sided 95 % interval, over the paired outcomes of the images, lies below `negligible`, which
is worth many images; redundant: the share of such blocks; redundant_rest: of those that are not the first of a stage, since
these do another work and a deeper network has relatively few of them. kept_1: accuracy kept after one deletion, mean over all
blocks; kept_block_2: over the second blocks of the stages, the same place at every depth. after_K: accuracy with K blocks out,
mean over `draws` sets, the same for all seeds and arms of a depth. short_accuracy: with so many blocks out, never the first
of a stage, that a network of depth `short` is left, mean over `draws` sets; that of depth `short` itself is left whole.
response: norm of what a block's branch adds over the norm of its input, block by block.
C19 compares depth 32 and 56 with 20: redundant_rest, kept_block_2, epochs to `target_loss` restricted to the epochs trained.
C27: more than half of the blocks of depth 56 cost little; and depth 20 cut to 14 layers is no less accurate than a network that
was trained with 14, so that its other blocks hold nothing that training without them would have gained.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from resnetbook.experiments.timeline._blocks import costs_little, responses
from resnetbook.lab import fitting, measuring, normalisation
from resnetbook.lab.data import ImageSet
from resnetbook.lab.running import Context
from resnetbook.principle.paths import lesion
from resnetbook.timeline.resnet import CifarResNet
from resnetbook.timeline.stochastic_depth import StochasticDepthResNet


@dataclass(frozen=True)
class Settings(fitting.Fitting):
    """The training, the networks, and the deletions; `images` training images give the statistics after one."""

    epochs: int = 8
    networks: tuple[str, ...] = (
        "residual-14",
        "residual-20",
        "residual-32",
        "residual-56",
        "plain-20",
        "stochastic-32",
    )
    widths: tuple[int, ...] = (8, 16, 32)
    survival: float = 0.5
    negligible: float = 0.02
    together: tuple[int, ...] = (2, 3, 5)
    draws: int = 6
    short: int = 14
    images: int = 256


def arms(settings: Settings) -> Sequence[str]:
    """Return the networks' names."""
    return settings.networks


def network(settings: Settings, arm: str, data: ImageSet) -> nn.Module:
    """Build "residual-D", "plain-D" or "stochastic-D"; one seed gives the same weights to those of one depth."""
    kind, depth = arm.split("-")
    sizes: dict[str, Any] = {
        "num_classes": len(data.classes),
        "in_channels": data.shape[0],
        "widths": settings.widths,
    }
    if kind == "stochastic":
        return StochasticDepthResNet(int(depth), settings.survival, **sizes)
    return CifarResNet(int(depth), residual=kind == "residual", **sizes)


def sets_of_blocks(settings: Settings, names: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield (metric, blocks to take out), `draws` times for each of the metrics after_K and short_accuracy."""
    for number in settings.together:
        chooser = random.Random(number)  # the same sets for every seed
        yield from ((f"after_{number}", chooser.sample(names, number)) for _ in range(settings.draws))
    stages = [[name for name in names if name.startswith(f"layer{stage}.")] for stage in (1, 2, 3)]
    out, chooser = len(stages[0]) - (settings.short - 2) // 6, random.Random(settings.short)
    for _ in range(settings.draws if out > 0 else out + 1):  # nothing where the network is shorter
        yield "short_accuracy", [name for stage in stages for name in chooser.sample(stage[1:], out)]


def deletions(settings: Settings, model: Any, data: ImageSet) -> dict[str, Any]:
    """Take blocks out of a trained network, one by one and several at once, and return what that costs."""
    test, enough = data.test, data.train.images[: settings.images]
    names = [name for name, _ in model.blocks]
    clean = measuring.right(model, test.images, test.labels)
    ways = ("", "_again")

    def without(out: Sequence[str]) -> dict[str, Tensor]:
        with lesion(model, out):
            left = measuring.right(model, test.images, test.labels)
            with measuring.reestimated(model, enough):
                return {"": left, "_again": measuring.right(model, test.images, test.labels)}

    alone = {name: without([name]) for name in names}
    together: dict[str, list[Tensor]] = {}
    for metric, out in sets_of_blocks(settings, names):
        for way, left in without(out).items():
            together.setdefault(metric + way, []).append(left.float())
    outcomes = {metric: torch.stack(rows).mean(0) for metric, rows in together.items()}
    found: dict[str, Any] = {metric: float(rows.mean()) for metric, rows in outcomes.items()}
    for way in ways:
        by_block = {name: alone[name][way] for name in names}
        drops = [float(clean.float().mean() - each.float().mean()) for each in by_block.values()]
        little = {name: costs_little(clean, each, settings.negligible) for name, each in by_block.items()}
        rest = [little[name] for name in names if not name.endswith(".0")]
        found |= {
            f"drops{way}": drops,
            f"median_drop{way}": statistics.median(drops),
            f"worst_drop{way}": max(drops),
            f"redundant{way}": statistics.fmean(little.values()),
            f"redundant_rest{way}": statistics.fmean(rest) if rest else float("nan"),
            f"after_1{way}": float(clean.float().mean()) - statistics.fmean(drops),
        }
        second = [each for name, each in by_block.items() if name.endswith(".1")]
        for metric, some in (("kept_1", list(by_block.values())), ("kept_block_2", second)):
            if some:
                under = torch.stack([each.float() for each in some]).mean(0)
                found[metric + way], outcomes[metric + way] = measuring.kept(under, clean)
    return {**found, "outcomes": outcomes}


def anew(arm: str) -> bool:
    """Return whether an arm's statistics are estimated anew; with stochastic depth that would draw which blocks are missing."""
    return not arm.startswith("stochastic")


def score(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, float]:
    """Return what may choose an arm's rate, with the statistics that `run` reads."""
    return normalisation.score(network, settings, arm, seed, context, anew=anew(arm))


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Train one network, measure it, and take blocks out."""
    data = fitting.images_of(settings, seed)
    model, measured = normalisation.fit_and_measure(network, settings, arm, seed, context, anew=anew(arm))
    cut = deletions(settings, model, data)
    device = next(model.parameters()).device
    return {
        **measured,
        **cut,
        "outcomes": {**measured["outcomes"], **cut["outcomes"]},
        "response": responses(model, data.test.images[:256].to(device)),
    }


EXPERIMENT = fitting.experiment(
    __name__, "Blocks taken out of trained networks", claims=("C19", "C27"),
    network=network, run=run, score=score, arms=arms,
    scales={
        "live": Settings(
            epochs=1, networks=("residual-8", "residual-14", "plain-14"), rates=(0.05,), together=(2,),
            draws=2, short=8,
        ),
        "quick": Settings(),
        "full": Settings(
            "cifar10_jpeg", epochs=15, batch_size=512, widths=(16, 32, 64), rates=(0.1, 0.3, 1.0),
            images=2000,
            networks=("residual-14", "residual-20", "residual-32", "residual-56", "residual-110", "plain-20"),
        ),
    },
    variants={
        "quick": (
            Settings(
                "pneumoniamnist", size=14, train_size=600, epochs=6, target_loss=0.2,
                networks=("residual-14", "residual-20", "residual-56"),
            ),
        ),
    },
)  # fmt: skip
