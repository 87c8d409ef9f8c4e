"""C29, its second half: DenseNet's features are reused.

Design: a plain DenseNet is trained; then connections are cut, one at a time and many together, by setting the slice of a layer's
convolution that reads a source to zero. A block's source 0 is its input, source s the maps of its layer s. No training after the
cut, evaluation mode; each cut is measured twice, with the statistics of normalisation of the whole network and (names that end
in _again) with those that training images give after it. The arm "weak" has the paper's weight decay, 1e-4, and decides; "strong"
shrinks weights that are not used, for the picture of their sizes: with the weak one a short training leaves these near those
that were drawn. Nothing is compared between the two, and both have the one learning rate.
weights: mean |weight| of each connection over the mean of its layer, by block, target and source (the paper's figure 5).
cuts: rise of the test loss when this connection alone is cut, in the same order.
skips_worth: test accuracy lost when all connections between layers of a block are cut but those to the next layer (sources that
are a block's input stay). direct_worth: when the connections to the next layer are cut instead. test_accuracy: before.
That a cut of trained weights costs something is little wonder, so each connection that skips a layer has a control: as many
input maps of the same layer, drawn by the seed from all that it reads. skip_share: rise of the test loss by cutting such
connections one at a time, over that rise plus the rise by cutting their controls: .5 where an old map is worth as much as
any, near 0 where old maps are not read, whatever the direct ones are worth. Refuted if nothing is lost without the
connections that skip a layer, or clearly less than by the controls.
Sets: digits, and chest X-rays (PneumoniaMNIST at 12 px).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from resnetbook.experiments.timeline._connections import (
    Connection,
    connections,
    cut,
    cut_at_random,
    rises,
    sizes_of_weights,
)
from resnetbook.lab import fitting, measuring, training
from resnetbook.lab.data import ImageSet
from resnetbook.lab.fitting import Fitting
from resnetbook.lab.running import Context, Experiment
from resnetbook.timeline.densenet import CifarDenseNet


@dataclass(frozen=True)
class Settings(Fitting):
    """Depth (3n + 4) and growth rate, learning rate, weight decays; `images` training images give the statistics after a cut."""

    epochs: int = 20
    rates: tuple[float, ...] = (0.1,)
    depth: int = 22
    growth_rate: int = 8
    weak: float = 1e-4
    strong: float = 2e-2
    images: int = 256


def share_of_skips(
    model: nn.Module, loss: Callable[[], float], images: Tensor, seed: int
) -> dict[str, float]:
    """Return the rise of `loss()` by cutting connections that skip, over that rise and the rise by cutting their controls.

    As `skip_share` and, with statistics estimated again over `images`, `skip_share_again`. A rise below 0 counts as 0, and
    .5 where both are 0.
    """
    generator = torch.Generator().manual_seed(seed)
    skipping = [connection for connection in connections(model) if connection.skips]

    def both() -> Tensor:
        with measuring.reestimated(model, images):
            again = loss()
        return torch.tensor([loss(), again])

    before, rise = both(), torch.zeros(2, 2)
    for connection in skipping:
        with cut([connection]):
            rise[0] += both() - before
        with cut_at_random(connection, generator):
            rise[1] += both() - before
    rise = rise.clamp_min(0)
    share = torch.where(rise.sum(0) > 0, rise[0] / rise.sum(0), 0.5)
    return {"skip_share": float(share[0]), "skip_share_again": float(share[1])}


def worth(
    model: nn.Module, chosen: Sequence[Connection], data: ImageSet, images: Tensor
) -> dict[str, Tensor]:
    """Return what cutting connections together costs each test image: 1 where it was right and is wrong; by "" and "_again"."""

    def right() -> Tensor:
        return measuring.right(model, data.test.images, data.test.labels).float()

    before = right()
    with cut(chosen):
        found = {"": before - right()}
        with measuring.reestimated(model, images):
            found["_again"] = before - right()
    return found


def arms(settings: Settings) -> Sequence[str]:
    """Return the two weight decays."""
    return ("weak", "strong")


def network(settings: Settings, data: ImageSet) -> CifarDenseNet:
    """Build the DenseNet of both arms."""
    return CifarDenseNet(
        settings.depth,
        settings.growth_rate,
        bottleneck=False,
        compression=1.0,
        num_classes=len(data.classes),
        in_channels=data.shape[0],
    )


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Train the network, look at its weights, and cut."""
    data = fitting.images_of(settings, seed)
    training.seed_everything(seed)
    model = network(settings, data)
    how = training.Settings(
        epochs=settings.epochs,
        learning_rate=settings.rates[0],
        batch_size=settings.batch_size,
        warmup_epochs=settings.warmup_epochs,
        weight_decay=settings.weak if arm == "weak" else settings.strong,
        schedule="cosine",
        seed=seed,
        device=context.device,
    )
    training.fit(
        model, data.train, data.validation, settings=how, checkpoint=context.checkpoint, progress=False
    )

    def loss() -> float:
        return float(measuring.losses(model, data.test.images, data.test.labels).mean())

    found, enough = fitting.tested_metrics(model, data, context.device), data.train.images[: settings.images]
    between = [connection for connection in connections(model) if connection.source > 0]
    for name, skips in (("skips", True), ("direct", False)):
        for way, lost in worth(model, [c for c in between if c.skips == skips], data, enough).items():
            found[f"{name}_worth{way}"] = float(lost.mean())
            found["outcomes"][f"{name}_worth{way}"] = lost
    return {
        **found,
        **share_of_skips(model, loss, enough, seed),
        "weights": sizes_of_weights(model),
        "cuts": rises(model, loss),
    }


EXPERIMENT = Experiment(
    name="dense_reuse", title="Which maps a trained DenseNet reads, and which it needs", claims=("C29",),
    scales={
        "live": Settings(train_size=200, epochs=2, depth=16, growth_rate=4),
        "quick": Settings(),
        "full": Settings(
            "cifar10_jpeg", epochs=15, batch_size=512, rates=(0.3,), depth=40, growth_rate=12, strong=2e-3,
            images=2000,
        ),
    },
    variants={"quick": (Settings("pneumoniamnist", size=12, train_size=500, epochs=12),)},
    arms=arms, run=run, data=fitting.describe,
)  # fmt: skip
