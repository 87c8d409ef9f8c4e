"""Compute verdicts from records; nobody writes them by hand.

A decision compares two arms that share seeds and test images, or one arm with a number. `d` is the difference for each
seed (unit "ratio": of logarithms, the margin too), its sign turned so that positive favours the survey's sentence. Its
mean, its 95 % interval (over seeds, and over test images where the record holds their outcomes) and its p value, adjusted
over all decisions of the scale, decide:

| rule | supported | opposite | no gain |
|---|---|---|---|
| better | low > 0, mean > margin | high < 0, mean < -margin | high < margin |
| not_worse | low > -margin | high < -margin | |
| equal | -margin < low, high < margin | low > margin or high < -margin | |
| exact | every seed fulfils `op value` | a seed does not | |

"supported" and "opposite" also need an adjusted p below .05, against 0 for `better`, against the margin for the others
(two-sided, so that p < .05 and the interval say the same before the adjustment). Everything else is undecided; too few
seeds, or a seed without a value, decide nothing. Records of schema 1 decide nothing.

A claim is supported if all parts are, refuted if all are opposite or no gain, mixed if there are both, partly supported or
partly refuted if the rest is undecided. Quick and full scale give two verdicts, which are never merged.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from resnetbook.survey.load import claim as find_claim
from resnetbook.survey.load import claims
from resnetbook.survey.model import SHARE, Claim, Decision, Status
from resnetbook.survey.outcome import Names, Outcome, Verdict
from resnetbook.survey.records import file_name, place
from resnetbook.survey.words import combine

if TYPE_CHECKING:
    from resnetbook.survey.part import Part

CONFIDENCE = 0.95
Stamp = tuple[tuple[str, int, int, int], ...]


def interval(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float, float]:
    """Return mean, lower and upper end of the t interval of independent values.

    Args:
        values: one number for each seed. With one value the ends are infinite, with none all three are NaN.
        confidence: coverage, between 0 and 1.

    Raises:
        ValueError: the confidence is out of range.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, found {confidence!r}")
    if len(values) == 0:
        return math.nan, math.nan, math.nan
    from resnetbook.survey.intervals import over_seeds  # here, so that reading the map alone needs no numpy

    estimate = over_seeds(values)
    mean, half = float(estimate.mean), float(estimate.half_width(confidence))
    return mean, mean - half, mean + half


def check_scale(scale: str) -> None:
    """Raise ValueError if there is no such scale."""
    if scale not in SHARE:
        raise ValueError(f"scale must be one of {tuple(SHARE)}, found {scale!r}")


def stamp(folder: Path | None) -> Stamp:
    """Return what changes when a record in the folder does."""
    where = place(folder)
    if not where.is_dir():
        return ()
    with os.scandir(where) as entries:
        files = [(entry.name, entry.stat()) for entry in entries if entry.name.endswith(".json")]
    return tuple(sorted((name, file.st_mtime_ns, file.st_size, file.st_ino) for name, file in files))


def question(decision: Decision) -> Decision:
    """Return a decision without the words for the reader: claims and readings that ask the same thing ask it once."""
    return replace(decision, label="", reading="", part_of="reading", why_margin="")


@lru_cache(maxsize=8)
def family(scale: str, folder: Path | None, _stamp: Stamp) -> Mapping[Decision, float]:
    """Return the p value of every question that the ledger asks at this scale and that a record answers.

    Exact decisions have none. One whose values are all equal, and not to the number tested, is left out: its p value of 0
    estimates nothing, and would make the adjustment of all others milder.
    """
    names = {name for name, *_ in _stamp}
    asked = {
        question(decision)
        for claim in claims()
        for decision in claim.decisions
        if decision.rule != "exact" and decision.scale in (None, scale)
        and file_name(decision.experiment, decision.variant_at(scale), scale) in names
    }  # fmt: skip
    if not asked:
        return {}
    from resnetbook.survey.part import measure

    found = {each: measure(each, scale, folder).p for each in asked}
    return {each: p for each, p in found.items() if p > 0}


