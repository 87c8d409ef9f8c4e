"""Compute verdicts from records; nobody writes them by hand.

A decision compares two arms that share seeds (data order, initial weights), or one arm with a number.
`d` is the value for each seed, with the sign turned so that positive favours the survey's sentence;
mean and 95 % t interval of `d` decide:

| rule | d | supported | refuted |
|---|---|---|---|
| better | a - b | low > 0 and mean > margin | high < margin |
| not_worse | a - b | low > -margin | high < -margin |
| equal | a - b | -margin < low and high < margin | low > margin or high < -margin |
| exact | a | every seed fulfils `op value` | a seed does not |

In place of b there may be a number, `bound`. With unit "ratio", d is the difference of logarithms and the margin log(1 + margin).

Everything else is undecided. `equal` is the pair of one-sided tests at 2.5 % each, so that the one interval that
is printed is the one that decides. Fewer than five seeds decide nothing, except for `exact`, where nothing is
estimated. A seed without a value leaves the decision undecided: what is missing is rarely missing by chance.
Quick and full scale give two verdicts, which are never merged.
"""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from resnetbook.survey.load import claim as find_claim
from resnetbook.survey.load import claims
from resnetbook.survey.model import SHARE, Claim, Decision, Status
from resnetbook.survey.records import Record, read

SEEDS = 5
CONFIDENCE = 0.95
OPERATORS = {"==": operator.eq, "<=": operator.le, ">=": operator.ge}


