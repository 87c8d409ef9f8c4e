"""Which decisions read a record, as one hash: registered before a run, it stands in the record that the run makes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any

from resnetbook.survey.load import claims
from resnetbook.survey.model import RATIO, SHARE, Decision

WORDS = ("label", "reading", "part_of", "why_margin")  # they change no verdict


def decisions_hash(experiment: str, variant: str | None, scale: str) -> str:
    """Return the SHA-256 of the decisions that read this record, each with its claim and its margin as a number."""
    rows = [[claim, _plain(decision, scale)] for claim, decision in decisions_of(experiment, variant, scale)]
    text = json.dumps(rows, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def decisions_of(experiment: str, variant: str | None, scale: str) -> list[tuple[str, Decision]]:
    """Return (claim, decision) for each decision that reads the record of `experiment` on `variant` at `scale`."""
    return [
        (claim.id, decision)
        for claim in claims()
        for decision in claim.decisions
        if decision.experiment == experiment
        and decision.scale in (None, scale)
        and decision.variant_at(scale) == variant
    ]


def is_registered(experiment: str, variant: str | None, scale: str) -> bool:
    """Return whether a decision reads the record, or a claim says why it is exempt."""
    exempt = any(
        (each.experiment, each.variant, each.scale) == (experiment, variant, scale)
        for claim in claims()
        for each in getattr(claim, "exempt", ())
    )
    return exempt or bool(decisions_of(experiment, variant, scale))


def _plain(decision: Decision, scale: str) -> dict[str, Any]:
    fields = {key: value for key, value in asdict(decision).items() if key not in WORDS}
    if decision.contrast is None:  # a later kind of comparison: the others keep the hash that they had
        del fields["contrast"]
    margin = {"share": SHARE[scale], "ratio": RATIO}.get(str(decision.margin), decision.margin)
    return {**fields, "margin": margin}
