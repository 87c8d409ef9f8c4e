"""What a training or an evaluation reports."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

Row = dict[str, float]


class Scores(dict[str, float]):
    """Scores by name; one that has no meaning for these labels is left out, and is NaN where it is asked for by name."""

    def __missing__(self, name: str) -> float:
        if name == "accuracy":
            return math.nan
        raise KeyError(name)


@dataclass
class History:
    """What a training did: one row for each epoch; `diverged` where the loss stopped being a number.

    `notes` say in words what the training did otherwise than asked, such as a last batch joined to the one before.
    """

    rows: list[Row] = field(default_factory=list)
    diverged: bool = False
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> np.ndarray:
        """Return the column `name`, shape (epochs,); NaN where a row has no such value."""
        if not any(name in row for row in self.rows):
            known = ", ".join(self.rows[0]) if self.rows else "none: no epoch was trained"
            raise ValueError(f"name={name!r}: expected one of the columns {known}")
        return np.array([row.get(name, math.nan) for row in self.rows])

    @property
    def last(self) -> Row:
        """Return the row of the last epoch."""
        return self.rows[-1]

    def table(self) -> str:
        """Return the rows as text, one line for each epoch, to print; the notes stand below."""
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        lines = ["  ".join(names)]
        for row in self.rows:
            lines.append("  ".join(f"{row.get(name, math.nan):>{len(name)}.4g}" for name in names))
        return "\n".join(
            [*lines, *self.notes, *(["diverged: the loss is not a number"] if self.diverged else [])]
        )
