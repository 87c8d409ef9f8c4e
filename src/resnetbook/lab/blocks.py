"""What a page says of a record: a claim's verdict as a table, "not run yet", and where a result comes from.

Notebooks reach these through `lab.figures`.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import Any

from resnetbook.lab import results

__all__ = ["Block", "not_run", "provenance", "verdict"]


class Block:
    """A piece of a page: HTML where it can be shown, plain text elsewhere."""

    def __init__(self, markup: str, text: str) -> None:
        self.markup, self.text = markup, text

    def _repr_html_(self) -> str:
        return self.markup

    def __repr__(self) -> str:
        return self.text


def not_run(name: str) -> Block:
    """Say that an experiment has no record yet, and which command makes one."""
    command = f"resnetbook run {name} --scale quick"
    return Block(
        f'<p class="resnetbook-not-run"><strong>Not run yet.</strong> '
        f"No record of <code>{html.escape(name)}</code>; <code>{html.escape(command)}</code> makes one.</p>",
        f"Not run yet. No record of {name}; `{command}` makes one.",
    )


def provenance(record: Any) -> str:
    """One line on where a result comes from: seeds, data, device, scale, date (see `lab.results`)."""
    return results.provenance(record)


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "–" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    return f"{value:.3g}".replace("-", "−")


def verdict(claim: str, *, scale: str = "quick") -> Block:
    """What the records say of a claim of the survey, as a small table.

    Nothing in it is written by hand: status and intervals come from `resnetbook.survey.verdict`.

    Raises:
        ValueError: the claim or the scale is unknown.
    """
    from resnetbook import survey

    found, known = survey.verdict(claim, scale), survey.claim(claim)
    head = ("comparison", "seeds", "mean", "95 % interval", "margin", "result")
    rows = []
    for outcome in found.outcomes:
        if not outcome.seeds:
            continue
        label = f"{outcome.reading}: {outcome.label}" if outcome.reading else outcome.label
        interval = f"{_number(outcome.low)} to {_number(outcome.high)}"
        result = f"{outcome.status} ({outcome.reason})" if outcome.reason else str(outcome.status)
        numbers = (str(outcome.seeds), _number(outcome.mean), interval, _number(outcome.margin))
        rows.append((label, *numbers, result))
    waiting = len(found.outcomes) - len(rows)
    note = f"{waiting} of {len(found.outcomes)} comparisons have no record yet." if waiting else ""
    sources = list(dict.fromkeys(outcome.provenance for outcome in found.outcomes if outcome.provenance))
    title = f"{claim}: {found.status} ({scale} scale)"
    text = [title, known.text, *("; ".join(row) for row in rows), note, *sources]

    def cells(row: Sequence[str], tag: str) -> str:
        return "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row)

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    body = body.replace("<tr><td>", '<tr><td style="min-width:11em">')
    scope = cells(head, "th").replace("<th>", '<th scope="col">')
    table = f"<table><thead><tr>{scope}</tr></thead><tbody>{body}</tbody></table>" if rows else ""
    markup = (
        f'<div class="resnetbook-verdict" data-status="{html.escape(found.status)}" role="region" tabindex="0" '
        f'aria-label="Verdict on claim {html.escape(claim)}" style="overflow-x:auto">'
        f"<p><strong>{html.escape(title)}</strong><br>{html.escape(known.text)}</p>{table}"
        + "".join(f"<p><small>{html.escape(line)}</small></p>" for line in (note, *sources) if line)
        + "</div>"
    )
    return Block(markup, "\n".join(line for line in text if line))
