"""What a record says of its registration: the decisions that read it, their commit, and the number of seeds."""

from __future__ import annotations

from typing import Any

from resnetbook.lab.running.environment import commit
from resnetbook.lab.running.experiment import Experiment


def of(found: Experiment, variant: str | None, scale: str, *, standard: bool) -> dict[str, Any]:
    """Return the hash of the decisions that read the record, the commit in which they stand, and the registered seeds.

    Args:
        found: the experiment.
        variant: its data set, None where it has none to choose.
        scale: "live", "quick" or "full".
        standard: whether the record is to be one of the book's, which decide claims.

    Raises:
        ValueError: a record of the book, and the code is not committed or no decision reads it.
    """
    from resnetbook.survey import registration

    head = commit()
    if standard:
        if head == "unknown" or head.endswith("-dirty"):
            state = (
                "the code has changes that are not committed" if head != "unknown" else "this is no checkout"
            )
            raise ValueError(
                f"{found.name}: {state}, and a record of the book names the commit that made it: commit first, "
                "or write a trial elsewhere with --folder DIR"
            )
        if found.claims and not registration.is_registered(found.name, variant, scale):
            raise ValueError(
                f"{found.name} on {variant}, scale {scale}: no decision reads this record; register one (or why it is exempt) "
                "in survey/data/claims before the run, or write a trial elsewhere with --folder DIR"
            )
    return {
        "decisions": registration.decisions_hash(found.name, variant, scale),
        "commit": head,
        "seeds": found.seeds[scale],
    }
