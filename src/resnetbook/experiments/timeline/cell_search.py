"""C37: a cell found on small data transfers to large data.

Design: one seed is one search. Random pairs of a normal and a reduction cell are drawn from NASNet's space (three blocks
a cell, its six operations), each is trained shortly on a small set and ranked by validation accuracy: the random search
that the NASNet paper has as its control, at a thousandth of the size. The best and the worst few are trained again, from
other first weights: on the small set once more, and on a larger, harder set of other images. All cells have the same
filters, repeats, epochs, order of batches and, on each set, one learning rate, the best of three for two cells that
are in no search. (One rate for all, as in a search: a rate for each cell would cost three searches.)
Metrics: transfer_correlation, Spearman's rank correlation of the accuracy in the search with the test accuracy on the
larger set, over the cells trained again; repeat_correlation, the same with the second training on the small set, which is
how well the search agrees with itself; size_correlation, of a cell's parameters with its accuracy on the larger set;
beyond_size, the rank correlation of search and larger set with the parameters held fixed (partial); advantage,
mean test accuracy of the best minus the worst on the larger set, and repeat_advantage on the small one.
Best and worst are chosen from the whole, so that their correlation is higher than that of cells drawn at random.
Refuted: the correlation, or the advantage less its margin, is not positive over the searches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from resnetbook.lab import fitting, training
from resnetbook.lab.data import ImageSet, Part, load
from resnetbook.lab.running import Context, Experiment


@dataclass(frozen=True)
class Settings:
    """The small set and the larger one (`target_...`), the networks, the number of cells and how many are trained again."""

    data: str = "digits"
    train_size: int = 300
    epochs: int = 6
    batch_size: int = 64
    target_data: str = "cifar10_jpeg"
    target_size: int = 8
    target_train_size: int = 1200
    target_test_size: int = 4000
    target_epochs: int = 8
    target_batch_size: int = 128
    cells: int = 30
    extremes: int = 5  # how many of the best, and of the worst, are trained again
    blocks: int = 3
    repeats: int = 1
    filters: int = 4
    warmup_epochs: int = 1
    rates: tuple[float, ...] = (0.03, 0.1, 0.3)


def arms(settings: Settings) -> Sequence[str]:
    """Return the one arm: a search."""
    return ("search",)


def images_of(settings: Settings, which: str) -> ImageSet:
    """Load the set "small" or "large", the latter with a limited number of test images."""
    if which == "small":
        return load(settings.data, train_size=settings.train_size or None)
    found = load(
        settings.target_data,
        size=settings.target_size or None,
        train_size=settings.target_train_size or None,
    )
    limit = settings.target_test_size or len(found.test.labels)
    return replace(found, test=Part(found.test.images[:limit], found.test.labels[:limit]))


def network(settings: Settings, number: int, data: ImageSet) -> nn.Module:
    """Build the network of cell `number`, from torch's random state."""
    from resnetbook.timeline.nasnet import NASNetA, random_cell

    return NASNetA(
        random_cell(2 * number, settings.blocks),
        random_cell(2 * number + 1, settings.blocks),
        repeats=settings.repeats,
        filters=settings.filters,
        num_classes=len(data.classes),
        in_channels=data.train.images.shape[1],
    )


