"""The master notebook: its form, what is wrong with it, and what a student gets of each cell.

A solution cell carries `nbgrader = {solution: true, grade: false, grade_id: "ex1", ...}` and marks the part to remove
by `### BEGIN SOLUTION` and `### END SOLUTION`; without marks the whole cell is removed. A check cell carries `nbgrader =
{grade: true, solution: false, grade_id: "ex1-a", points: 2, ...}` and `resnetbook = {exercise: "ex1", rtol, atol, hint,
link}`; its last expression is the value to be judged, and where there is none it is right if it raises nothing. The tag
`hidden` keeps a check out of the student's notebook, `### BEGIN HIDDEN TESTS` a part of it; the tag `public` marks a
self-check without points. A cell that is both solution and check, or a task, is marked by hand. The solution cell may
declare `resnetbook = {title, seconds}`, the notebook `resnetbook = {title, memory_mb, cpu_seconds}`.

What nbgrader would take and this book's own assignments must not do is a rule: broken, it is a note, or with `strict`
an error.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from resnetbook.grading import form, marks, notebook
from resnetbook.grading.form import Check, Exercise
from resnetbook.grading.marks import HIDDEN, stub_of
from resnetbook.grading.notebook import Cell
from resnetbook.grading.sharing import prelude, shared
from resnetbook.grading.values import MIME

__all__ = [
    "Check",
    "Exercise",
    "Master",
    "MasterError",
    "Remark",
    "grouped",
    "load",
    "parse",
    "stored_values",
    "stub_of",
]

Remark = tuple[str, str]
"""(the cell's name, what is to be said of it)."""


class MasterError(ValueError):
    """A master notebook that must not be released or graded with; the message lists every reason."""

    def __init__(self, path: Path, problems: list[str]) -> None:
        self.problems = problems
        super().__init__(f"master {path.name}: " + "; ".join(problems))


@dataclass(frozen=True)
class Master:
    """A master notebook that has the right form. `raw` is its JSON, `digest` a hash of what decides a grade."""

    path: Path
    title: str
    cells: tuple[Cell, ...]
    raw: Mapping[str, Any]
    exercises: tuple[Exercise, ...]
    checks: tuple[Check, ...]
    limits: Mapping[str, int]
    digest: str
    kinds: tuple[str, ...]
    """For each cell: "text", "given", "public", "solution", "written" or "check"."""
    released: tuple[str, ...]
    """For each cell: its source in the student's notebook."""
    preludes: Mapping[int, str] = field(default_factory=dict)
    """By place of a check or self-check: what other cells need of it, whether it is run or not."""
    strict: bool = True
    notes: tuple[str, ...] = ()

    def checks_of(self, exercise: str) -> tuple[Check, ...]:
        """The checks of one exercise, in order."""
        return tuple(check for check in self.checks if check.exercise == exercise)

    @property
    def points(self) -> float:
        """All points of the assignment, those given by hand included."""
        return sum(check.points for check in self.checks) + self.by_hand

    @property
    def by_hand(self) -> float:
        """The points that a person gives."""
        return sum(exercise.by_hand for exercise in self.exercises)


def load(path: str | Path, *, strict: bool = True) -> Master:
    """Read a master notebook and hold it to its form.

    Raises:
        FileNotFoundError: there is no such file.
        MasterError: the notebook is unreadable or breaks a rule of the form; every breach is named.
    """
    path = Path(path)
    return parse(path.read_bytes(), path, strict=strict)


def parse(data: bytes, path: Path = Path("master.ipynb"), *, strict: bool = True) -> Master:
    """Hold the bytes of a master notebook to its form; `path` serves the messages and the title.

    Args:
        data: the notebook.
        path: where it lies.
        strict: hold it to the rules of this book's own assignments too; else their breaches are `notes`.

    Raises:
        MasterError: the notebook is unreadable or breaks a rule of the form; every breach is named.
    """
    try:
        cells = notebook.read(data).cells
        raw = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise MasterError(path, [str(error)]) from None
    items = raw.get("cells") if isinstance(raw, dict) else None
    if not isinstance(items, list) or len(items) != len(cells):
        raise MasterError(path, ["it is no notebook of format 4, or one of its cells cannot be read"])
    problems: list[Remark] = _language(raw)
    rules: list[Remark] = []
    exercises, checks, released = [], [], []
    kinds = [form.kind(cell) for cell in cells]
    for index, (cell, item, kind) in enumerate(zip(cells, items, kinds, strict=True)):
        where = cell.grade_id or f"cell {index + 1}"
        said: list[str] = []
        given = cell.source
        try:
            form.marks_at_home(cell, kind)
            if kind == "solution" or kind == "written":
                exercises.append((form.exercise if kind == "solution" else form.written)(cell, index, said))
                given = exercises[-1].stub
            elif kind == "check":
                form.executed(item, said)
                checks.append(form.check(cell, index, said))
                given = marks.cut(cell.source, HIDDEN)
        except (ValueError, SyntaxError) as error:
            problems.append((where, str(error)))
        released.append(given)
        rules += [(where, text) for text in said]
    exercises = form.named(exercises, cells)
    checks = checks if strict else form.attached(checks, exercises)
    problems += _whole(cells, kinds, exercises, checks, rules)
    needed = shared(cells, kinds)
    rules += [(cells[i].grade_id or f"cell {i + 1}", text) for i, (_, text) in sorted(needed.items())]
    if strict:
        problems += rules
    if problems:
        raise MasterError(path, [f"{where}: {text}" if where else text for where, text in problems])
    settings = _settings(raw)
    answers = frozenset(name for e in exercises for name in e.names)
    return Master(
        path=path,
        title=str(settings.get("title") or path.parent.name),
        cells=cells,
        raw=raw,
        exercises=tuple(exercises),
        checks=tuple(checks),
        limits=limits_of(settings),
        digest=_digest(cells, settings),
        kinds=tuple(kinds),
        released=tuple(released),
        preludes={
            i: text for i, (names, _) in needed.items() if (text := prelude(cells[i].source, names, answers))
        },
        strict=strict,
        notes=tuple(grouped(rules)),
    )


def grouped(remarks: Sequence[Remark]) -> list[str]:
    """One line for each thing that is said, with all cells of which it is said."""
    cells: dict[str, list[str]] = {}
    for where, text in remarks:
        cells.setdefault(text, []).append(where)
    return [f"{', '.join(names)}: {text}" if any(names) else text for text, names in cells.items()]


def limits_of(settings: Mapping[str, Any]) -> dict[str, int]:
    """The limits of a kernel, from the notebook's settings: megabytes of address space, seconds of processor."""
    return {
        "memory_mb": int(settings.get("memory_mb", 6144)),
        "cpu_seconds": int(settings.get("cpu_seconds", 300)),
        "file_mb": 32,
    }


def stored_values(master: Master) -> dict[str, Any]:
    """The value that each check's own output carries, as far as it is there in a form that loses nothing.

    That is an output of our MIME type, or a text that is a Python literal (IPython prints plain numbers, strings,
    lists and dicts so). A printed tensor is rounded and does not count.
    """
    found = {}
    for check in master.checks:
        for output in master.raw["cells"][check.index].get("outputs", []):
            data = output.get("data", {})
            if MIME in data:
                found[check.id] = data[MIME]
            elif output.get("output_type") == "execute_result":
                text = data.get("text/plain", "")
                try:
                    found[check.id] = ast.literal_eval("".join(text) if isinstance(text, list) else text)
                except (ValueError, SyntaxError, MemoryError, RecursionError):
                    continue
    return found


def _digest(cells: tuple[Cell, ...], settings: Mapping[str, Any]) -> str:
    """A hash of what decides a grade: sources and grading metadata, neither outputs nor dates of execution."""
    parts = [[c.kind, c.source, dict(c.grader), c.metadata.get("resnetbook"), c.tags] for c in cells]
    text = json.dumps([parts, limits_of(settings), str(settings.get("title"))], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _settings(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    found = raw.get("metadata", {}).get("resnetbook", {})
    return found if isinstance(found, dict) else {}


def _language(raw: Mapping[str, Any]) -> list[Remark]:
    metadata = raw.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    kernel, language = metadata.get("kernelspec") or {}, metadata.get("language_info") or {}
    name = str(kernel.get("language") or language.get("name") or "python")
    return [] if "python" in name.lower() else [("", f"its language is {name}: only Python is graded")]


def _whole(
    cells: Sequence[Cell],
    kinds: Sequence[str],
    exercises: Sequence[Exercise],
    checks: Sequence[Check],
    rules: list[Remark],
) -> list[Remark]:
    """What is to be said of the notebook as a whole: problems, and breaches of rules, which are added to `rules`."""
    problems: list[Remark] = []
    seen: set[str] = set()
    for cell in cells:
        if cell.grade_id and any(cell.grader.get(key) for key in ("solution", "grade", "locked", "task")):
            if cell.grade_id in seen:
                problems.append((cell.grade_id, "the grader id is used twice"))
            seen.add(cell.grade_id)
    if "solution" not in kinds and "written" not in kinds:
        problems.append(("", "there is no solution cell"))
    places = {exercise.id: exercise.index for exercise in exercises if not exercise.written}
    for check in checks:
        if check.exercise not in places:
            problems.append(
                (check.id, f"it belongs to exercise {check.exercise!r}, which is no solution cell")
            )
        elif check.index < places[check.exercise]:
            rules.append((check.id, f"it stands before its exercise {check.exercise}"))
    for exercise in exercises:
        if not exercise.by_hand and not any(check.exercise == exercise.id for check in checks):
            rules.append((exercise.id, "no check has points for it"))
    return problems
