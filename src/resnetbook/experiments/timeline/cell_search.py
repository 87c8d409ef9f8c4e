"""C37: a cell found on small data transfers to large data.

Design: one seed is one search. Random pairs of a normal and a reduction cell are drawn from NASNet's space (three blocks
a cell, its six operations), each is trained shortly on a small set and ranked by validation accuracy (ties by validation loss):
the random search that the NASNet paper has as its control, at a thousandth of the size. Three groups are trained again, from
other first weights: the best, the worst, and as many that are drawn from the rest, whatever their rank. Each is trained on the
small set once more, and on a larger, harder set of other images. Equal for all cells: filters, repeats, epochs, images, order of
batches and, on each set, one learning rate, the best for two cells that are in no search. (One rate for all, as in a search.)
Metrics: advantage, mean test accuracy on the larger set of the best minus the drawn ones: what searching gains over not
searching; advantage_over_worst, the same minus the worst. within_correlation, Spearman's rank correlation of the search with the
larger set inside the groups (ranks within a group, its mean taken out): best and worst lie apart, so that a correlation over all
of them says little more than which group a cell is in. beyond_size, the same with the numbers of parameters held fixed (partial).
Beside them, deciding nothing: transfer_correlation, repeat_correlation (with the second training on the small set) and
size_correlation, over all that are trained again; repeat_advantage, on the small set.
A second pair of sets, `--set data=mednist_small`: 120 pictures of six kinds at 8 px, then 600 chest X-rays at 10 px.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from resnetbook.experiments.timeline._ranks import partial_rank_correlation, rank_correlation
from resnetbook.lab import fitting, measuring, training
from resnetbook.lab.data import ImageSet, Part
from resnetbook.lab.running import Context, Experiment
from resnetbook.timeline.nasnet import NASNetA, random_cell

SETS = ("small", "large")


@dataclass(frozen=True)
class Settings:
    """The small set and the larger one (`target_...`), the networks, the number of cells and how many are trained again."""

    data: str = "digits"
    size: int = 0
    train_size: int = 300
    validation_size: int = 0  # most validation images that are used; 0: all
    epochs: int = 5
    batch_size: int = 64
    target_data: str = "cifar10_jpeg"
    target_size: int = 8
    target_train_size: int = 1000
    target_validation_size: int = 500
    target_test_size: int = 2000
    target_epochs: int = 6
    target_batch_size: int = 128
    cells: int = 16
    extremes: int = 4  # how many of the best, of the worst and of the rest are trained again
    blocks: int = 3
    repeats: int = 1
    filters: int = 4
    warmup_epochs: int = 1
    rates: tuple[float, ...] = (0.03, 0.1, 0.3)


def arms(settings: Settings) -> Sequence[str]:
    """Return the one arm: a search."""
    return ("search",)


def settings_of(settings: Settings, which: str) -> Settings:
    """Return the settings of a training on the set "small" or "large"."""
    if which == "small":
        return settings
    names = ("data", "size", "train_size", "validation_size", "epochs", "batch_size")
    return replace(settings, **{name: getattr(settings, f"target_{name}") for name in names})


def images_of(settings: Settings, which: str, seed: int) -> ImageSet:
    """Load a set with the training images that `seed` draws; the larger one with a limited number of test images."""
    found = fitting.images_of(settings_of(settings, which), seed)
    limit = len(found.test) if which == "small" else settings.target_test_size or len(found.test)
    return replace(found, test=Part(found.test.images[:limit], found.test.labels[:limit]))


def network(settings: Settings, number: int, data: ImageSet) -> nn.Module:
    """Build the network of cell `number`, from torch's random state."""
    return NASNetA(
        random_cell(2 * number, settings.blocks),
        random_cell(2 * number + 1, settings.blocks),
        repeats=settings.repeats,
        filters=settings.filters,
        num_classes=len(data.classes),
        in_channels=data.shape[0],
    )


def numbers(settings: Settings, seed: int) -> list[int]:
    """Return the numbers of the cells that a search draws; no two searches share one."""
    return [seed * settings.cells + i for i in range(settings.cells)]


def groups(settings: Settings, order: Sequence[int]) -> list[int]:
    """Return from cells in the order of the search the best, as many of the rest by number, and the worst.

    Raises:
        ValueError: there are too few cells for three groups.
    """
    count = settings.extremes
    if len(order) < 3 * count:
        raise ValueError(
            f"cells={len(order)}: expected at least {3 * count}, three groups of extremes={count}"
        )
    best, worst = list(order[:count]), list(order[-count:])
    return [*best, *sorted(set(order) - {*best, *worst})[:count], *worst]


