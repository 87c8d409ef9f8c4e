"""Whether a notebook belongs to an assignment at all, or to another one."""

from __future__ import annotations

from resnetbook.grading.master import Master
from resnetbook.grading.names import names_of
from resnetbook.grading.notebook import Notebook

__all__ = ["belonging", "stranger"]


def belonging(master: Master, submission: Notebook) -> float:
    """How much of an assignment is in a notebook, from 0 to 1.

    The share of exercises for which a cell defines a name that is asked for; where no exercise asks for one, the share of
    the assignment's own cells that stand in it.
    """
    asked = [exercise.names for exercise in master.exercises if exercise.names]
    if not asked:
        return _shared(master, submission)
    defined = [names_of(cell.source).defines for cell in submission.cells]
    return sum(any(names & found for found in defined) for names in asked) / len(asked)


def _shared(master: Master, submission: Notebook) -> float:
    own = {
        _words(s) for s, kind in zip(master.released, master.kinds, strict=True) if kind in ("text", "given")
    }
    own.discard("")
    there = {_words(cell.source) for cell in submission.cells}
    return len(own & there) / len(own) if own else 1.0


def _words(source: str) -> str:
    return " ".join(source.split())


def stranger(master: Master, submission: Notebook) -> str:
    """Say in words that a notebook is another assignment's; empty if it is this one's."""
    mark = submission.metadata.get("resnetbook")
    mark = mark if isinstance(mark, dict) else {}
    title = str(mark.get("title") or "")
    if belonging(master, submission) >= 0.5:
        return ""
    if title and title != master.title:
        return f"it is the notebook of another assignment: {title[:200]!r} instead of {master.title!r}"
    if title != master.title and belonging(master, submission) == 0 and _shared(master, submission) < 0.5:
        return f"it is the notebook of another assignment: nothing in it belongs to {master.title!r}"
    return ""
