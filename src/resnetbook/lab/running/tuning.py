"""The choice of an arm's learning rate: a grid that goes on beyond its edges, and three seeds of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

SEEDS = (90, 91, 92)  # none that is compared: choosing a rate must not see those
STEPS = 3  # how far a grid goes on, each way
FACTOR = 3.0

Scores = Mapping[tuple[float, int], Mapping[str, float | None]]  # by rate and seed; None: no number


def wanted(rates: Sequence[float], scores: Scores, start: Sequence[float]) -> list[float]:
    """Return the rates that are still to be tried: `start`, then beyond an edge on which the best of some score lies.

    Args:
        rates: tried already.
        scores: of each rate and seed.
        start: the grid, in steps of about three.

    Raises:
        ValueError: the grid is empty, or holds a rate that is not positive.
    """
    if not start or min(start) <= 0:
        raise ValueError(f"rates={tuple(start)!r}: expected positive learning rates, at least one")
    if missing := [rate for rate in start if rate not in rates]:
        return missing
    if len(start) == 1:  # fixed on purpose
        return []
    low, high = min(rates), max(rates)
    best = {best_of(name, rates, scores) for name in names(scores)}
    below = low in best and low > min(start) / FACTOR ** (STEPS - 0.5)
    above = high in best and high < max(start) * FACTOR ** (STEPS - 0.5)
    return [rounded(low / FACTOR)] * below + [rounded(high * FACTOR)] * above


def chosen(rates: Sequence[float], scores: Scores) -> dict[str, Any]:
    """Return what `context.tuned` and the record hold: rates, mean scores, the best rate for each score, and `edge`."""
    tried = sorted(rates)
    best = {name: best_of(name, tried, scores) for name in names(scores)}
    means = {name: [_finite(mean(name, rate, scores)) for rate in tried] for name in best}
    on_edge = [name for name, rate in best.items() if len(tried) > 1 and rate in (tried[0], tried[-1])]
    first = next(iter(best.values()))
    return {"learning_rate": first, "chosen": best, "rates": tried, "scores": means, "edge": bool(on_edge)}


def names(scores: Scores) -> list[str]:
    """Return the names of the scores."""
    return list(dict.fromkeys(name for each in scores.values() for name in each))


def best_of(name: str, rates: Sequence[float], scores: Scores) -> float:
    """Return the rate with the lowest mean of the score `name`; the lowest of equal ones."""
    return min(sorted(rates), key=lambda rate: mean(name, rate, scores))


def mean(name: str, rate: float, scores: Scores) -> float:
    """Return the mean over seeds; infinite where a training gave no number."""
    values = [scores[key].get(name) for key in scores if key[0] == rate]
    if not values or any(value is None or not math.isfinite(value) for value in values):
        return math.inf
    return math.fsum(value for value in values if value is not None) / len(values)


def rounded(rate: float) -> float:
    """Return a rate with two significant digits."""
    return float(f"{rate:.1e}")


def tune(
    arms: Mapping[str, Sequence[float]],
    score: Callable[
        [list[tuple[str, float, int]]], Mapping[tuple[str, float, int], Mapping[str, float | None]]
    ],
) -> dict[str, dict[str, Any]]:
    """Choose a rate for each arm.

    Args:
        arms: the grid of each arm.
        score: function from (arm, rate, seed) to their scores; those that failed are absent, and end the arm's search.

    Returns:
        `chosen` of each arm whose trials all succeeded.
    """
    found: dict[str, dict[tuple[float, int], Mapping[str, float | None]]] = {arm: {} for arm in arms}
    tried: dict[str, list[float]] = {arm: [] for arm in arms}
    failed: set[str] = set()
    while True:
        ask = {arm: wanted(tried[arm], found[arm], grid) for arm, grid in arms.items() if arm not in failed}
        trials = [(arm, rate, seed) for seed in SEEDS for arm, rates in ask.items() for rate in rates]
        if not trials:
            return {arm: chosen(tried[arm], found[arm]) for arm in arms if arm not in failed}
        results = score(trials)
        for arm, rate, seed in trials:
            if (arm, rate, seed) in results:
                found[arm][rate, seed] = results[arm, rate, seed]
            else:
                failed.add(arm)
        for arm, rates in ask.items():
            tried[arm] += rates


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