def compare(
    settings: Settings, order: Sequence[int], again: torch.Tensor, large: torch.Tensor, sizes: Sequence[float]
) -> dict[str, Any]:
    """Return the metrics of a search.

    Args:
        settings: how many cells are in a group.
        order: of the cells in the search, the best first.
        again, large: right answers of the cells trained again, (cells, images) each, in the order of `groups`.
        sizes: their numbers of parameters.
    """
    count = settings.extremes
    place = [-float(list(order).index(number)) for number in groups(settings, order)]
    best, drawn, worst = large.double().split(count)
    repeat, accuracy = (found.double().mean(1).tolist() for found in (again, large))
    gain = best.mean(0) - drawn.mean(0)
    return {
        "advantage": float(gain.mean()),
        "advantage_over_worst": float(best.mean() - worst.mean()),
        "repeat_advantage": float(np.mean(repeat[:count]) - np.mean(repeat[count : 2 * count])),
        "within_correlation": rank_correlation(place, accuracy, count),
        "beyond_size": partial_rank_correlation(place, accuracy, sizes, count),
        "transfer_correlation": rank_correlation(place, accuracy),
        "repeat_correlation": rank_correlation(place, repeat),
        "size_correlation": rank_correlation(sizes, accuracy),
        "chosen_repeat_accuracy": repeat,
        "chosen_large_accuracy": accuracy,
        "chosen_parameters": list(sizes),
        "outcomes": {
            "advantage": gain,
            "advantage_over_worst": best.mean(0) - worst.mean(0),
        },
    }


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Search, train the three groups again on both sets, and compare."""
    sets = {which: images_of(settings, which, seed) for which in SETS}

    def trained(number: int, which: str, offset: int) -> nn.Module:
        training.seed_everything(seed + offset)
        model = network(settings, number, sets[which])
        fitting.train(
            model,
            sets[which],
            settings_of(settings, which),
            rate=fitting.rate_for(which, context),
            seed=seed + offset,
            device=context.device,
            checkpoint=context.checkpoint_for(f"{which}{offset}_{number}"),
        )
        return model

    def searched(number: int) -> dict[str, float]:
        return training.evaluate(trained(number, "small", 0), sets["small"].validation, device=context.device)

    def right(number: int, which: str, offset: int) -> torch.Tensor:
        test = sets[which].test
        return measuring.right(trained(number, which, offset), test.images, test.labels)

    found = {number: searched(number) for number in numbers(settings, seed)}
    order = sorted(found, key=lambda number: (-found[number]["accuracy"], found[number]["loss"]))
    chosen = groups(settings, order)
    again, large = (
        torch.stack([right(n, which, offset) for n in chosen])
        for which, offset in (("small", 1000), ("large", 0))
    )
    sizes = [float(sum(p.numel() for p in network(settings, n, sets["large"]).parameters())) for n in chosen]
    return {
        **compare(settings, order, again, large, sizes),
        "search_accuracy": [found[number]["accuracy"] for number in order],
        "chosen_search_accuracy": [found[number]["accuracy"] for number in chosen],
        "chosen_cells": [float(number) for number in chosen],
    }


def score(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, float]:
    """Return the validation loss on each set, summed over two cells that no search draws."""
    found = dict.fromkeys(SETS, 0.0)
    for which in SETS:
        own = settings_of(settings, which)
        for number in numbers(settings, seed)[:2]:
            build = partial(network, settings, number)
            found[which] += fitting.score(own, build, seed, context)["validation_loss"]
    return found


EXPERIMENT = Experiment(
    name="cell_search", title="Cells ranked on small data, trained again on larger data", claims=("C37",),
    scales={
        "live": Settings(
            train_size=100, epochs=2, target_train_size=200, target_test_size=200, target_epochs=1, cells=4,
            extremes=1, blocks=2, rates=(0.1,),
        ),
        "quick": Settings(),
        "full": Settings(
            data="cifar10_jpeg", train_size=5000, validation_size=2000, epochs=6, batch_size=256,
            target_size=32, target_train_size=20_000, target_test_size=0, target_epochs=10,
            target_batch_size=512, blocks=5, filters=8,
        ),
    },
    variants={
        "quick": (
            Settings(
                data="mednist_small", size=8, train_size=120, epochs=8, target_data="pneumoniamnist",
                target_size=10, target_train_size=600, target_test_size=0,
            ),
        ),
    },
    arms=arms, run=run, score=score,
    data=lambda settings: fitting.describe_set(images_of(settings, "small", 0)),
)  # fmt: skip
