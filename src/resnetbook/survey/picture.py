"""A part of a verdict as a picture: every seed a dot, the interval a bar, the margin a dashed line. Plain SVG."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

from resnetbook.survey.outcome import Outcome
from resnetbook.survey.phrases import effect, is_share, number, word

WIDTH, HEIGHT, LEFT, RIGHT = 340, 92, 14, 326
CARD, INK, QUIET = "#fcfcfa", "#212125", "#55606b"
INKS = {"supported": "#1c6b35", "opposite": "#a3271e", "no gain": "#a3271e", "undecided": "#5d5300"}
Span = tuple[float, float]


def span(outcomes: Sequence[Outcome]) -> Span:
    """Return the ends of an axis on which the parts can be drawn together, in the terms of `position`."""
    values: list[float] = []
    for outcome in outcomes:
        margins = (outcome.margin, -outcome.margin if outcome.unit == "difference" else 1 / outcome.margin)
        ends = (outcome.low, outcome.high, outcome.mean, *outcome.values, *margins)
        values += [position(value, outcome) for value in ends if _drawable(value, outcome)]
        values.append(0.0)
    low, high = min(values), max(values)
    room = (high - low) * 0.06 or 1.0
    return low - room, high + room


def position(value: float, outcome: Outcome) -> float:
    """Return where a value stands on the axis: itself, or the logarithm of a ratio; 0 is "no difference"."""
    return math.log(value) if outcome.unit == "ratio" else value


def _drawable(value: float, outcome: Outcome) -> bool:
    return math.isfinite(value) and (outcome.unit != "ratio" or value > 0)


def picture(outcome: Outcome, ends: Span | None = None) -> str:
    """Return the picture of a part; empty for exact ones and for those that were not run.

    Args:
        outcome: the part.
        ends: of the axis, so that several parts stand on one; by default its own.
    """
    if outcome.unit == "value" or outcome.status == "not run yet" or not math.isfinite(outcome.mean):
        return ""
    low, high = ends or span([outcome])

    def x(value: float) -> float:
        return LEFT + (position(value, outcome) - low) / (high - low) * (RIGHT - LEFT)

    ink, base = INKS.get(outcome.status, QUIET), 62
    parts = [f'<rect width="{WIDTH}" height="{HEIGHT}" rx="6" fill="{CARD}"/>']
    parts.append(f'<line x1="{LEFT}" x2="{RIGHT}" y1="{base}" y2="{base}" stroke="{QUIET}"/>')
    none = 1.0 if outcome.unit == "ratio" else 0.0
    parts.append(
        f'<line x1="{x(none):.1f}" x2="{x(none):.1f}" y1="8" y2="{base}" stroke="{INK}" stroke-width="1.4"/>'
    )
    margins = {
        "better": [outcome.margin],
        "not_worse": [1 / outcome.margin if none else -outcome.margin],
        "equal": [1 / outcome.margin if none else -outcome.margin, outcome.margin],
    }[outcome.rule]
    for margin in margins:
        parts.append(
            f'<line x1="{x(margin):.1f}" x2="{x(margin):.1f}" y1="8" y2="{base}" stroke="{QUIET}" '
            'stroke-width="1.2" stroke-dasharray="4 3"/>'
        )
    shown = [value for value in outcome.values if _drawable(value, outcome)]
    for place, value in zip(_rows([x(value) for value in shown]), shown, strict=True):
        parts.append(
            f'<circle cx="{x(value):.1f}" cy="{34 - 6 * place:.1f}" r="3" fill="{ink}" fill-opacity="0.55" stroke="{CARD}"/>'
        )
    if math.isfinite(outcome.low) and math.isfinite(outcome.high):
        parts.append(
            f'<line x1="{x(outcome.low):.1f}" x2="{x(outcome.high):.1f}" y1="50" y2="50" stroke="{ink}" '
            'stroke-width="4" stroke-linecap="round"/>'
        )
    middle = x(outcome.mean)
    parts.append(
        f'<path d="M{middle:.1f} 43 l6 7 l-6 7 l-6 -7 z" fill="{ink}" stroke="{CARD}" stroke-width="1.5"/>'
    )
    parts += [
        f'<text x="{x(value):.1f}" y="{base + 14}" text-anchor="middle" font-size="12" fill="{INK}">{text}</text>'
        for value, text in ticks(outcome, low, high)
    ]
    for anchor, where, text in (("start", LEFT, "← against"), ("end", RIGHT, "in favour →")):
        parts.append(
            f'<text x="{where}" y="{HEIGHT - 4}" text-anchor="{anchor}" font-size="11" fill="{QUIET}">{text}</text>'
        )
    name = html.escape(
        f"{outcome.label}: {word(outcome)}; {effect(outcome)}; {len(shown)} seeds as dots", quote=True
    )
    return (
        f'<svg class="rb-part" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{name}" '
        f'font-family="system-ui, sans-serif">{"".join(parts)}</svg>'
    )


def _rows(places: Sequence[float]) -> list[int]:
    """Return a row for each dot, so that dots that would overlap stand above each other; at most four rows."""
    rows: list[int] = []
    for number_, place in enumerate(places):
        near = [rows[other] for other in range(number_) if abs(places[other] - place) < 6]
        rows.append(next((row for row in range(4) if row not in near), number_ % 4))
    return rows


def ticks(outcome: Outcome, low: float, high: float) -> list[tuple[float, str]]:
    """Return a few round values within the axis, with their text; points for shares."""
    if outcome.unit == "ratio":
        grid = [m * 10.0**e for e in range(-6, 7) for m in (1, 2, 5)]
        inside = [value for value in grid if low <= math.log(value) <= high]
        inside = (
            inside
            if len(inside) > 1
            else [math.exp(low + (high - low) * share) for share in (0.15, 0.5, 0.85)]
        )
        chosen = inside[:: math.ceil(len(inside) / 5)]
        return [(value, number(float(f"{value:.3g}"))) for value in chosen]
    scale = 100.0 if is_share(outcome) else 1.0
    width = (high - low) * scale
    step = 10 ** math.floor(math.log10(width / 3))
    step *= next(m for m in (1, 2, 5, 10) if width / (step * m) <= 5)
    first = math.ceil(low * scale / step)
    values = [count * step for count in range(first, math.floor(high * scale / step) + 1)]
    # A value at an end may be rounded over it.
    return [(min(max(value / scale, low), high), number(float(f"{value:.6g}"))) for value in values]
