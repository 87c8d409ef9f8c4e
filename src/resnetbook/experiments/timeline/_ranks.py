"""Rank correlations of two lists: over all, inside groups that stand together, and with a third list held fixed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def ranks(values: Sequence[float], size: int) -> np.ndarray:
    """Return ranks within each group of `size` values that stand together, less the group's mean."""
    from scipy.stats import rankdata

    table = rankdata(np.reshape(values, (-1, size)), axis=1)
    return np.ravel(table - table.mean(1, keepdims=True))


def rank_correlation(x: Sequence[float], y: Sequence[float], size: int = 0) -> float:
    """Return Spearman's correlation of two lists, within groups of `size`; 0 where one of them is constant."""
    first, second = (ranks(values, size or len(values)) for values in (x, y))
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def partial_rank_correlation(
    x: Sequence[float], y: Sequence[float], fixed: Sequence[float], size: int = 0
) -> float:
    """Return the rank correlation of x and y that the third list leaves; 0 where it explains one of them wholly."""
    xy, xz, yz = (rank_correlation(*pair, size) for pair in ((x, y), (x, fixed), (y, fixed)))
    rest = (1 - xz**2) * (1 - yz**2)
    return (xy - xz * yz) / rest**0.5 if rest > 1e-12 else 0.0
