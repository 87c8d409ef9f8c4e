"""What one decision came to, and what a claim comes to."""

from __future__ import annotations

import math
from dataclasses import dataclass

from resnetbook.survey.model import Status, Word


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one decision came to. All but `label` and `status` may be left out, so that a table can be drawn from few.

    Attributes:
        claim: id of the claim.
        label: the comparison in words.
        reading: name of the reading or data set that it belongs to, empty where the claim has one only.
        part_of: whether `reading` names a "reading" or a "data" set.
        experiment: name of the experiment.
        variant: the record's variant, None where the experiment has one only.
        scale: "quick" or "full".
        rule: "better", "not_worse", "equal" or "exact".
        unit: "difference", "ratio", or "value" (`exact`).
        metric: name of the metric.
        a: the arm that the claim favours.
        b: the arm that it is compared with, None where that is a number.
        bound: that number, None where it is an arm.
        better: which direction favours an arm.
        seeds: number of seeds in the record, 0 where there is none that decides.
        images: number of test images that the interval covers beside the seeds, 0 where it covers seeds only.
        mean: mean difference, positive in favour of the claim (ratio: geometric mean ratio, above 1 favours it; `exact`: the
            mean value itself); NaN where nothing is known.
        low: lower end of the 95 % interval (`exact`: the smallest value).
        high: upper end (`exact`: the largest value).
        margin: what counts as more than nothing, in the same unit (ratio: 1.1; `exact`: the value compared with).
        p: two-sided p value, NaN for `exact`.
        adjusted: `p` after Benjamini and Hochberg's adjustment over all decisions of the scale.
        status: the word.
        underpowered: it is undecided, and twice the margin would have been found with a chance below 80 %.
        flags: what to beware of, see `resnetbook.survey.flags`.
        registered: "before" or "after" the run; empty where nothing was run.
        values: the difference of every seed, in the unit of `mean` (`exact`: the values).
        missing: number of seeds without a value.
        reached: share of the seeds that reached the target, by arm; empty where there is no target.
        minutes: how long the record's run took.
        record: name of the record's file, empty where there is none.
        provenance: one line about the record.
        reason: why it is undecided or was not run, in words; else empty.
    """

    label: str
    status: Word
    claim: str = ""
    reading: str = ""
    part_of: str = "reading"
    experiment: str = ""
    variant: str | None = None
    scale: str = ""
    rule: str = ""
    unit: str = "difference"
    metric: str = ""
    a: str = ""
    b: str | None = None
    bound: float | None = None
    better: str = "higher"
    seeds: int = 0
    images: int = 0
    mean: float = math.nan
    low: float = math.nan
    high: float = math.nan
    margin: float = math.nan
    p: float = math.nan
    adjusted: float = math.nan
    underpowered: bool = False
    flags: tuple[str, ...] = ()
    registered: str = ""
    values: tuple[float, ...] = ()
    missing: int = 0
    reached: tuple[float, ...] = ()
    minutes: float = math.nan
    record: str = ""
    provenance: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Names:
    """Parts of a claim by name, readings and data sets apart; a part that belongs to neither stands by its label."""

    readings: tuple[str, ...] = ()
    data: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.readings or self.data)


@dataclass(frozen=True)
class Verdict:
    """What the records say of a claim.

    Attributes:
        claim: id of the claim.
        scale: "quick" or "full".
        status: the verdict.
        outcomes: one for each decision.
        narrowed: the words of the survey's sentence that the test leaves out.
        readings: (name, status) of each reading or data set, in order; empty for a claim with one.
        supported: of a mixed claim, the parts that hold.
        refuted: of a mixed claim, the parts that do not.
    """

    claim: str
    scale: str
    status: Status
    outcomes: tuple[Outcome, ...] = ()
    narrowed: str = ""
    readings: tuple[tuple[str, Status], ...] = ()
    supported: Names = Names()
    refuted: Names = Names()

    @property
    def comparisons(self) -> int:
        """Return the number of decisions for which there was a record."""
        return sum(outcome.status != "not run yet" for outcome in self.outcomes)
