"""NASNet's cells as data: the table of a cell, the two that NASNet-A found, and cells drawn from their space."""

import random
from collections.abc import Iterable
from dataclasses import dataclass

from resnetbook.timeline._checks import check_positive

# Those of the paper's thirteen operations that NASNet-A uses, with the side of the window.
OPERATIONS = {"identity": 1, "avg3": 3, "max3": 3, "sep3": 3, "sep5": 5, "sep7": 7}
State = str | int  # "current" is h_{i-1}, "previous" is h_{i-2}, a number is a block of this cell
INPUTS: tuple[State, ...] = ("previous", "current")


@dataclass(frozen=True)
class Cell:
    """A cell as data: for each block two (operation, state) pairs, and the states that are concatenated.

    Args:
        blocks: two pairs a block; a block may read the inputs and the blocks before it.
        concat: what is concatenated; by default the paper's rule: every state that no operation reads.

    Raises:
        ValueError: an unknown operation, or a state that does not exist (yet).
    """

    blocks: tuple[tuple[tuple[str, State], tuple[str, State]], ...]
    concat: tuple[State, ...] = ()

    def __post_init__(self) -> None:
        for number, block in enumerate(self.blocks):
            for operation, state in block:
                if operation not in OPERATIONS:
                    raise ValueError(f"operation={operation!r}: expected one of {', '.join(OPERATIONS)}")
                if state not in (*INPUTS, *range(number)):
                    raise ValueError(
                        f"state={state!r} in block {number}: expected 'previous', 'current' or an earlier block"
                    )
        states = (*INPUTS, *range(len(self.blocks)))
        read = {state for block in self.blocks for _, state in block}
        if not self.concat:
            object.__setattr__(self, "concat", tuple(state for state in states if state not in read))
        if not self.blocks or not set(self.concat) <= set(states):
            raise ValueError(
                f"concat={self.concat!r}: expected states of a cell of {len(self.blocks)} blocks"
            )


NORMAL_A = Cell(
    (
        (("sep5", "current"), ("sep3", "previous")),
        (("sep5", "previous"), ("sep3", "previous")),
        (("avg3", "current"), ("identity", "previous")),
        (("avg3", "previous"), ("avg3", "previous")),
        (("sep3", "current"), ("identity", "current")),
    ),
    concat=("previous", 0, 1, 2, 3, 4),
)
REDUCTION_A = Cell(
    (
        (("sep5", "current"), ("sep7", "previous")),
        (("max3", "current"), ("sep7", "previous")),
        (("avg3", "current"), ("sep5", "previous")),
        (("avg3", 0), ("identity", 1)),
        (("sep3", 0), ("max3", "current")),
    ),
    concat=(1, 2, 3, 4),
)


def random_cell(seed: int, blocks: int = 5, operations: Iterable[str] = tuple(OPERATIONS)) -> Cell:
    """Draw a cell of the search space: each block picks two states and two operations, all equally likely.

    Raises:
        ValueError: fewer than one block, or an unknown operation.
    """
    check_positive(blocks=blocks)
    draw, names = random.Random(seed), tuple(operations)

    def pair(number: int) -> tuple[str, State]:
        return draw.choice(names), draw.choice((*INPUTS, *range(number)))

    return Cell(tuple((pair(number), pair(number)) for number in range(blocks)))