def adjust(part: Part, others: Mapping[Decision, float]) -> float:
    """Return a part's p value, adjusted by Benjamini and Hochberg (1995) together with all others'."""
    if not part.p > 0:
        return part.p
    from scipy.stats import false_discovery_control

    values = {**others, question(part.decision): part.p}
    return float(false_discovery_control(list(values.values()))[list(values).index(question(part.decision))])


@lru_cache(maxsize=1024)
def decided(decision: Decision, scale: str, folder: Path | None, _stamp: Stamp) -> Outcome:
    """Return the outcome of a decision, computed once for each state of the folder."""
    from resnetbook.survey.part import measure, settle

    part = measure(decision, scale, folder)
    return part.outcome if part.sample is None else settle(part, adjust(part, family(scale, folder, _stamp)))


def decide(decision: Decision, scale: str = "quick", folder: Path | None = None) -> Outcome:
    """Return what the record says of one decision.

    Args:
        decision: the comparison.
        scale: "quick" or "full".
        folder: where records lie, by default the package's own.

    Raises:
        ValueError: the scale is unknown, or a record is malformed (the message names its file).
    """
    check_scale(scale)
    return decided(decision, scale, folder, stamp(folder))


def verdict(claim: Claim | str, scale: str = "quick", folder: Path | None = None) -> Verdict:
    """Return the verdict of a claim at one scale, computed from its records.

    Args:
        claim: the claim or its id.
        scale: "quick" or "full".
        folder: where records lie, by default the package's own.

    Raises:
        ValueError: claim or scale is unknown, or a record is malformed (the message names its file).
    """
    claim = find_claim(claim) if isinstance(claim, str) else claim
    check_scale(scale)
    if claim.by_reading is not None:
        return Verdict(claim.id, scale, claim.by_reading)
    decisions = [decision for decision in claim.decisions if decision.scale in (None, scale)]
    outcomes = tuple(replace(decide(decision, scale, folder), claim=claim.id) for decision in decisions)
    names = dict.fromkeys(outcome.reading for outcome in outcomes)
    readings = {
        name: combine(outcome.status for outcome in outcomes if outcome.reading == name) for name in names
    }
    status = combine(outcome.status for outcome in outcomes)
    mixed = status == "mixed"
    return Verdict(
        claim.id,
        scale,
        status,
        outcomes,
        claim.narrowed,
        tuple(readings.items()) if len(readings) > 1 else (),
        named(outcomes, readings, ("supported",)) if mixed else Names(),
        named(outcomes, readings, ("opposite", "no gain")) if mixed else Names(),
    )


def named(outcomes: Sequence[Outcome], readings: Mapping[str, Status], words: Sequence[str]) -> Names:
    """Return the parts that have one of the words: a reading by its name, or each comparison where it is mixed itself."""
    found: dict[str, list[str]] = {"reading": [], "data": []}
    for outcome in outcomes:
        if outcome.status not in words:
            continue
        own = [outcome.reading] if outcome.reading else []
        whole = own and readings[outcome.reading] != "mixed"
        name = outcome.reading if whole else ": ".join([*own, outcome.label])
        if name not in found[outcome.part_of]:
            found[outcome.part_of].append(name)
    return Names(tuple(found["reading"]), tuple(found["data"]))


def verdicts(scale: str = "quick", folder: Path | None = None) -> tuple[Verdict, ...]:
    """Return the verdicts of all claims, in their order."""
    return tuple(verdict(claim, scale, folder) for claim in claims())


def totals(scale: str = "quick", folder: Path | None = None) -> dict[str, int]:
    """Count claims C01 to C89 by verdict; the key "comparisons" holds the number of decisions that had a record.

    With many comparisons some pass by luck, so this number belongs beside every table of verdicts.
    """
    found = [verdict for verdict in verdicts(scale, folder) if verdict.claim.startswith("C")]
    counts = Counter(verdict.status for verdict in found)
    return {
        **{name: counts[name] for name in get_args(Status)},
        "comparisons": sum(verdict.comparisons for verdict in found),
    }