def trained(
    settings: Settings,
    number: int,
    which: str,
    data: ImageSet,
    seed: int,
    rate: float,
    device: str,
    checkpoint: Path | None = None,
) -> nn.Module:
    """Return the network of cell `number`, trained on the set `which`."""
    training.seed_everything(seed)
    model, small = network(settings, number, data), which == "small"
    how = training.Settings(
        epochs=settings.epochs if small else settings.target_epochs,
        batch_size=settings.batch_size if small else settings.target_batch_size,
        learning_rate=rate,
        warmup_epochs=settings.warmup_epochs,
        schedule="step",
        seed=seed,
        device=device,
    )
    training.fit(model, data.train, settings=how, checkpoint=checkpoint, progress=False)
    return model


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> float:
    """Return Spearman's correlation of two lists; 0 where one of them is constant."""
    from scipy.stats import rankdata

    first, second = rankdata(x), rankdata(y)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def partial_rank_correlation(x: Sequence[float], y: Sequence[float], fixed: Sequence[float]) -> float:
    """Return the rank correlation of x and y that the third list leaves; 0 where it explains one of them wholly."""
    xy, xz, yz = rank_correlation(x, y), rank_correlation(x, fixed), rank_correlation(y, fixed)
    rest = (1 - xz**2) * (1 - yz**2)
    return (xy - xz * yz) / rest**0.5 if rest > 1e-12 else 0.0


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Search, train the extremes again on both sets, and compare the ranks."""
    sets = {which: images_of(settings, which) for which in ("small", "large")}

    def score(number: int, which: str, part: str, offset: int) -> float:
        rate = float(context.tuned[f"{which}_rate"])
        file = context.checkpoint_for(f"{which}{offset}_{number}")
        model = trained(settings, number, which, sets[which], seed + offset, rate, context.device, file)
        return float(training.evaluate(model, getattr(sets[which], part), device=context.device)["accuracy"])

    numbers = [seed * settings.cells + i for i in range(settings.cells)]
    searched = {number: score(number, "small", "validation", 0) for number in numbers}
    order = sorted(numbers, key=lambda number: -searched[number])
    chosen = order[: settings.extremes] + order[-settings.extremes :]
    found = [searched[number] for number in chosen]
    again = [score(number, "small", "test", 100) for number in chosen]
    large = [score(number, "large", "test", 0) for number in chosen]
    parameters = [
        float(sum(p.numel() for p in network(settings, number, sets["large"]).parameters()))
        for number in chosen
    ]

    def lead(values: Sequence[float]) -> float:
        return float(np.mean(values[: settings.extremes]) - np.mean(values[settings.extremes :]))

    return {
        "transfer_correlation": rank_correlation(found, large),
        "repeat_correlation": rank_correlation(found, again),
        "size_correlation": rank_correlation(parameters, large),
        "beyond_size": partial_rank_correlation(found, large, parameters),
        "advantage": lead(large),
        "repeat_advantage": lead(again),
        "search_accuracy": [searched[number] for number in order],
        "chosen_search_accuracy": found,
        "chosen_repeat_accuracy": again,
        "chosen_large_accuracy": large,
        "chosen_parameters": parameters,
        "chosen_cells": [float(number) for number in chosen],
    }


def tune(settings: Settings, arm: str, context: Context) -> dict[str, Any]:
    """Choose one rate for each set: the lowest validation loss, summed over two cells that no search draws."""
    found: dict[str, Any] = {}
    for which in ("small", "large"):
        data = images_of(settings, which)

        def loss(rate: float, which: str = which, data: ImageSet = data) -> float:
            seed = fitting.TUNING_SEED
            models = [
                trained(settings, seed * settings.cells + i, which, data, seed, rate, context.device)
                for i in range(2)
            ]
            return sum(
                training.evaluate(model, data.validation, device=context.device)["loss"] for model in models
            )

        best = fitting.lowest(settings.rates, loss)
        found[f"{which}_rate"] = best["learning_rate"]
        found[f"{which}_scores"] = best["scores"]
    return found


EXPERIMENT = Experiment(
    name="cell_search",
    title="Cells ranked on small data, trained again on larger data",
    claims=("C37",),
    scales={
        "live": Settings(
            train_size=100, epochs=2, target_train_size=200, target_test_size=200, target_epochs=1,
            cells=4, extremes=1, blocks=2, rates=(0.1,),
        ),
        "quick": Settings(),
        "full": Settings(
            data="cifar10_jpeg", train_size=5000, epochs=10, batch_size=128,
            target_size=32, target_train_size=0, target_test_size=0, target_epochs=20, blocks=5, filters=8,
        ),
    },
    arms=arms,
    run=run,
    tune=tune,
    data=lambda settings: fitting.describe_set(images_of(settings, "small")),
)  # fmt: skip
