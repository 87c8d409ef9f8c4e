"""C57: units that share weights need fewer parameters, and are better than a ResNet of as many parameters.

Design: networks of three stages of pre-activation units. "shared": six units a stage, the second convolutions of all but the first
are one. "deep": the same six with weights of their own. "shallow": four such units, which have exactly as many kernels as
"shared" (a stage of width w: 8 times 9 w^2) and the scales and shifts of two units less, half a percent. Equal: widths, images,
order of batches, steps, schedule; "shared" and "deep" also depth and computation. Not equal: "shared" computes half as much
again as "shallow", which belongs to the claim. Each arm has its own rate.
Two readings. "Fewer parameters": parameters_saved, those of "deep" over the arm's own, a count that is the same for every seed.
"Better at equal size": test accuracy of shared against shallow. A narrower network of equal depth and size is not compared.
Beside them, deciding nothing: shared against deep, where the author's own tables show a loss.
A second set, `--set data=pneumoniamnist`: chest X-rays at 14 px.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from resnetbook.lab import fitting, measuring
from resnetbook.lab.data import ImageSet
from resnetbook.lab.running import Context
from resnetbook.structure import StructureNet


@dataclass(frozen=True)
class Settings(fitting.Fitting):
    """Units of a stage, deep and shallow, and the network's widths."""

    train_size: int = 300
    epochs: int = 20
    batch_size: int = 30
    deep: int = 6
    shallow: int = 4
    widths: tuple[int, ...] = (8, 16, 32)


def arms(settings: Settings) -> Sequence[str]:
    """Return the three networks."""
    return ("shared", "deep", "shallow")


def network(settings: Settings, arm: str, data: ImageSet) -> nn.Module:
    """Build an arm's network."""
    return StructureNet(
        "shared-weights" if arm == "shared" else "pre-activation",
        num_classes=len(data.classes),
        in_channels=data.shape[0],
        widths=settings.widths,
        count=settings.shallow if arm == "shallow" else settings.deep,
    )


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Train one network at the rate of the lowest validation loss, measure it, compare its size with the deep one's."""
    data = fitting.images_of(settings, seed)
    model, rows = fitting.fit(settings, partial(network, settings, arm), data, seed, context)
    found = {**fitting.trained_metrics(settings, rows), **fitting.tested_metrics(model, data, context.device)}
    own, deep = (sum(p.numel() for p in net.parameters()) for net in (model, network(settings, "deep", data)))
    return {
        **found,
        "gap": found["train_accuracy"] - found["test_accuracy"],
        "mode_gap": measuring.mode_gap(model, data.train),
        "parameters": float(own),
        "parameters_saved": deep / own,
    }


EXPERIMENT = fitting.experiment(
    __name__, "Units that share weights, at equal depth and at equal size", claims=("C57",),
    network=network, run=run, arms=arms,
    scales={
        "live": Settings(epochs=2, deep=4, shallow=3, rates=(0.05,)),
        "quick": Settings(),
        "full": Settings("cifar10_jpeg", train_size=10_000, epochs=30, batch_size=128, widths=(16, 32, 64), rates=(0.03, 0.1, 0.3)),
    },
    variants={"quick": (Settings("pneumoniamnist", size=14, train_size=400),)},
)  # fmt: skip
