"""The form of single cells: what an exercise and a check are, and what is wrong with them.

A problem raises ValueError, for nothing can be graded then. The breach of a rule that only this book's own assignments must
keep is added to the list `said`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

from resnetbook.grading import marks, syntax
from resnetbook.grading.marks import HIDDEN, SCHEME, SOLUTION, STUB
from resnetbook.grading.names import names_of
from resnetbook.grading.notebook import Cell

__all__ = [
    "Check",
    "Exercise",
    "attached",
    "check",
    "executed",
    "exercise",
    "kind",
    "marks_at_home",
    "named",
    "written",
]

BLANK = "Your answer here."
_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_RESERVED = {"student", "status", "points", "max_points", "by_hand"}
_HOMES = {SOLUTION: "solution cell", HIDDEN: "check", SCHEME: "task"}
_AUTOTEST = re.compile(r"^\s*#.*\bAUTOTEST\b", re.MULTILINE)


@dataclass(frozen=True)
class Exercise:
    """One exercise, named by its solution cell. `seconds` is the deadline of each of its cells.

    `by_hand` are points that a person gives; `written` marks an answer that is no code, `task` one that may stand
    anywhere.
    """

    id: str
    title: str
    seconds: float
    index: int
    cell: Cell
    stub: str
    names: frozenset[str]
    by_hand: float = 0.0
    written: bool = False
    task: bool = False


@dataclass(frozen=True)
class Check:
    """One check: what it is worth, how close is close enough, and where a wrong answer is sent.

    `needs` are the exercises whose answers it tries; it is run if one of them is answered. `plain` marks a check that says
    nothing to this grader, an ordinary one of nbgrader's.
    """

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
    plain: bool = False
    needs: tuple[str, ...] = ()


def kind(cell: Cell) -> str:
    """The kind of a cell: "text", "given", "public", "solution", "written" (a person reads it) or "check"."""
    solution, grade = bool(cell.grader.get("solution")), bool(cell.grader.get("grade"))
    if cell.grader.get("task") or (cell.kind != "code" and (solution or grade)):
        return "written"
    if cell.kind != "code":
        return "text"
    if solution or grade:
        return "solution" if solution else "check"
    return "public" if "public" in cell.tags else "given"


def marks_at_home(cell: Cell, kind: str) -> None:
    """Refuse what a student would get to see: a mark that no one removes, a check that is none."""
    homes = {"solution": {SOLUTION}, "check": {HIDDEN}, "written": {SOLUTION}}.get(kind, set())
    if cell.grader.get("grade"):
        homes = homes | {HIDDEN}
    if cell.grader.get("task"):
        homes = {SCHEME}
    for region in marks.regions(cell.source):
        if region.kind not in homes:
            raise ValueError(
                f"### BEGIN {region.kind} stands in a cell that is no {_HOMES[region.kind]}: "
                "its metadata are missing, or the students would get what it holds"
            )
    if "hidden" in cell.tags and kind != "check":
        raise ValueError("the tag hidden stands on a cell that is no check: the students would get it")
    if cell.kind == "code" and _AUTOTEST.search(cell.source):
        raise ValueError("AUTOTEST is written out by nbgrader alone: make its tests first, and take those")


def _identifier(cell: Cell) -> str:
    if not _ID.fullmatch(cell.grade_id) or cell.grade_id in _RESERVED:
        raise ValueError(
            f"grade_id is {cell.grade_id!r}, expected a word of letters, digits, '-', '_' and '.'"
        )
    return cell.grade_id


def _points(cell: Cell, said: list[str]) -> float:
    points = cell.grader.get("points")
    try:
        number = float(points) if isinstance(points, str) else points
    except ValueError:
        number = None
    if not _is_number(number) or number < 0:
        raise ValueError(f"points are {points!r}, expected a positive number")
    if number == 0:
        said.append(f"points are {points!r}, expected a positive number")
    return float(number)


def exercise(cell: Cell, index: int, said: list[str]) -> Exercise:
    """Read a solution cell.

    Raises:
        ValueError, SyntaxError: it cannot be one.
    """
    settings, by_hand = cell.metadata.get("resnetbook") or {}, bool(cell.grader.get("grade"))
    marked = any(region.kind == SOLUTION for region in marks.regions(cell.source))
    if not marked and not by_hand:
        said.append("no ### BEGIN SOLUTION in a solution cell: the whole cell is taken for the solution")
    stub = marks.cut(marks.cut(cell.source, SOLUTION, STUB), HIDDEN) if marked else STUB
    syntax.parse(cell.source)
    try:
        syntax.parse(stub)
    except SyntaxError as error:
        said.append(f"its stub is no valid Python: {error}")
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
        names=names_of(stub).defines,
        by_hand=_points(cell, said) if by_hand else 0.0,
    )


def written(cell: Cell, index: int, said: list[str]) -> Exercise:
    """Read an answer in words, or a task: a person reads it, the model answer stays with the author.

    Raises:
        ValueError: it cannot be one.
    """
    settings, task = cell.metadata.get("resnetbook") or {}, bool(cell.grader.get("task"))
    if not task and not cell.grader.get("solution"):
        raise ValueError(
            f"a {cell.kind} cell cannot be a check: make it an answer (solution: true) or a task"
        )
    if any(region.kind == SOLUTION for region in marks.regions(cell.source)):
        stub = marks.cut(marks.cut(cell.source, SOLUTION, BLANK), HIDDEN)
    else:
        stub = marks.cut(cell.source, SCHEME) if task else BLANK
    return Exercise(
        id=_identifier(cell),
        title=str(settings.get("title") or cell.grade_id),
        seconds=10.0,
        index=index,
        cell=cell,
        stub=stub,
        names=frozenset(),
        by_hand=_points(cell, said) if task or cell.grader.get("grade") else 0.0,
        written=True,
        task=task,
    )


def named(exercises: list[Exercise], cells: Sequence[Cell]) -> list[Exercise]:
    """Where a stub names nothing: what the solution defines and other cells use."""
    named = []
    for exercise in exercises:
        if not exercise.names and not exercise.written:
            own = names_of(exercise.cell.source).defines
            used = {
                n
                for c in cells
                if c.kind == "code" and c is not exercise.cell
                for n in names_of(c.source).uses
            }
            exercise = replace(exercise, names=(own & used) or own)
        named.append(exercise)
    return named


def check(cell: Cell, index: int, said: list[str]) -> Check:
    """Read a check.

    Raises:
        ValueError, SyntaxError: it cannot be one.
    """
    settings = cell.metadata.get("resnetbook") or {}
    identifier, points = _identifier(cell), _points(cell, said)
    rtol, atol = settings.get("rtol", 1e-5), settings.get("atol", 1e-8)
    for name, value in (("rtol", rtol), ("atol", atol)):
        if not _is_number(value) or value < 0:
            raise ValueError(f"{name} is {value!r}, expected a number that is not negative")
    body = syntax.parse(cell.source).body
    if not body or not isinstance(body[-1], ast.Expr):
        said.append("the check does not end in an expression: there is no value to judge")
    exercise = str(settings.get("exercise", ""))
    return Check(
        id=identifier,
        exercise=exercise,
        points=float(points),
        rtol=float(rtol),
        atol=float(atol),
        hint=str(settings.get("hint", "")),
        link=str(settings.get("link", "")),
        hidden="hidden" in cell.tags,
        index=index,
        source=cell.source,
        plain="resnetbook" not in cell.metadata,
        needs=(exercise,),
    )


def attached(checks: list[Check], exercises: list[Exercise]) -> list[Check]:
    """Find the exercise of a check that names none: the last one before it whose names it uses, else the last one."""
    code = [exercise for exercise in exercises if not exercise.written]
    attached = []
    for check in checks:
        before = [exercise for exercise in code if exercise.index < check.index] or code
        if not check.exercise and before:
            using = [exercise for exercise in before if exercise.names & names_of(check.source).uses]
            needs = tuple(exercise.id for exercise in using or before)
            check = replace(check, exercise=needs[-1], needs=needs)
        attached.append(check)
    return attached


def _is_number(value: Any) -> TypeGuard[float]:
    return type(value) in (int, float) and value == value  # nan does not


def executed(item: Mapping[str, Any], said: list[str]) -> None:
    """Say whether a check, given as JSON, was executed when the master was saved, and did not fail then."""
    outputs = item.get("outputs") or []
    if any(output.get("output_type") == "error" for output in outputs):
        said.append("the check ended in an error when the master was executed")
    elif item.get("execution_count") is None or not outputs:
        said.append("the check was not executed (no count or no output): run the master and save it")
