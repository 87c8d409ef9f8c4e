"""The student's notebook: the master's JSON without what must stay in the house."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from resnetbook.grading import marks
from resnetbook.grading.master import Master, MasterError

__all__ = ["student_notebook"]


def student_notebook(book: Master) -> dict[str, Any]:
    """The JSON of the student's notebook.

    Raises:
        MasterError: a mark would be in it, wherever it stands.
    """
    raw = copy.deepcopy(dict(book.raw))
    hidden = {check.index for check in book.checks if check.hidden}
    cells = []
    for index, item in enumerate(raw["cells"]):
        if index in hidden:
            continue
        if book.released[index] != book.cells[index].source:
            item["source"] = book.released[index]
            _drop_attachments(item)
        if item["cell_type"] == "code":
            item["source"] = book.released[index]
            item["outputs"], item["execution_count"] = [], None
        metadata = item.get("metadata", {})
        if (
            book.kinds[index] == "check" and "resnetbook" in metadata
        ):  # tolerances and hints stay with the author
            metadata["resnetbook"] = {"exercise": metadata["resnetbook"].get("exercise", "")}
        if book.cells[index].grader:
            metadata["nbgrader"].pop("checksum", None)  # it is that of the master's cell
        cells.append(item)
    raw["cells"] = cells
    metadata = raw.setdefault("metadata", {})
    metadata["resnetbook"] = {"title": book.title, "master": book.digest[:16]}
    metadata.pop("widgets", None)
    if problems := list(_marked(raw)):
        raise MasterError(book.path, problems)
    return raw


def _drop_attachments(item: dict[str, Any]) -> None:
    """Drop the pictures that only what was cut out showed."""
    kept = {
        name: data
        for name, data in item.pop("attachments", {}).items()
        if f"attachment:{name}" in item["source"]
    }
    if kept:
        item["attachments"] = kept


def _marked(raw: Mapping[str, Any]) -> Iterator[str]:
    """Look for marks in every text of a notebook that is to leave the house, its metadata too."""
    for index, item in enumerate(raw["cells"]):
        name = (item.get("metadata", {}).get("nbgrader") or {}).get("grade_id") or f"cell {index + 1}"
        if any(map(marks.holds_mark, _texts(item))):
            yield f"{name} of the student's notebook: a BEGIN or END mark is left in it"
    if any(map(marks.holds_mark, _texts({**raw, "cells": []}))):
        yield "the notebook's metadata: a BEGIN or END mark is left in them"


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _texts(item)
    elif isinstance(value, list):
        if value and all(isinstance(item, str) for item in value):
            yield "".join(value)
        for item in value:
            yield from _texts(item)
