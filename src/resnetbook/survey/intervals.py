"""Intervals over seeds, and over seeds and test images together.

A score on test images has two sources of chance: the seed (weights, order, training images) and the choice of test images.
Every seed is tested on the same images, so the design is crossed: x[s, i] = mean + seed s + image i + rest. The variance of
the grand mean is estimated by moments from the two-way analysis of variance, its degrees of freedom by Satterthwaite
(1946, doi:10.2307/3002019). The pigeonhole bootstrap (Owen 2007, doi:10.1214/07-AOAS122) was the other candidate: in
simulation it covers 82 to 100 % where this one covers 93 to 98 % (`tests/survey/test_intervals.py`), so it is not here.

All functions take arrays whose last axes are (seeds,) or (seeds, images); leading axes are independent repeats.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

CONFIDENCE = 0.95


class Estimate(NamedTuple):
    """A mean with its standard error and degrees of freedom; numbers or arrays of one shape.

    The error is 0 where all values are equal and infinite where too few values allow none.
    """

    mean: Any
    error: Any
    df: Any

    def half_width(self, confidence: float = CONFIDENCE) -> Any:
        """Return half the width of the t interval."""
        from scipy.stats import t

        bounded = np.isfinite(self.error)
        quantile = t.ppf((1 + confidence) / 2, np.where(bounded, self.df, 1.0))
        return np.where(bounded, quantile * np.where(bounded, self.error, 0.0), np.inf)

    def p_value(self, threshold: ArrayLike = 0.0) -> Any:
        """Return the two-sided p value of the hypothesis that the mean is `threshold`."""
        from scipy.stats import t

        distance = np.abs(np.asarray(self.mean) - threshold)
        bounded = np.isfinite(self.error)
        with np.errstate(divide="ignore", invalid="ignore"):
            statistic = np.where(distance == 0, 0.0, distance / self.error)
        p = 2 * t.sf(statistic, np.where(bounded, self.df, 1.0))
        return np.where(bounded, p, np.where(np.isnan(self.mean), np.nan, 1.0))

    def power(self, distance: float, confidence: float = CONFIDENCE) -> Any:
        """Return the chance that the interval excludes a number which lies `distance` below the truth."""
        from scipy.stats import nct, t

        if not np.isfinite(self.error):
            return 0.0
        if self.error == 0:
            return 1.0
        return nct.sf(t.ppf((1 + confidence) / 2, self.df), self.df, distance / self.error)


def over_seeds(values: ArrayLike) -> Estimate:
    """Return the estimate of the t interval of independent values, shape (..., seeds)."""
    values = np.asarray(values, dtype=float)
    count = values.shape[-1]
    if count < 2:
        mean = values.mean(-1) if count else np.full(values.shape[:-1], np.nan)
        return Estimate(mean, np.full(mean.shape, np.inf), np.zeros(mean.shape))
    # Equal values may have a mean that differs from them by rounding.
    equal = np.ptp(values, axis=-1) == 0
    mean = np.where(equal, values[..., 0], values.mean(-1))
    error = np.where(equal, 0.0, values.std(-1, ddof=1) / np.sqrt(count))
    return Estimate(mean, error, np.full(mean.shape, count - 1.0))


def over_seeds_and_images(values: ArrayLike) -> Estimate:
    """Return the estimate of the mean of a crossed design, shape (..., seeds, images).

    With mean squares A of seeds, B of images and E of the rest, the variance of the mean over S seeds and I images is
    (A + B - E) / (S I). Where E exceeds A or B, a variance component is estimated as negative; it counts as zero, so that
    the result is never below A / (S I), the variance over seeds alone, nor below B / (S I) or E / (S I).
    """
    values = np.asarray(values, dtype=float)
    seeds, images = values.shape[-2:]
    mean = values.mean((-2, -1)) if seeds and images else np.full(values.shape[:-2], np.nan)
    if seeds < 2 or images < 2:
        return Estimate(mean, np.full(mean.shape, np.inf), np.zeros(mean.shape))
    rows, columns = values.mean(-1), values.mean(-2)
    rest = values - rows[..., None] - columns[..., None, :] + mean[..., None, None]
    a, b = images * rows.var(-1, ddof=1), seeds * columns.var(-1, ddof=1)
    e = (rest**2).sum((-2, -1)) / ((seeds - 1) * (images - 1))
    equal = np.ptp(values, axis=(-2, -1)) == 0
    return from_squares(np.where(equal, values[..., 0, 0], mean), a, b, e, seeds, images, equal)


def from_squares(mean: Any, a: Any, b: Any, e: Any, seeds: int, images: int, equal: Any) -> Estimate:
    """Return the estimate from the mean squares of seeds, images and the rest; `equal` marks those without any spread."""
    df_a, df_b, df_e = seeds - 1, images - 1, (seeds - 1) * (images - 1)
    both = np.minimum(a, b) > e * (1 + 1e-9)  # equal up to rounding is not above
    square = np.where(both, a + b - e, np.maximum(a, b))
    spread = (
        np.where(both | (a >= b), a**2 / df_a, 0.0)
        + np.where(both | (a < b), b**2 / df_b, 0.0)
        + np.where(both, e**2 / df_e, 0.0)
    )
    known = (spread > 0) & ~np.asarray(equal)
    df = np.where(known, square**2 / np.where(known, spread, 1.0), df_a)
    error = np.where(equal, 0.0, np.sqrt(np.maximum(square, e) / (seeds * images)))
    return Estimate(mean, error, df)


def without_each_seed(values: NDArray[np.float64]) -> Estimate:
    """Return the estimates of a crossed design that leave out one seed each, arrays (seeds,), by sums rather than copies.

    Args:
        values: shape (seeds, images), at least three seeds and two images.
    """
    (seeds, images), shift = values.shape, values.mean()
    x, left = values - shift, values.shape[0] - 1
    rows, columns = x.mean(1), (x.sum(0) - x) / left
    mean = columns.mean(1)
    a = images * np.maximum((rows**2).sum() - rows**2 - left * mean**2, 0.0) / (left - 1)
    b = left * columns.var(1, ddof=1)
    total = (x**2).sum() - (x**2).sum(1) - left * images * mean**2
    e = np.maximum(total - (left - 1) * a - (images - 1) * b, 0.0) / ((left - 1) * (images - 1))
    others = ~np.eye(seeds, dtype=bool)
    low = np.where(others, values.min(1), np.inf).min(1)
    high = np.where(others, values.max(1), -np.inf).max(1)
    return from_squares(np.where(low == high, low, mean + shift), a, b, e, left, images, low == high)


def by_group(values: ArrayLike, groups: ArrayLike) -> NDArray[np.float64]:
    """Return one column for each group of images, such as a patient's, shape (..., seeds, groups).

    The mean over images is a ratio, sums over counts of groups; each column is its linear part, so that the mean over
    columns is the mean over images for every seed, and images of one patient vary together.

    Args:
        values: shape (..., seeds, images).
        groups: group of each image, shape (images,).

    Raises:
        ValueError: there are not as many groups' names as images.
    """
    values, groups = np.asarray(values, dtype=float), np.asarray(groups)
    if groups.shape != values.shape[-1:]:
        raise ValueError(
            f"groups must name one group for each of {values.shape[-1]} images, found {groups.shape}"
        )
    names, index = np.unique(groups, return_inverse=True)
    member = np.eye(len(names))[index]
    rows = values.mean(-1, keepdims=True)
    return rows + (values - rows) @ member / (len(groups) / len(names))


def placements(scores: ArrayLike, positive: ArrayLike) -> NDArray[np.float64]:
    """Return each image's contribution to the area under the ROC curve, shape (images,), with the area as their mean.

    The linear part of the area, after DeLong, DeLong and Clarke-Pearson (1988, doi:10.2307/2531595): an image's placement
    is the share of the other class that it is ranked rightly against (ties count half), its deviation weighted by the
    inverse share of its class. Differences of two areas have honest intervals with a dozen images in the smaller class; the
    interval of one area, compared with a number, is too narrow there.

    Args:
        scores: larger for images that look positive, shape (images,).
        positive: which images are, shape (images,).

    Raises:
        ValueError: the shapes differ, or a class is empty.
    """
    from scipy.stats import rankdata

    scores, positive = np.asarray(scores, dtype=float), np.asarray(positive, dtype=bool)
    count, many = len(positive), int(positive.sum())
    if scores.shape != positive.shape or not 0 < many < count:
        raise ValueError(
            f"positive must mark some of {scores.shape} scores and not all, found {many} of {count}"
        )
    ranks = rankdata(scores)
    placed = np.empty(count)
    for mask, sign in ((positive, 1.0), (~positive, -1.0)):
        # Rank among all less rank among one's own: how many of the other class lie below.
        below = (ranks[mask] - rankdata(scores[mask])) / (count - mask.sum())
        placed[mask] = below if sign > 0 else 1 - below
    area = placed[positive].mean()
    share = np.where(positive, many / count, 1 - many / count)
    return area + (placed - area) / share
