"""What a record holds for one comparison: the paired differences of each seed and, for scores, of each test image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resnetbook.survey.intervals import (
    Estimate,
    by_group,
    over_seeds,
    over_seeds_and_images,
    without_each_seed,
)
from resnetbook.survey.model import Decision
from resnetbook.survey.records import Record

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """Differences of two arms, or of one arm and a number; positive favours the claim. Ratios are logarithms here.

    Attributes:
        values: one number for each seed, NaN where a value is missing.
        table: shape (seeds, columns), where the record holds each test image's outcome: a column for each image, or for
            each patient; its means over columns are `values`. None where the record holds none.
        arms: the values of each arm by seed, in the same terms.
        images: number of test images behind the table, 0 without one.
    """

    values: Array
    table: Array | None
    arms: tuple[Array, ...]
    images: int = 0

    @property
    def known(self) -> NDArray[np.bool_]:
        """Return which seeds have a value."""
        return ~np.isnan(self.values)

    def estimate(self) -> Estimate:
        """Return mean, standard error and degrees of freedom, over the seeds that have a value."""
        if self.table is None:
            return over_seeds(self.values[self.known])
        return over_seeds_and_images(self.table[self.known])

    def without_each_seed(self) -> Estimate:
        """Return the estimates that leave out one seed, in the order of the seeds that have a value; arrays."""
        if self.table is not None and self.known.sum() > 2 and self.table.shape[1] > 1:
            return without_each_seed(self.table[self.known])
        values = self.values[self.known]
        if self.table is None:
            return over_seeds([np.delete(values, seed) for seed in range(len(values))])
        found = [
            over_seeds_and_images(np.delete(self.table[self.known], seed, 0)) for seed in range(len(values))
        ]
        return Estimate(*(np.array(part) for part in zip(*found, strict=True)))


def sample(decision: Decision, record: Record) -> Sample:
    """Return what a record holds for a comparison.

    Raises:
        ValueError: the record lacks a value, or a ratio meets a number that is not positive; names the file.
    """
    names, weights = list(decision.weights), list(decision.weights.values())
    raw = [np.array(record.values(arm, decision.metric)) for arm in names]
    if decision.unit == "ratio" and any((values <= 0).any() for values in raw):
        raise ValueError(
            f"{record.path.name}: {decision.metric} must be positive for a ratio ({decision.label})"
        )
    ratio = decision.unit == "ratio"
    arms = [np.log(values) if ratio else values for values in raw]
    bound = 0.0 if decision.bound is None else float(np.log(decision.bound) if ratio else decision.bound)
    table, images = tables(decision, record, raw)
    values = np.sum([weight * (arm - bound) for weight, arm in zip(weights, arms, strict=True)], axis=0)
    if table is not None:
        # The metric itself is the more exact mean: half-precision numbers are rounded.
        table = table + (values - table.mean(axis=1))[:, None]
    return Sample(values, table, tuple(arms), images)


def tables(decision: Decision, record: Record, raw: Sequence[Array]) -> tuple[Array | None, int]:
    """Return the differences of outcomes up to each seed's mean, by image or patient, and the number of images."""
    found = []
    for (arm, weight), values in zip(decision.weights.items(), raw, strict=True):
        outcomes = record.outcomes(arm, decision.metric)
        if outcomes is None:
            return None, 0
        # A logarithm's linear part: what an image adds to the score over the score.
        found.append(weight * (outcomes / np.nanmean(values) if decision.unit == "ratio" else outcomes))
    table = np.sum(found, axis=0)
    images = table.shape[1]
    if record.groups is not None:
        table = by_group(table, record.groups)
    return table, images
