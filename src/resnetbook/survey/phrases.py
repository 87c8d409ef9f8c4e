"""A part of a verdict in words: what was found, against which margin, over what."""

from __future__ import annotations

import math
from collections.abc import Sequence

from resnetbook.survey.outcome import Outcome

# What each flag means to a reader.
FLAGS = {
    "fragile": "without one of the seeds the word would be another",
    "flat": "the values are too coarse to give an interval",
    "censored": "in half of the seeds or more the target was not reached",
    "two humps": "the seeds of an arm fall into two clusters",
    "sign test disagrees": "the number of seeds in favour says something else than their mean",
    "edge": "the best learning rate lies at the edge of its extended grid",
    "modes disagree": "a trained network answers otherwise with running statistics than with the batch's own, by .05 or more",
    "seeds only": "the interval does not cover the choice of test images",
    "underpowered": "twice the margin would have been found in fewer than four of five repeats",
}


def number(value: float) -> str:
    """Return a number with three significant digits; a dash where nothing is known."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == int(value) and abs(value) < 1e9:
        return f"{int(value):,}".replace("-", "−")
    text = (
        f"{value:.3g}"
        if 1e-3 <= abs(value) < 1e4
        else f"{value:.2e}"
        if abs(value) < 1e-3
        else f"{value:,.0f}"
    )
    return text.replace("-", "−")


def is_share(outcome: Outcome) -> bool:
    """Return whether the part compares shares (accuracies and their like), which are told in points."""
    return outcome.unit == "difference" and outcome.margin in (0.01, 0.005)


def signed(value: float) -> str:
    """Return a number with its sign."""
    return f"+{number(value)}" if value > 0 else number(value)


def effect(outcome: Outcome) -> str:
    """Return mean, interval and margin in words that name their unit."""
    if outcome.unit == "value":
        spread = (
            number(outcome.low)
            if outcome.low == outcome.high
            else f"{number(outcome.low)} to {number(outcome.high)}"
        )
        return f"value {spread}, asked for: {asked(outcome)}"
    low, mean, high, margin = outcome.low, outcome.mean, outcome.high, outcome.margin
    if outcome.unit == "ratio":
        side = "in favour" if mean >= 1 else "below 1: against"
        return f"ratio {number(mean)}, {side} ({number(low)} to {number(high)}; margin {number(margin)})"
    if is_share(outcome):
        low, mean, high, margin = (100 * value for value in (low, mean, high, margin))
        return f"{signed(round(mean, 2))} points ({signed(round(low, 2))} to {signed(round(high, 2))}; margin {number(margin)})"
    return f"{signed(mean)} ({signed(low)} to {signed(high)}; margin {number(margin)})"


def asked(outcome: Outcome) -> str:
    """Return what an exact part asks of its value."""
    return f"{outcome.better if outcome.unit != 'value' else ''}{number(outcome.margin)}".strip() or "–"


def basis(outcome: Outcome) -> str:
    """Return over what the interval goes: seeds, and test images where it covers them."""
    seeds = f"{outcome.seeds} seed{'s' if outcome.seeds != 1 else ''}"
    return f"{seeds} and {outcome.images:,} test images" if outcome.images else seeds


def chance(outcome: Outcome) -> str:
    """Return the adjusted p value in words, empty where there is none."""
    if math.isnan(outcome.adjusted):
        return ""
    return "p below 0.0001" if outcome.adjusted < 1e-4 else f"p = {outcome.adjusted:.2g}"


def word(outcome: Outcome) -> str:
    """Return the part's word, with "underpowered" where that is so."""
    return f"{outcome.status}, underpowered" if outcome.underpowered else outcome.status


def warnings(outcome: Outcome) -> list[tuple[str, str]]:
    """Return (flag, what it means) for each flag of a part."""
    return [(flag, FLAGS.get(flag, "")) for flag in outcome.flags]


def command(outcome: Outcome) -> str:
    """Return the command that makes the record again."""
    data = f" --set data={outcome.variant}" if outcome.variant else ""
    return f"resnetbook run {outcome.experiment} --scale {outcome.scale}{data}"


def minutes(outcome: Outcome) -> str:
    """Return how long the record's run took, in words."""
    if math.isnan(outcome.minutes):
        return ""
    return "under a minute" if outcome.minutes < 1 else f"about {outcome.minutes:.0f} min"


def plain(outcome: Outcome) -> str:
    """Return a part as one line of text that names each number."""
    name = f"{outcome.reading}: {outcome.label}" if outcome.reading else outcome.label
    parts = [f"{name}: {word(outcome)}", effect(outcome), basis(outcome), chance(outcome)]
    parts += [f"registered {outcome.registered} the run" if outcome.registered else "", outcome.reason]
    parts += [f"beware: {flag}" for flag in outcome.flags]
    return "; ".join(part for part in parts if part)


def order(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return the parts that were run, as registered; those still to be run are left out."""
    return [outcome for outcome in outcomes if outcome.status != "not run yet"]
