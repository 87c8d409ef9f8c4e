"""From the master to the student's notebook, after the master has passed an examination of its own."""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnetbook.grading import syntax
from resnetbook.grading.master import Master, MasterError, Remark, grouped, load, stored_values
from resnetbook.grading.operands import OTHER
from resnetbook.grading.run import Found, require_platform, run
from resnetbook.grading.student import student_notebook
from resnetbook.grading.values import close

__all__ = ["References", "Released", "examine", "references", "release", "student_notebook"]

UNANSWERED = "not answered yet"


@dataclass(frozen=True)
class Released:
    """The student's notebook and what the author should know: nothing here forbids the release."""

    path: Path
    points: float
    exercises: int
    warnings: tuple[str, ...]
    by_hand: float = 0.0

    def __str__(self) -> str:
        hand = f" ({self.by_hand:g} of them to be marked by hand)" if self.by_hand else ""
        text = f"{self.path}: {self.exercises} exercises, {self.points:g} points{hand}"
        return "\n".join([text, *(f"note: {warning}" for warning in self.warnings)])


@dataclass(frozen=True)
class References:
    """What answers are compared with: the values of checks by id.

    `inside` are checks whose asserts are left to the kernel, `valueless` those whose last value counts for nothing, for it
    is another one in each run; `notes` are for the instructor.
    """

    values: Mapping[str, Any]
    inside: frozenset[str] = frozenset()
    valueless: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


