"""The master notebook: its form, what is wrong with it, and the student's notebook that follows from it.

A solution cell carries `nbgrader = {solution: true, grade: false, grade_id: "ex1", ...}` and marks the part to remove
by `### BEGIN SOLUTION` and `### END SOLUTION`. A check cell carries `nbgrader = {grade: true, solution: false, grade_id:
"ex1-a", points: 2, ...}` and `resnetbook = {exercise: "ex1", rtol, atol, hint, link}`; its last expression is the value
to be judged. The tag `hidden` keeps a check out of the student's notebook, the tag `public` marks a self-check without
points. The solution cell may declare `resnetbook = {title, seconds}`, the notebook `resnetbook = {title, memory_mb,
cpu_seconds}`.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from resnetbook.grading import notebook
from resnetbook.grading.names import Names, names_of
from resnetbook.grading.notebook import Cell
from resnetbook.grading.values import MIME

__all__ = ["Check", "Exercise", "Master", "MasterError", "load", "parse", "stored_values", "stub_of"]

STUB = "...  # your answer"
_BEGIN, _END = re.compile(r"^\s*### BEGIN SOLUTION\s*$"), re.compile(r"^\s*### END SOLUTION\s*$")
_ID = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_RESERVED = {"student", "status", "points", "max_points"}


class MasterError(ValueError):
    """A master notebook that must not be released or graded with; the message lists every reason."""

    def __init__(self, path: Path, problems: list[str]) -> None:
        self.problems = problems
        super().__init__(f"master {path.name}: " + "; ".join(problems))


@dataclass(frozen=True)
class Exercise:
    """One exercise, named by its solution cell. `seconds` is the deadline of each of its cells."""

    id: str
    title: str
    seconds: float
    index: int
    cell: Cell
    stub: str
    names: frozenset[str]


@dataclass(frozen=True)
class Check:
    """One check: what it is worth, how close is close enough, and where a wrong answer is sent."""

    id: str
    exercise: str
    points: float
    rtol: float
    atol: float
    hint: str
    link: str
    hidden: bool
    index: int
    source: str


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
    kinds: tuple[str, ...] = field(default=())
    """For each cell: "text", "given", "public", "solution" or "check"."""

    def checks_of(self, exercise: str) -> tuple[Check, ...]:
        """The checks of one exercise, in order."""
        return tuple(check for check in self.checks if check.exercise == exercise)


def stub_of(source: str) -> str:
    """Replace each solution region by one line, `...`, indented as the region is.

    Raises:
        ValueError: there is no region, or its marks do not come in pairs.
    """
    lines: list[str] = []
    inside, found = False, False
    for line in source.split("\n"):
        if _BEGIN.match(line):
            if inside:
                raise ValueError("### BEGIN SOLUTION stands inside a solution region")
            inside, found = True, True
            lines.append(line[: len(line) - len(line.lstrip())] + STUB)
        elif _END.match(line):
            if not inside:
                raise ValueError("### END SOLUTION without ### BEGIN SOLUTION")
            inside = False
        elif not inside:
            lines.append(line)
    if inside:
        raise ValueError("### BEGIN SOLUTION without ### END SOLUTION")
    if not found:
        raise ValueError("no ### BEGIN SOLUTION in a solution cell")
    return "\n".join(lines)


def load(path: str | Path) -> Master:
    """Read a master notebook and hold it to its form.

    Raises:
        FileNotFoundError: there is no such file.
        MasterError: the notebook is unreadable or breaks a rule of the form; every breach is named.
    """
    path = Path(path)
    return parse(path.read_bytes(), path)


def parse(data: bytes, path: Path = Path("master.ipynb")) -> Master:
    """Hold the bytes of a master notebook to its form; `path` serves the messages and the title.

    Raises:
        MasterError: the notebook is unreadable or breaks a rule of the form; every breach is named.
    """
    try:
        cells = notebook.read(data).cells
        raw = json.loads(data)
    except ValueError as error:
        raise MasterError(path, [str(error)]) from None
    problems: list[str] = []
    exercises, checks, kinds = [], [], []
    for index, (cell, item) in enumerate(zip(cells, raw["cells"], strict=True)):
        kind = _kind(cell)
        kinds.append(kind)
        where = cell.grade_id or f"cell {index + 1}"
        try:
            if kind == "solution":
                exercises.append(_exercise(cell, index))
            elif kind == "check":
                _require_executed(item)
                checks.append(_check(cell, index))
        except (ValueError, SyntaxError) as error:
            problems.append(f"{where}: {error}")
    problems += _whole(cells, kinds, exercises, checks)
    if problems:
        raise MasterError(path, problems)
    settings = _settings(raw)
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
    )


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


def _kind(cell: Cell) -> str:
    if cell.kind != "code":
        return "text"
    if cell.grader.get("solution") is True:
        return "solution"
    if cell.grader.get("grade") is True:
        return "check"
    return "public" if "public" in cell.tags else "given"


def _digest(cells: tuple[Cell, ...], settings: Mapping[str, Any]) -> str:
    """A hash of what decides a grade: sources and grading metadata, neither outputs nor dates of execution."""
    parts = [[c.kind, c.source, dict(c.grader), c.metadata.get("resnetbook"), c.tags] for c in cells]
    text = json.dumps([parts, limits_of(settings), str(settings.get("title"))], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _settings(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    found = raw.get("metadata", {}).get("resnetbook", {})
    return found if isinstance(found, dict) else {}


def _identifier(cell: Cell) -> str:
    if not _ID.fullmatch(cell.grade_id) or cell.grade_id in _RESERVED:
        raise ValueError(
            f"grade_id is {cell.grade_id!r}, expected a word of letters, digits, '-', '_' and '.'"
        )
    return cell.grade_id


def _exercise(cell: Cell, index: int) -> Exercise:
    settings = cell.metadata.get("resnetbook") or {}
    if cell.grader.get("grade") is True:
        raise ValueError("a cell cannot be solution and check at once")
    stub = stub_of(cell.source)
    ast.parse(cell.source)
    ast.parse(stub)
    seconds = settings.get("seconds", 10)
    if not _is_number(seconds) or not 0 < seconds <= 600:
        raise ValueError(f"seconds is {seconds!r}, expected a number of seconds up to 600")
    return Exercise(
        id=_identifier(cell),
        title=str(settings.get("title") or cell.grade_id),
        seconds=float(seconds),
        index=index,
        cell=cell,
        stub=stub,
        names=names_of(stub).defines or names_of(cell.source).defines,
    )


def _check(cell: Cell, index: int) -> Check:
    settings = cell.metadata.get("resnetbook") or {}
    identifier, points = _identifier(cell), cell.grader.get("points")
    if not _is_number(points) or points <= 0:
        raise ValueError(f"points are {points!r}, expected a positive number")
    rtol, atol = settings.get("rtol", 1e-5), settings.get("atol", 1e-8)
    for name, value in (("rtol", rtol), ("atol", atol)):
        if not _is_number(value) or value < 0:
            raise ValueError(f"{name} is {value!r}, expected a number that is not negative")
    body = ast.parse(cell.source).body
    if not body or not isinstance(body[-1], ast.Expr):
        raise ValueError("the check does not end in an expression: there is no value to judge")
    return Check(
        id=identifier,
        exercise=str(settings.get("exercise", "")),
        points=float(points),
        rtol=float(rtol),
        atol=float(atol),
        hint=str(settings.get("hint", "")),
        link=str(settings.get("link", "")),
        hidden="hidden" in cell.tags,
        index=index,
        source=cell.source,
    )


def _is_number(value: Any) -> TypeGuard[float]:
    return type(value) in (int, float) and value == value  # nan does not


def _require_executed(item: Mapping[str, Any]) -> None:
    outputs = item.get("outputs") or []
    if item.get("execution_count") is None or not outputs:
        raise ValueError("the check was not executed (no count or no output): run the master and save it")
    if any(output.get("output_type") == "error" for output in outputs):
        raise ValueError("the check ended in an error when the master was executed")


def _whole(
    cells: tuple[Cell, ...], kinds: list[str], exercises: list[Exercise], checks: list[Check]
) -> Iterator[str]:
    """Rules about the notebook as a whole."""
    seen: set[str] = set()
    for cell in cells:
        if cell.grade_id and cell.grade_id in seen:
            yield f"{cell.grade_id}: the grader id is used twice"
        seen.add(cell.grade_id)
    if "solution" not in kinds:
        yield "there is no solution cell"
    places = {exercise.id: exercise.index for exercise in exercises}
    for check in checks:
        if check.exercise not in places:
            yield f"{check.id}: it belongs to exercise {check.exercise!r}, which is no solution cell"
        elif check.index < places[check.exercise]:
            yield f"{check.id}: it stands before its exercise {check.exercise}"
    for exercise in exercises:
        if not any(check.exercise == exercise.id for check in checks):
            yield f"{exercise.id}: no check has points for it"
    # A check is not run again after a kernel died, and a public one is not run by the grader at all.
    found = [
        names_of(cell.source) if cell.kind == "code" else Names(frozenset(), frozenset()) for cell in cells
    ]
    kept = {
        name
        for n, kind in zip(found, kinds, strict=True)
        if kind in ("given", "solution")
        for name in n.defines
    }
    for index, kind in enumerate(kinds):
        if kind in ("check", "public"):
            for other, names in enumerate(found):
                shared = sorted((found[index].defines & names.uses) - kept) if other != index else []
                if shared:
                    where = cells[index].grade_id or f"cell {index + 1}"
                    yield f"{where}: another cell (cell {other + 1}) needs its name {shared[0]!r}"
