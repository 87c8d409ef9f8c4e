"""One decision, measured on its record and put into a word with its flags. Imports numpy; `verdict` imports this late."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from resnetbook.survey import flags
from resnetbook.survey.intervals import Estimate
from resnetbook.survey.model import Decision, Word
from resnetbook.survey.outcome import Outcome
from resnetbook.survey.records import Record, read
from resnetbook.survey.registration import registered
from resnetbook.survey.sample import Sample, sample
from resnetbook.survey.words import judge, reference

# Rule 3: fewer seeds decide nothing.
SEEDS = {"live": 5, "quick": 12, "full": 5}
POWER = 0.8
OPERATORS = {"==": operator.eq, "<=": operator.le, ">=": operator.ge}
# Metrics that are means over test images.
TRAINED = re.compile(
    r"loss|accuracy|auc|epochs|seconds"
)  # what is read from the network at the end of training
SCORE = re.compile(r"accuracy|auc|dice|iou|_kept$|^after_\d|^test_(?!loss)")


@dataclass(frozen=True)
class Part:
    """A decision with what its record says, before the adjustment of its p value.

    Attributes:
        decision: the comparison.
        outcome: all that needs no interval.
        record: its record, None where there is none that decides.
        sample: the differences; None without a record, and for `exact`.
        estimate: mean, error and degrees of freedom; None as `sample`.
        margin: the margin in the differences' terms (ratio: a logarithm).
        p: two-sided p value against the number that the rule tests; NaN as `sample`.
    """

    decision: Decision
    outcome: Outcome
    record: Record | None = None
    sample: Sample | None = None
    estimate: Estimate | None = None
    margin: float = math.nan
    p: float = math.nan


def measure(decision: Decision, scale: str, folder: Path | None = None) -> Part:
    """Return what a record says of a decision.

    Raises:
        ValueError: the record is malformed or lacks a value; the message names its file.
    """
    margin = decision.margin_at(scale)
    exact, ratio = decision.rule == "exact", decision.unit == "ratio"
    shown = decision.value if margin is None else 1 + margin if ratio else margin
    variant = decision.variant_at(scale)
    outcome = Outcome(
        label=decision.label,
        status="not run yet",
        reading=decision.reading,
        part_of=decision.part_of,
        experiment=decision.experiment,
        variant=variant,
        scale=scale,
        rule=decision.rule,
        unit="value" if exact else "ratio" if ratio else "difference",
        metric=decision.metric,
        a=decision.a,
        b=decision.b,
        bound=decision.bound,
        better=decision.better,
        margin=float(math.nan if shown is None else shown),
    )
    record = read(decision.experiment, variant, scale, folder)
    if record is None:
        return Part(decision, outcome)
    if record.schema < 2:
        return Part(decision, replace(outcome, reason="the record was made under version 1 of the rules"))
    arms = list(decision.weights)
    target = f"{decision.metric}_reached"
    outcome = replace(
        outcome,
        seeds=len(record.seeds),
        registered=registered(record, decision.experiment, variant, scale),
        reached=tuple(float(np.mean(record.values(arm, target))) for arm in arms if record.has(arm, target)),
        minutes=record.minutes,
        record=record.path.name,
        provenance=record.provenance,
    )
    if exact:
        return Part(decision, count(decision, outcome, record.values(decision.a, decision.metric)), record)
    found = sample(decision, record)
    estimate = found.estimate()
    size = math.log1p(margin or 0.0) if ratio else float(margin or 0.0)
    mean, half = float(estimate.mean), float(estimate.half_width())
    turned = np.exp if ratio else np.asarray
    outcome = replace(
        outcome,
        images=found.images,
        mean=float(turned(mean)),
        low=float(turned(mean - half)),
        high=float(turned(mean + half)),
        values=tuple(float(value) for value in turned(found.values)),
        missing=int((~found.known).sum()),
    )
    p = float(estimate.p_value(reference(decision.rule, mean, size)))
    return Part(decision, replace(outcome, p=p), record, found, estimate, size, p)


def count(decision: Decision, outcome: Outcome, values: tuple[float, ...]) -> Outcome:
    """Return the outcome of an exact decision: every seed fulfils it, or one does not."""
    known = [value for value in values if not math.isnan(value)]
    missing = len(values) - len(known)
    fulfils, wanted = OPERATORS[decision.op or "=="], float(decision.value or 0.0)
    # One seed that breaks the rule decides, whatever the missing ones would have said.
    broken = any(not fulfils(value, wanted) for value in known)
    status: Word = "opposite" if broken else "undecided" if missing else "supported"
    return replace(
        outcome,
        status=status,
        mean=math.fsum(known) / len(known) if known else math.nan,
        low=min(known, default=math.nan),
        high=max(known, default=math.nan),
        values=values,
        missing=missing,
        reason=without(missing, len(values)) if status == "undecided" else "",
    )


def without(missing: int, count: int) -> str:
    """Say that seeds have no value."""
    return f"{missing} of {count} seeds without a value"


def settle(part: Part, adjusted: float) -> Outcome:
    """Return the outcome of a part, given its adjusted p value."""
    outcome, rule = part.outcome, part.decision.rule
    if part.sample is None or part.estimate is None or part.record is None:
        return outcome
    mean, half = float(part.estimate.mean), float(part.estimate.half_width())
    word = judge(rule, mean, mean - half, mean + half, part.margin, adjusted)
    reason = "the interval allows both answers" if word == "undecided" else ""
    shown = marks(part, word, adjusted)
    if outcome.seeds < SEEDS[outcome.scale]:
        word, reason = "undecided", f"fewer than {SEEDS[outcome.scale]} seeds"
    if outcome.missing:
        # What is missing is rarely missing by chance.
        word, reason = "undecided", without(outcome.missing, outcome.seeds)
    weak = word == "undecided" and part.margin > 0 and power(part) < POWER
    return replace(outcome, status=word, reason=reason, adjusted=adjusted, flags=shown, underpowered=weak)


def power(part: Part) -> float:
    """Return the chance of a decided word if the truth were twice the margin, with the part's own error.

    Such a truth lies two margins from the 0 that `better` tests, and one from the margin that the other rules test.
    """
    assert part.estimate is not None
    distance = 2 * part.margin if part.decision.rule == "better" else part.margin
    return float(part.estimate.power(distance))


def gap(record: Record, arm: str) -> bool:
    """Return whether an arm's two modes disagree; not, where the record does not hold the gap."""
    learned = record.values(arm, "train_accuracy") if record.has(arm, "train_accuracy") else None
    return record.has(arm, "mode_gap") and flags.modes_disagree(record.values(arm, "mode_gap"), learned)


def marks(part: Part, word: Word, adjusted: float) -> tuple[str, ...]:
    """Return the flags of a part, in the order of `flags.FLAGS`."""
    decision, found, estimate, record = part.decision, part.sample, part.estimate, part.record
    assert found is not None
    assert estimate is not None
    assert record is not None
    arms = list(decision.weights)
    threshold = reference(decision.rule, float(estimate.mean), part.margin)
    factor = adjusted / part.p if part.p > 0 else 1.0
    raised: Mapping[str, bool] = {
        "fragile": found.known.sum() > 1
        and flags.fragile(found.without_each_seed(), decision.rule, part.margin, factor, word),
        "flat": flags.flat(estimate),
        "censored": flags.censored(part.outcome.reached),
        "two humps": any(flags.two_humps(values, part.margin) for values in found.arms),
        "sign test disagrees": flags.sign_test_disagrees(found.values, threshold, part.p, found.images),
        "edge": any(record.edge(arm) for arm in arms),
        "modes disagree": bool(TRAINED.search(decision.metric)) and any(gap(record, arm) for arm in arms),
        "seeds only": not found.images
        and decision.unit == "difference"
        and bool(SCORE.search(decision.metric)),
    }
    return tuple(name for name in flags.FLAGS if raised[name])
