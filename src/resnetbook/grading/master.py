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
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeGuard

from resnetbook.grading import marks, notebook, syntax
from resnetbook.grading.marks import HIDDEN, SCHEME, SOLUTION, STUB, stub_of
from resnetbook.grading.names import names_of
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

BLANK = "Your answer here."
_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_RESERVED = {"student", "status", "points", "max_points", "by_hand"}
_HOMES = {SOLUTION: "solution cell", HIDDEN: "check", SCHEME: "task"}
_AUTOTEST = re.compile(r"^\s*#.*\bAUTOTEST\b", re.MULTILINE)

Remark = tuple[str, str]
"""(the cell's name, what is to be said of it)."""


class MasterError(ValueError):
    """A master notebook that must not be released or graded with; the message lists every reason."""

    def __init__(self, path: Path, problems: list[str]) -> None:
        self.problems = problems
        super().__init__(f"master {path.name}: " + "; ".join(problems))


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
    kinds = [_kind(cell) for cell in cells]
    for index, (cell, item, kind) in enumerate(zip(cells, items, kinds, strict=True)):
        where = cell.grade_id or f"cell {index + 1}"
        said: list[str] = []
        given = cell.source
        try:
            _marks_at_home(cell, kind)
            if kind == "solution" or kind == "written":
                exercises.append((_exercise if kind == "solution" else _written)(cell, index, said))
                given = exercises[-1].stub
            elif kind == "check":
                _executed(item, said)
                checks.append(_check(cell, index, said))
                given = marks.cut(cell.source, HIDDEN)
        except (ValueError, SyntaxError) as error:
            problems.append((where, str(error)))
        released.append(given)
        rules += [(where, text) for text in said]
    exercises = _named(exercises, cells)
    checks = checks if strict else _attached(checks, exercises)
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


def _kind(cell: Cell) -> str:
    solution, grade = bool(cell.grader.get("solution")), bool(cell.grader.get("grade"))
    if cell.grader.get("task") or (cell.kind != "code" and (solution or grade)):
        return "written"
    if cell.kind != "code":
        return "text"
    if solution or grade:
        return "solution" if solution else "check"
    return "public" if "public" in cell.tags else "given"


def _marks_at_home(cell: Cell, kind: str) -> None:
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


def _exercise(cell: Cell, index: int, said: list[str]) -> Exercise:
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


def _written(cell: Cell, index: int, said: list[str]) -> Exercise:
    """An answer in words, or a task: a person reads it, the model answer stays with the author."""
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


def _named(exercises: list[Exercise], cells: Sequence[Cell]) -> list[Exercise]:
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


def _check(cell: Cell, index: int, said: list[str]) -> Check:
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


def _attached(checks: list[Check], exercises: list[Exercise]) -> list[Check]:
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


def _executed(item: Mapping[str, Any], said: list[str]) -> None:
    outputs = item.get("outputs") or []
    if any(output.get("output_type") == "error" for output in outputs):
        said.append("the check ended in an error when the master was executed")
    elif item.get("execution_count") is None or not outputs:
        said.append("the check was not executed (no count or no output): run the master and save it")


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