def release(master: str | Path, out: str | Path, *, workers: int = 2, strict: bool = False) -> Released:
    """Make the student's notebook: stubs and public self-checks, no hidden check, no value, no output.

    An ordinary source notebook of nbgrader will do. What this book's own assignments must keep besides (checks that end in a
    value, a stub that runs and earns nothing, and so on) is a note, or with `strict` an error.

    Args:
        master: the master notebook.
        out: where the student's notebook is written, atomically.
        workers: runs at a time; the master is run four times.
        strict: refuse what else is noted.

    Raises:
        FileNotFoundError: there is no master.
        MasterError: students would see a solution or a hidden test, an id is used twice, points are missing, a check fails
            with the master's own solutions or gives another value each time; or, with `strict`, a rule is broken.
        RuntimeError: the system is Windows.
    """
    require_platform()
    book = load(master, strict=strict)
    student = student_notebook(book)
    warnings = [*book.notes, *examine(book, workers=workers)]
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(out.name + ".part")
    partial.write_text(json.dumps(student, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(partial, out)
    return Released(out, book.points, len(book.exercises), tuple(warnings), book.by_hand)


def references(book: Master, *, workers: int = 2) -> References:
    """Run the master's own solutions and return what answers are compared with.

    A master with checks that say nothing to this grader is run twice: what differs from run to run is not compared.

    Raises:
        MasterError: a check gives no value; or, with strict rules, another one than the master's output shows.
    """
    data = book.path.read_bytes()
    with ThreadPoolExecutor(max(1, workers)) as pool:
        first = pool.submit(run, data, None)
        second = pool.submit(run, data, None, seed=1) if any(check.plain for check in book.checks) else None
        return _learnt(book, first.result(), second.result() if second else None)


def _learnt(book: Master, found: Found, again: Found | None) -> References:
    problems, rules = _values_missing(book, found)
    if not problems and again is not None:
        problems += _values_missing(book, again)[0]
    valueless: set[str] = set()
    if not problems:
        stored = stored_values(book)
        for check in book.checks:
            value = found.values[check.id]
            if again is not None and again.values[check.id] != value:
                if check.plain:
                    valueless.add(check.id)
                    rules.append((check.id, "two runs give two values: it is right if it raises nothing"))
                else:
                    problems.append(
                        f"{check.id}: two runs give two values: seed what is random inside the check"
                    )
            elif check.id in stored and not close(
                _plain(stored[check.id]), value, rtol=check.rtol, atol=check.atol
            ):
                text = "its stored output is not what it gives when run: execute the master again"
                rules.append((check.id, text))
    if book.strict:
        problems += [said for where, text in rules if (said := f"{where}: {text}") not in problems]
    if problems:
        raise MasterError(book.path, problems)
    return References(found.values, found.inside, frozenset(valueless), tuple(grouped(rules)))


def examine(book: Master, *, workers: int = 2) -> list[str]:
    """Run the master four times and hold it to the rules of `release`.

    Returns:
        What the author should know: checks that can be guessed, and where the rules are not strict every breach of one.

    Raises:
        MasterError: a rule is broken; every breach is named.
    """
    data = book.path.read_bytes()
    student = json.dumps(student_notebook(book)).encode()
    with ThreadPoolExecutor(max(1, workers)) as pool:
        first = pool.submit(run, data, None)
        # Other hash seed, other random numbers before each check: what still agrees depends on neither.
        second = pool.submit(run, data, None, seed=1)
        stubs = pool.submit(run, student, None, mode="plain")
        probe = pool.submit(run, data, None, mode="probe")
        try:
            learnt, problems = _learnt(book, first.result(), second.result()), []
        except MasterError as error:
            if first.result().values.keys() < {check.id for check in book.checks}:
                raise
            learnt, problems = References(first.result().values), error.problems
        rules = _stub_trouble(book, stubs.result()) + _stub_values(book, learnt, probe.result())
    rules += [
        (check.id, "its own source holds its value")
        for check in book.checks
        if _holds(check.source, learnt.values[check.id])
    ]
    if book.strict:
        problems += [f"{where}: {text}" if where else text for where, text in rules]
    if problems:
        raise MasterError(book.path, problems)
    notes = [*learnt.notes, *grouped(rules)]
    for check in book.checks:
        value = learnt.values[check.id]
        if isinstance(value, bool):
            notes.append(f"{check.id} gives a single {value}: a guess is right half of the time")
        elif check.plain and isinstance(value, int | float):
            notes.append(
                f"{check.id} gives a number: nbgrader takes it for the points, here it must be {value:g}"
            )
    return notes


def _plain(value: Any) -> Any:
    """A stored Python literal in the form that JSON gives it."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return value


def _values_missing(book: Master, found: Found) -> tuple[list[str], list[Remark]]:
    """(checks without a value, which cannot serve; other cells that do not end well, which may be meant so)."""
    if found.trouble:
        return [found.trouble], []
    by_id = {cell["id"]: cell for cell in found.cells if cell["kind"] == "check"}
    rules = [
        (
            f"cell of kind {cell['kind']} {cell['id']}".strip(),
            f"it ends in {cell['verdict']} ({cell.get('error', '')})",
        )
        for cell in found.cells
        if cell["kind"] != "check" and cell["verdict"] != "ok"
    ]
    problems = []
    for check in book.checks:
        cell = by_id.get(check.id, {"verdict": "not run"})
        if "value" not in cell:
            problems.append(
                f"{check.id}: {cell['verdict']} {cell.get('error', '')}".rstrip() + " with the solutions"
            )
    if problems:
        problems += [f"{where}: {text}" for where, text in rules]
    return problems, rules


def _stub_trouble(book: Master, found: Found) -> list[Remark]:
    """The student's notebook as released must run to its end, and its self-checks must say where they stand."""
    said = [found.trouble] if found.trouble else []
    ends: dict[str, list[str]] = {}
    for cell in found.cells:
        if cell["verdict"] != "ok":
            error = f"{cell['verdict']} {cell.get('error', '')}".rstrip()
            ends.setdefault(error, []).append(cell["id"] or "a cell")
        elif cell["kind"] == "public" and UNANSWERED not in cell.get("printed", ""):
            said.append(f"a public check does not print {UNANSWERED!r} when there is no answer")
    for error, names in ends.items():
        said.append(
            f"{', '.join(names)} of the student's notebook {'ends' if len(names) == 1 else 'end'} in {error}"
        )
    return [("", text) for text in said]


def _stub_values(book: Master, learnt: References, probe: Found) -> list[Remark]:
    problems = [("", probe.trouble)] if probe.trouble else []
    for check in book.checks:
        with_stub, value = probe.values.get(f"{check.id}@stub", _NOTHING), learnt.values[check.id]
        if with_stub is _NOTHING:
            continue
        if check.id in learnt.valueless or close(with_stub, value, rtol=check.rtol, atol=check.atol):
            problems.append((check.id, f"the stub gets its {check.points:g} points"))
    return problems


_NOTHING = object()


def _holds(source: str, value: Any) -> bool:
    """Tell whether a literal in the source is the value; a bool or None says too little to count."""
    if value is None or isinstance(value, bool) or (isinstance(value, dict) and OTHER in value):
        return False
    for node in ast.walk(syntax.parse(source)):
        if isinstance(node, ast.Constant | ast.List | ast.Tuple | ast.Dict | ast.UnaryOp):
            try:
                literal = _plain(ast.literal_eval(node))
            except (ValueError, TypeError):
                continue
            if type(literal) is not bool and close(literal, value, rtol=1e-9, atol=0.0):
                return True
    return False
