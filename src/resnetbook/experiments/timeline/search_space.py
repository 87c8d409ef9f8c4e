"""C87: NASNet shrinks the space in which a network is searched.

Design: a count, without training. A block of a cell picks two of the states that there are (two inputs and the blocks before it),
an operation for each, and a way to join the two results. With K operations, J ways to join and block b = 1, ..., B:

    M_b = (b + 1) K,   tables of one cell = product over b of J M_b (M_b + 1) / 2

where the order of the two halves of a block, which changes nothing, is not counted; the order of blocks is, in all three spaces
alike. The network has 3N + 2 cells: N normal cells on each of three map sizes, a reduction cell between (Zoph et al. 2018,
arXiv:1707.07012, figure 2). Three spaces of this one network, with the same operations and as many blocks:
"cell-B" (NASNet's): two tables, one for all normal cells and one for both reductions: tables^2.
"layers-B": each cell has a table of its own: tables^(3N + 2). It holds every network of "cell-B": the smallest space of the
whole network that does.
"graph-B": the blocks are one graph, each reads any block before it, as in a search without cells (Zoph and Le 2017,
arXiv:1611.01578): the product above over all (3N + 2) B blocks. It holds "layers-B" up to the size of maps.
K = 13 and J = 2 (sum, concatenation) are the paper's. Metrics: log10_networks, the logarithm of the size; log10_over_cell, how
much larger than "cell-B": its sign is the direction, its value the size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from resnetbook.lab.running import Context, Experiment

SPACES = ("cell", "layers", "graph")


@dataclass(frozen=True)
class Settings:
    """Blocks of a cell, N, and the choices of a block."""

    blocks: tuple[int, ...] = (1, 2, 3, 4, 5)
    repeats: int = 6
    operations: int = 13
    joins: int = 2


def arms(settings: Settings) -> Sequence[str]:
    """Return each space for each number of blocks in a cell."""
    return tuple(f"{space}-{blocks}" for blocks in settings.blocks for space in SPACES)


def tables(blocks: int, operations: int, joins: int) -> int:
    """Return how many tables of `blocks` blocks there are, up to the order of a block's halves.

    Raises:
        ValueError: a number below 1.
    """
    for name, value in (("blocks", blocks), ("operations", operations), ("joins", joins)):
        if value < 1:
            raise ValueError(f"{name}={value}: expected 1 or more")
    halves = [(block + 1) * operations for block in range(1, blocks + 1)]
    return math.prod(joins * half * (half + 1) // 2 for half in halves)


def size(settings: Settings, arm: str) -> int:
    """Return the exact number of networks of a space."""
    space, blocks = arm.split("-")
    choices, cells = (settings.operations, settings.joins), 3 * settings.repeats + 2
    if space == "graph":
        return tables(cells * int(blocks), *choices)
    return int(tables(int(blocks), *choices) ** (2 if space == "cell" else cells))


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, float]:
    """Count a space."""
    own, cell = size(settings, arm), size(settings, f"cell-{arm.split('-')[1]}")
    # Differences of logarithms are rounded; the exact comparison of the two whole numbers is not.
    return {
        "log10_networks": math.log10(own),
        "log10_over_cell": 0.0 if own == cell else math.log10(own) - math.log10(cell),
        "larger_than_cell": float(own > cell),
    }


EXPERIMENT = Experiment(
    name="search_space", title="How many networks a search of cells and a search of all layers can reach",
    claims=("C87",),
    scales={"live": Settings(blocks=(1, 5)), "quick": Settings(), "full": Settings()},
    arms=arms, run=run,
)  # fmt: skip
