"""Were the decisions on a record registered before its run? Computed from hashes, never claimed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, Literal

from resnetbook.survey.load import claims
from resnetbook.survey.model import Claim, Decision
from resnetbook.survey.records import Record, place

# Words for the reader, and what concerns records at the other scale.
LEFT_OUT = ("label", "reading", "part_of", "why_margin", "full", "scale")


def reads(decision: Decision, experiment: str, variant: str | None, scale: str) -> bool:
    """Return whether a decision reads a record."""
    here = decision.experiment == experiment and decision.scale in (None, scale)
    return here and decision.variant_at(scale) == variant


def content(decision: Decision, scale: str) -> dict[str, Any]:
    """Return what a decision says of a record at this scale: fields that are set, numbers as floats."""
    resolved = {"variant": decision.variant_at(scale), "margin": decision.margin_at(scale)}
    fields = {**asdict(decision), **resolved}
    return {
        key: float(value) if isinstance(value, int | float) else dict(value) if key == "contrast" else value
        for key, value in fields.items()
        if key not in LEFT_OUT and value is not None
    }


@cache
def decisions_hash(experiment: str, variant: str | None, scale: str) -> str:
    """Return the SHA-256 of all decisions that read a record, in the ledger's order, as canonical JSON.

    Labels, reasons and the names of readings do not count; a margin counts as the number that it is at this scale.

    Args:
        experiment: name of the experiment.
        variant: the record's variant, None where the experiment has one only.
        scale: "quick" or "full".
    """
    found = [
        [claim.id, content(decision, scale)]
        for claim in claims()
        for decision in claim.decisions
        if reads(decision, experiment, variant, scale)
    ]
    text = json.dumps(found, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def is_registered(experiment: str, variant: str | None, scale: str) -> bool:
    """Return whether a decision reads a record, or a claim says why it is exempt."""
    key = (experiment, variant, scale)
    return any(
        any(reads(decision, *key) for decision in claim.decisions)
        or any((each.experiment, each.variant, each.scale) == key for each in claim.exempt)
        for claim in claims()
    )


def registered(
    record: Record, experiment: str, variant: str | None, scale: str
) -> Literal["before", "after", ""]:
    """Return when the decisions on a record were registered.

    "before" needs the hash that the runner wrote before the run to be today's, as many seeds as were registered, and a
    commit without changes beside it; empty for a record that has no registration.
    """
    written = record.registration
    if not written:
        return ""
    same = written["decisions"] == decisions_hash(experiment, variant, scale)
    clean = not written["commit"].endswith("-dirty")
    return "before" if same and clean and written["seeds"] == len(record.seeds) else "after"


def silent(claim: Claim, scale: str, folder: Path | None = None) -> tuple[str, ...]:
    """Return the files of records of a claim's experiments that neither decide nor are exempt; rule 9 wants none.

    Args:
        claim: the claim.
        scale: "quick" or "full".
        folder: where records lie, by default the package's own.
    """
    found = []
    for path in sorted(place(folder).glob(f"*.{scale}.json")):
        experiment, _, variant = path.name.removesuffix(f".{scale}.json").partition("-")
        key = (experiment, variant or None, scale)
        exempt = any((each.experiment, each.variant, each.scale) == key for each in claim.exempt)
        heard = exempt or any(reads(decision, *key) for decision in claim.decisions)
        if experiment in claim.experiments and not heard:
            found.append(path.name)
    return tuple(found)
