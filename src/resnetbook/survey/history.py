"""What version 1 of the rules said, kept as it was, so that both versions can be shown side by side."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from resnetbook.survey.tables import build, read_toml


@dataclass(frozen=True)
class FormerPart:
    """One comparison under version 1.

    Attributes:
        label: the comparison in words.
        mean: mean in the unit of that time; ratios above 1 favour the claim.
        low: lower end of the interval over seeds.
        high: upper end.
        margin: what the mean had to exceed.
        status: "supported", "refuted" or "undecided".
        seeds: number of seeds.
        reading: name of the reading, empty where the claim had one only.
    """

    label: str
    mean: float
    low: float
    high: float
    margin: float
    status: str
    seeds: int
    reading: str = ""


@dataclass(frozen=True)
class FormerVerdict:
    """A claim under version 1, at quick scale.

    Attributes:
        claim: id of the claim.
        status: "supported", "refuted", "undecided" or "depends on the reading".
        parts: its comparisons.
    """

    claim: str
    status: str
    parts: tuple[FormerPart, ...]


@cache
def version1() -> tuple[FormerVerdict, ...]:
    """Return the verdicts of version 1 on C01 to C38, which had records."""
    rows = read_toml("version1")["verdicts"]
    return tuple(
        FormerVerdict(
            row["claim"],
            row["status"],
            tuple(build(FormerPart, each, f"version1.toml, {row['claim']}") for each in row["part"]),
        )
        for row in rows
    )