@dataclass(frozen=True)
class Outcome:
    """What one decision came to.

    Attributes:
        label: the comparison in words.
        seeds: number of seeds in the record, 0 where there is none.
        mean: mean of `d` over seeds (`ratio`: the geometric mean ratio, above 1 favours the claim; `exact`: the
            mean value itself); NaN where nothing is known.
        low: lower end of the 95 % t interval (`exact`: the smallest value).
        high: upper end (`exact`: the largest value).
        margin: what the mean has to exceed, in the same unit (`ratio`: 1.1; `exact`: the value compared with).
        status: supported, refuted, undecided or not run yet.
        provenance: one line about the record, empty where there is none.
        reading: name of the reading that it belongs to.
        rule: name of the rule.
        metric: name of the metric.
        unit: "difference", "ratio" or "value".
        missing: number of seeds without a value.
        values: `d` of every seed, in the unit of `mean`.
        reason: why it is undecided, in words; else empty.
    """

    label: str
    seeds: int
    mean: float
    low: float
    high: float
    margin: float
    status: Status
    provenance: str
    reading: str = ""
    rule: str = ""
    metric: str = ""
    unit: str = "difference"
    missing: int = 0
    values: tuple[float, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Verdict:
    """What the records say of a claim.

    Attributes:
        claim: id of the claim.
        scale: "quick" or "full".
        status: the verdict.
        outcomes: one for each decision.
        readings: (name, status) of each reading, in order; empty for a claim with one reading.
    """

    claim: str
    scale: str
    status: Status
    outcomes: tuple[Outcome, ...]
    readings: tuple[tuple[str, Status], ...] = ()

    @property
    def comparisons(self) -> int:
        """Return the number of decisions for which there was a record."""
        return sum(outcome.status != "not run yet" for outcome in self.outcomes)


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
    count = len(values)
    if count == 0:
        return math.nan, math.nan, math.nan
    mean = math.fsum(values) / count
    if count == 1:
        return mean, -math.inf, math.inf
    from scipy.stats import t  # here, so that reading the map alone needs no scipy

    if min(values) == max(values):
        return values[0], values[0], values[0]
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    half = float(t.ppf((1 + confidence) / 2, count - 1)) * deviation / math.sqrt(count)
    return mean, mean - half, mean + half


def judge(rule: str, mean: float, low: float, high: float, margin: float) -> Status:
    """Apply a rule to an interval of `d` (`ratio`: of logarithms, with the margin's logarithm)."""
    if rule == "equal":
        supported, refuted = -margin < low and high < margin, low > margin or high < -margin
    elif rule == "not_worse":
        supported, refuted = low > -margin, high < -margin
    else:
        supported, refuted = low > 0 and mean > margin, high < margin
    return "supported" if supported else "refuted" if refuted else "undecided"


def differences(decision: Decision, record: Record) -> list[float]:
    """Return `d` for each seed: positive favours the claim, NaN where a value is missing.

    Raises:
        ValueError: the record lacks a value, or a ratio meets a number that is not positive; names the file.
    """
    first = list(record.values(decision.a, decision.metric))
    if decision.bound is not None:
        second = [float(decision.bound)] * len(first)
    else:
        second = list(record.values(decision.b or "", decision.metric))
    if decision.unit == "ratio":
        if any(value <= 0 for value in (*first, *second)):
            raise ValueError(
                f"{record.path.name}: {decision.metric} must be positive for a ratio ({decision.label})"
            )
        first, second = [math.log(value) for value in first], [math.log(value) for value in second]
    sign = 1.0 if decision.better == "higher" else -1.0
    return [sign * (x - y) for x, y in zip(first, second, strict=True)]


def decide(decision: Decision, scale: str = "quick", folder: Path | None = None) -> Outcome:
    """Return what the record says of one decision.

    Args:
        decision: the comparison.
        scale: "quick" or "full".
        folder: where records lie, by default the package's own.

    Raises:
        ValueError: the scale is unknown, or the record is malformed (the message names its file).
    """
    if scale not in SHARE:
        raise ValueError(f"scale must be one of {tuple(SHARE)}, found {scale!r}")
    exact, ratio = decision.rule == "exact", decision.unit == "ratio"
    margin = float((decision.value if exact else decision.margin_at(scale)) or 0.0)
    unknown = Outcome(
        label=decision.label,
        seeds=0,
        mean=math.nan,
        low=math.nan,
        high=math.nan,
        margin=1 + margin if ratio else margin,
        status="not run yet",
        provenance="",
        reading=decision.reading,
        rule=decision.rule,
        metric=decision.metric,
        unit="value" if exact else "ratio" if ratio else "difference",
    )
    record = read(decision.experiment, decision.variant_at(scale), scale, folder)
    if record is None:
        return unknown
    values = list(record.values(decision.a, decision.metric)) if exact else differences(decision, record)
    known = [value for value in values if not math.isnan(value)]
    missing = len(values) - len(known)
    status: Status
    if exact:
        fulfils = OPERATORS[decision.op or "=="]
        mean = math.fsum(known) / len(known) if known else math.nan
        low, high = (min(known), max(known)) if known else (math.nan, math.nan)
        # One seed that breaks the rule refutes it, whatever the missing ones would have said.
        refuted = any(not fulfils(value, margin) for value in known)
        status = "refuted" if refuted else "undecided" if missing else "supported"
    else:
        mean, low, high = interval(known)
        status = judge(decision.rule, mean, low, high, math.log1p(margin) if ratio else margin)
        if missing or len(known) < SEEDS:
            status = "undecided"
    reason = ""
    if status == "undecided":
        few = len(values) < SEEDS and not exact
        reason = f"fewer than {SEEDS} seeds" if few else "the interval allows both answers"
        reason = f"{missing} of {len(values)} seeds without a value" if missing else reason
    if ratio:
        mean, low, high = math.exp(mean), math.exp(low), math.exp(high)
        values = [math.exp(value) for value in values]
    return replace(
        unknown,
        seeds=len(record.seeds),
        mean=mean,
        low=low,
        high=high,
        status=status,
        provenance=record.provenance,
        missing=missing,
        values=tuple(values),
        reason=reason,
    )


def combine(statuses: Iterable[Status]) -> Status:
    """Join the decisions of one reading: all must hold."""
    found = list(statuses)
    if "refuted" in found:
        return "refuted"
    if all(status == "not run yet" for status in found):
        return "not run yet"
    return "supported" if all(status == "supported" for status in found) else "undecided"


def join(statuses: Iterable[Status]) -> Status:
    """Join readings: equal ones keep their status, unequal ones depend on the reading; one that was not run decides nothing."""
    found = set(statuses)
    if len(found) == 1:
        return found.pop()
    return "depends on the reading" if len(found - {"not run yet"}) > 1 else "undecided"


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
    if scale not in SHARE:
        raise ValueError(f"scale must be one of {tuple(SHARE)}, found {scale!r}")
    if claim.by_reading is not None:
        return Verdict(claim.id, scale, claim.by_reading, ())
    decisions = [decision for decision in claim.decisions if decision.scale in (None, scale)]
    outcomes = tuple(decide(decision, scale, folder) for decision in decisions)
    names = tuple(dict.fromkeys(outcome.reading for outcome in outcomes))
    readings = tuple(
        (name, combine(each.status for each in outcomes if each.reading == name)) for name in names
    )
    status: Status = join(status for _, status in readings) if readings else "not run yet"
    return Verdict(claim.id, scale, status, outcomes, readings if len(readings) > 1 else ())


def verdicts(scale: str = "quick", folder: Path | None = None) -> tuple[Verdict, ...]:
    """Return the verdicts of all claims, in their order."""
    return tuple(verdict(claim, scale, folder) for claim in claims())


def totals(scale: str = "quick", folder: Path | None = None) -> dict[str, int]:
    """Count claims C01 to C89 by verdict; the key "comparisons" holds the number of decisions that had a record.

    With many comparisons some pass by luck, so this number belongs beside every table of verdicts.
    """
    found = [verdict for verdict in verdicts(scale, folder) if verdict.claim.startswith("C")]
    counts = Counter(verdict.status for verdict in found)
    names: tuple[Status, ...] = ("supported", "refuted", "depends on the reading", "undecided", "not run yet")
    return {
        **{name: counts[name] for name in names},
        "comparisons": sum(verdict.comparisons for verdict in found),
    }
