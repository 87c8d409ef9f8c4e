"""From the master to the student's notebook, after the master has passed an examination of its own."""

from __future__ import annotations

import ast
import copy
import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnetbook.grading.master import Master, MasterError, load, stored_values
from resnetbook.grading.run import Found, run
from resnetbook.grading.values import close

__all__ = ["Released", "examine", "references", "release", "student_notebook"]

UNANSWERED = "not answered yet"


@dataclass(frozen=True)
class Released:
    """The student's notebook and what the author should know: nothing here forbids the release."""

    path: Path
    points: float
    exercises: int
    warnings: tuple[str, ...]

    def __str__(self) -> str:
        text = f"{self.path}: {self.exercises} exercises, {self.points:g} points"
        return "\n".join([text, *(f"note: {warning}" for warning in self.warnings)])


def release(master: str | Path, out: str | Path, *, workers: int = 2) -> Released:
    """Make the student's notebook: stubs and public self-checks, no hidden check, no value, no output.

    Args:
        master: the master notebook, executed and saved.
        out: where the student's notebook is written, atomically.
        workers: runs at a time; the master is run four times.

    Raises:
        FileNotFoundError: there is no master.
        MasterError: the master was not executed, is not deterministic, has a check that a stub passes or whose source
            holds its own answer, lacks points, uses an id twice, or its stubs do not run from top to bottom.
    """
    book = load(master)
    warnings = examine(book, workers=workers)
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(out.name + ".part")
    partial.write_text(
        json.dumps(student_notebook(book), indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    os.replace(partial, out)
    return Released(out, sum(check.points for check in book.checks), len(book.exercises), tuple(warnings))


def student_notebook(book: Master) -> dict[str, Any]:
    """The JSON of the student's notebook."""
    raw = copy.deepcopy(dict(book.raw))
    stubs = {exercise.index: exercise.stub for exercise in book.exercises}
    hidden = {check.index for check in book.checks if check.hidden}
    cells = []
    for index, item in enumerate(raw["cells"]):
        if index in hidden:
            continue
        if item["cell_type"] == "code":
            item["source"] = stubs.get(index, book.cells[index].source)
            item["outputs"], item["execution_count"] = [], None
            if book.kinds[index] == "check":  # tolerances and hints stay with the author
                item["metadata"]["resnetbook"] = {"exercise": item["metadata"]["resnetbook"]["exercise"]}
        cells.append(item)
    raw["cells"] = cells
    metadata = raw.setdefault("metadata", {})
    metadata["resnetbook"] = {"title": book.title, "master": book.digest[:16]}
    metadata.pop("widgets", None)
    return raw


def references(book: Master) -> dict[str, Any]:
    """Run the master's own solutions once and return each check's value; the stored outputs must agree.

    Raises:
        MasterError: a check gives no value, or another one than the master's output shows.
    """
    found = run(book.path.read_bytes(), None)
    problems = _values_missing(book, found)
    if not problems:
        problems = [
            f"{check.id}: its stored output is not what it gives when run: execute the master again"
            for check in book.checks
            if check.id in stored_values(book)
            and not close(
                _plain(stored_values(book)[check.id]),
                found.values[check.id],
                rtol=check.rtol,
                atol=check.atol,
            )
        ]
    if problems:
        raise MasterError(book.path, problems)
    return found.values


def examine(book: Master, *, workers: int = 2) -> list[str]:
    """Run the master four times and hold it to the rules of `release`.

    Returns:
        Warnings: checks that are right or wrong by a single bool, which can be guessed.

    Raises:
        MasterError: a rule is broken; every breach is named.
    """
    data = book.path.read_bytes()
    student = json.dumps(student_notebook(book)).encode()
    with ThreadPoolExecutor(max(1, workers)) as pool:
        first = pool.submit(references, book)
        # Other hash seed, other random numbers before each check: what still agrees depends on neither.
        second = pool.submit(run, data, None, seed=1)
        stubs = pool.submit(run, student, None, mode="plain")
        probe = pool.submit(run, data, None, mode="probe")
        values = first.result()
        problems = _not_deterministic(book, values, second.result())
        problems += _stub_trouble(book, stubs.result())
        problems += _stub_values(book, values, probe.result())
    problems += [
        f"{check.id}: its own source holds its value"
        for check in book.checks
        if _holds(check.source, values[check.id])
    ]
    if problems:
        raise MasterError(book.path, problems)
    return [
        f"{check.id} gives a single {values[check.id]}: a guess is right half of the time"
        for check in book.checks
        if isinstance(values[check.id], bool)
    ]


def _plain(value: Any) -> Any:
    """A stored Python literal in the form that JSON gives it."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return value


def _values_missing(book: Master, found: Found) -> list[str]:
    if found.trouble:
        return [found.trouble]
    by_id = {cell["id"]: cell for cell in found.cells if cell["kind"] == "check"}
    problems = [
        f"cell of kind {cell['kind']} {cell['id']} ends in {cell['verdict']} ({cell.get('error', '')})"
        for cell in found.cells
        if cell["kind"] != "check" and cell["verdict"] != "ok"
    ]
    for check in book.checks:
        cell = by_id.get(check.id, {"verdict": "not run"})
        if "value" not in cell:
            problems.append(
                f"{check.id}: {cell['verdict']} {cell.get('error', '')}".rstrip() + " with the solutions"
            )
    return problems


def _not_deterministic(book: Master, values: Mapping[str, Any], second: Found) -> list[str]:
    problems = _values_missing(book, second)
    return problems or [
        f"{check.id}: two runs give two values: seed what is random inside the check"
        for check in book.checks
        if second.values[check.id] != values[check.id]
    ]


def _stub_trouble(book: Master, found: Found) -> list[str]:
    """The student's notebook as released must run to its end, and its self-checks must say where they stand."""
    problems = [found.trouble] if found.trouble else []
    for cell in found.cells:
        if cell["verdict"] != "ok":
            name = cell["id"] or "a cell"
            problems.append(
                f"{name} of the student's notebook ends in {cell['verdict']} {cell.get('error', '')}".rstrip()
            )
        elif cell["kind"] == "public" and UNANSWERED not in cell.get("printed", ""):
            problems.append(f"a public check does not print {UNANSWERED!r} when there is no answer")
    return problems


def _stub_values(book: Master, values: Mapping[str, Any], probe: Found) -> list[str]:
    problems = [probe.trouble] if probe.trouble else []
    for check in book.checks:
        with_stub = probe.values.get(f"{check.id}@stub", _NOTHING)
        if with_stub is not _NOTHING and close(with_stub, values[check.id], rtol=check.rtol, atol=check.atol):
            problems.append(f"{check.id}: the stub gets its {check.points:g} points")
    return problems


_NOTHING = object()


def _holds(source: str, value: Any) -> bool:
    """Tell whether a literal in the source is the value; a bool or None says too little to count."""
    if value is None or isinstance(value, bool):
        return False
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant | ast.List | ast.Tuple | ast.Dict | ast.UnaryOp):
            try:
                literal = _plain(ast.literal_eval(node))
            except (ValueError, TypeError):
                continue
            if type(literal) is not bool and close(literal, value, rtol=1e-9, atol=0.0):
                return True
    return False
