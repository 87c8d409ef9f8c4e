"""What a page says of a record: a claim's verdict as a table, "not run yet", and where a result comes from.

Notebooks reach these through `lab.figures`.
"""

from __future__ import annotations

import html
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


def verdict(claim: str, *, scale: str = "quick") -> Block:
    """What the records say of a claim of the survey, as a card: in words, with every seed as a dot.

    Nothing in it is written by hand: words and intervals come from `resnetbook.survey.verdict`.

    Raises:
        ValueError: the claim or the scale is unknown.
    """
    from resnetbook import survey
    from resnetbook.survey import card

    found, known = survey.verdict(claim, scale), survey.claim(claim)
    return Block(card.short(known, found), card.text(known, found))
