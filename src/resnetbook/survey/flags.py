"""What to beware of in a part, computed from its record. A flag changes no word; it stands beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from resnetbook.survey.intervals import Estimate
from resnetbook.survey.model import Rule
from resnetbook.survey.words import LEVEL, judge, reference

# Each flag with what it means, in the order in which a page shows them.
FLAGS: Mapping[str, str] = {
    "fragile": "leaving one seed out changes the word",
    "flat": "all differences are equal, so that the interval has no width",
    "censored": "in an arm, half of the seeds or more did not reach the target",
    "two humps": "an arm's values lie in two clusters, so that a mean says little",
    "sign test disagrees": "counting the seeds on either side says something else than the interval",
    "edge": "the setting that was chosen lies at the edge of its grid",
    "modes disagree": "a trained arm answers otherwise with its running statistics than with the batch's own",
    "seeds only": "a score on test images whose interval covers seeds, not the choice of images",
}
# A cluster of one is an outlier, and fewer values can hardly show two clusters.
FEWEST, SMALLEST = 6, 2
UNUSUAL = 0.99
# A difference in accuracy on the training images; a network that learned nothing has nothing to agree on.
WIDEST_GAP, LEARNED = 0.05, 0.5


def fragile(estimates: Estimate, rule: Rule, margin: float, factor: float, word: str) -> bool:
    """Return whether the word changes when one seed is left out.

    Args:
        estimates: those without each seed, arrays.
        rule: "better", "not_worse" or "equal".
        margin: what counts as more than nothing.
        factor: what the adjustment made of the part's own p value, as a factor of 1 or more.
        word: the part's word.
    """
    half = estimates.half_width()
    low, high = estimates.mean - half, estimates.mean + half
    p = estimates.p_value([reference(rule, mean, margin) for mean in estimates.mean])
    rows = zip(estimates.mean, low, high, np.minimum(p * factor, 1.0), strict=True)
    return any(judge(rule, mean, lower, upper, margin, q) != word for mean, lower, upper, q in rows)


def flat(estimate: Estimate) -> bool:
    """Return whether the interval has no width: coarse values that all agree, not certainty."""
    return bool(estimate.error == 0)


def censored(reached: Sequence[float]) -> bool:
    """Return whether half of the seeds or more did not reach the target in an arm; `reached` holds the arms' shares."""
    return any(share <= 0.5 for share in reached)


def split(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the best cut of sorted values into two clusters: share of the variance explained, and gap of the means.

    Two-means in one dimension, exact: every cut that leaves two values on either side is tried.

    Args:
        values: shape (..., count), sorted; at least four.
    """
    count = values.shape[-1]
    size = np.arange(SMALLEST, count - SMALLEST + 1)
    sums = np.cumsum(values, axis=-1)
    total = sums[..., -1:]
    left = sums[..., size - 1]
    gap = (total - left) / (count - size) - left / size
    between = gap**2 * size * (count - size) / count
    best = np.argmax(between, axis=-1)[..., None]
    spread = ((values - total / count) ** 2).sum(-1)
    explained = np.take_along_axis(between, best, -1)[..., 0] / np.where(spread > 0, spread, 1.0)
    return explained, np.take_along_axis(gap, best, -1)[..., 0]


@cache
def usual(count: int) -> float:
    """Return the explained share that 99 of 100 samples without clusters stay below: uniform ones, the widest single hump.

    The reference of the gap statistic (Tibshirani, Walther and Hastie 2001, doi:10.1111/1467-9868.00293), for two clusters.
    """
    draws = np.sort(np.random.default_rng(0).random((4000, count)), axis=-1)
    return float(np.quantile(split(draws)[0], UNUSUAL))


def two_humps(values: NDArray[np.float64], margin: float) -> bool:
    """Return whether an arm's values lie in two clusters, clearer than chance makes them and more than the margin apart.

    Args:
        values: one for each seed, shape (seeds,); NaN are left out.
        margin: what counts as more than nothing, in the values' own terms.
    """
    known = np.sort(values[~np.isnan(values)])
    if len(known) < FEWEST or known[0] == known[-1]:
        return False
    explained, gap = split(known)
    return bool(explained > usual(len(known)) and gap > margin)


def modes_disagree(gaps: Sequence[float], accuracies: Sequence[float] | None = None) -> bool:
    """Return whether an arm's result may be owed to batch normalisation's running statistics, not to what it learned.

    Args:
        gaps: for each seed, how far the accuracy on training images with running statistics is from that with the batch's own.
        accuracies: for each seed, the former; seeds below one half are left out. None: all count.
    """
    known = np.array(gaps, dtype=float)
    if accuracies is not None:
        known = known[np.array(accuracies) > LEARNED]
    known = known[~np.isnan(known)]
    return bool(len(known) and known.mean() >= WIDEST_GAP)


def sign_test_disagrees(values: NDArray[np.float64], threshold: float, p: float, images: int) -> bool:
    """Return whether the sign test and the interval's p value stand on different sides of 5 %.

    Fewer than six seeds cannot reach 5 %, and say nothing. Where the interval covers test images too, only the sign test's
    doubt counts: its certainty concerns the seeds alone.

    Args:
        values: the difference of each seed, NaN where it is missing.
        threshold: the number that the p value tests against.
        p: the interval's p value.
        images: number of test images that the interval covers.
    """
    from scipy.stats import binomtest

    beyond = values[~np.isnan(values)] - threshold
    beyond = beyond[beyond != 0]
    if len(beyond) < FEWEST:
        return False
    doubt = binomtest(int((beyond > 0).sum()), len(beyond)).pvalue >= LEVEL
    return bool(doubt if p < LEVEL else not doubt and not images)
