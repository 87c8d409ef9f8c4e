"""Grade a folder of submissions: one process each, some at a time, a row for every one of them."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from resnetbook.grading import notebook, results
from resnetbook.grading.belonging import belonging, stranger
from resnetbook.grading.limits import OUTPUT_LIMIT
from resnetbook.grading.master import Master, load
from resnetbook.grading.notebook import Unreadable
from resnetbook.grading.releasing import References, references
from resnetbook.grading.results import CheckRow, Row
from resnetbook.grading.run import Found, require_platform, run
from resnetbook.grading.submissions import Submission, find, read_bytes

__all__ = ["grade"]

_GONE = "its submission is no longer where it was"


def grade(
    master: str | Path,
    submissions: Sequence[str | Path],
    out: str | Path,
    *,
    workers: int = 1,
    strict: bool = False,
    secret: bytes | None = None,
    progress: Callable[[Row, int, int], None] | None = None,
) -> list[Row]:
    """Grade submissions against a master and write `results.jsonl` and `grades.csv`.

    A submission that was graded before with the same cells, against the same master, keeps its row and is not run; so does
    one that has only been renamed since. What stands among the submissions and is none (a readme, the results
    themselves, what a system leaves behind) is named in `assignment.json`, and so is what is to be said of the master.

    Args:
        master: the executed master notebook.
        submissions: notebooks, or folders in which each entry is a student's.
        out: folder of the results; made if need be.
        workers: submissions run at the same time, each in processes of its own.
        strict: hold the master to the rules of this book's own assignments.
        secret: the seed of the checks' inputs; not supported yet.
        progress: called with each new row, the number of rows done and their total.

    Returns:
        One row for each student, sorted by id: also for those whose notebook could not be read.

    Raises:
        FileNotFoundError: the master or a place of submissions does not exist.
        MasterError: the master must not be graded with.
        ValueError: nothing was handed in, `workers` is not positive, or a secret is given.
        RuntimeError: the system is Windows.
    """
    require_platform()
    if workers < 1:
        raise ValueError(f"workers: got {workers}, expected a positive number")
    if secret is not None:
        raise ValueError(
            "secret: checks with inputs drawn from a secret seed are not supported by this version"
        )
    book = load(master, strict=strict)
    out = Path(out)
    found, left_out = find([Path(place) for place in submissions], apart=[book.path, out])
    out.mkdir(parents=True, exist_ok=True)
    before = {row.student: row for row in results.read_rows(out) if row.master == book.digest}
    content = {s.student: (s, *_content(book, s)) for s in found}
    known = _renamed(before, {name: _digest(data) for name, (_, data, _) in content.items()}, out)
    rows = dict(known)
    waiting = [
        item
        for name, item in content.items()
        if name not in known or known[name].status == "failed" or known[name].submission != _digest(item[1])
    ]
    notes = list(book.notes)
    results.write_assignment(book, out, left_out=left_out, notes=notes)
    if waiting:
        learnt = References({})
        if any(isinstance(data, bytes) for _, data, _ in waiting):
            learnt = references(book, workers=workers)
            results.write_assignment(book, out, left_out=left_out, notes=[*notes, *learnt.notes])
        rows.update(_grade_all(book, learnt, waiting, out, workers, progress))
    ordered = [rows[student] for student in sorted(rows)]
    results.write_rows(book, ordered, out)
    return ordered


def _renamed(rows: Mapping[str, Row], digests: Mapping[str, str], out: Path) -> dict[str, Row]:
    """The rows of before, under the names that their submissions have now; one that is gone is said to be."""
    known = dict(rows)
    for student, row in rows.items():
        gone = row.path and student not in digests and not os.path.lexists(out / row.path)
        if not gone:
            continue
        new = [name for name, digest in digests.items() if digest == row.submission and name not in known]
        if len(new) == 1:
            del known[student]
            notes = [note for note in row.notes if "was handed in under the name" not in note]
            notes.append(f"it was handed in under the name {student} before")
            known[new[0]] = replace(row, student=new[0], notes=notes)
        elif _GONE not in row.notes:
            row.notes.append(_GONE)
    return known


def _grade_all(
    book: Master,
    learnt: References,
    waiting: Sequence[tuple[Submission, bytes | Unreadable, tuple[str, ...]]],
    out: Path,
    workers: int,
    progress: Callable[[Row, int, int], None] | None,
) -> dict[str, Row]:
    master, lock = book.path.read_bytes(), threading.Lock()
    rows: dict[str, Row] = {}

    def one(submission: Submission, content: bytes | Unreadable, notes: tuple[str, ...]) -> None:
        row = _grade_one(book, master, learnt, submission, content, notes)
        row.path = os.path.relpath(submission.paths[0], out) if submission.paths else ""
        with lock:
            rows[row.student] = row
            results.append_row(row, out)
            if progress is not None:
                progress(row, len(rows), len(waiting))

    with ThreadPoolExecutor(workers) as pool:
        for future in [pool.submit(one, *item) for item in waiting]:
            future.result()
    return rows


def _grade_one(
    book: Master,
    master: bytes,
    learnt: References,
    submission: Submission,
    content: bytes | Unreadable,
    notes: tuple[str, ...],
) -> Row:
    row = Row(
        student=submission.student,
        status="graded",
        master=book.digest,
        submission=_digest(content),
        notes=list(notes),
        max_points=book.points,
        exercises={e.id: 0.0 for e in book.exercises},
    )
    if isinstance(content, Unreadable):
        row.status, row.reason = "unreadable", str(content)
        return row
    try:
        found = run(
            master,
            content,
            references=learnt.values,
            inside=learnt.inside,
            valueless=learnt.valueless,
            wall=_wall(book),
        )
    except Exception as error:  # whatever goes wrong with one submission stays with it
        row.status, row.reason = "failed", f"the grader failed: {type(error).__name__}: {error}"[:300]
        return row
    return _judge(book, row, found)


def _wall(book: Master) -> float:
    """Seconds after which a run cannot be honest any more: every cell to its deadline, and as long for replays."""
    cells = sum(exercise.seconds * (1 + len(book.checks_of(exercise.id))) for exercise in book.exercises)
    return 180.0 + 2 * cells


def _judge(book: Master, row: Row, found: Found) -> Row:
    """Turn the verdicts of a run into points."""
    if found.plan is None:
        row.status, row.reason = "failed", found.trouble or "the grader's process gave no answer"
        return row
    row.notes += list(found.plan["notes"])
    row.answers = dict(found.plan["answers"])
    if "unreadable" in found.plan:
        row.status, row.reason = "unreadable", str(found.plan["unreadable"])
        return row
    if "stranger" in found.plan:
        row.status, row.reason = "other assignment", str(found.plan["stranger"])
        return row
    if found.trouble:
        row.status, row.reason = "stopped", found.trouble
    verdicts = {cell["id"]: cell for cell in found.cells if cell["kind"] == "check"}
    solutions: dict[str, dict[str, Any]] = {}
    cut = sorted({cell["exercise"] for cell in found.cells if cell.get("cut") and cell["exercise"]})
    row.notes += [f"{exercise}: its output was cut at {OUTPUT_LIMIT // 10**6} MB" for exercise in cut]
    for cell in found.cells:
        if cell["kind"] in ("solution", "extra") and cell["verdict"] != "ok":
            solutions.setdefault(cell["exercise"], cell)
    for check in book.checks:
        answered = row.answers.get(check.exercise, {}).get("answered", False)
        cell = verdicts.get(check.id, {"verdict": "not run" if answered else "unanswered"})
        verdict = str(cell["verdict"])
        points = check.points if verdict == "right" else 0.0
        row.exercises[check.exercise] += points
        row.checks.append(
            CheckRow(check.id, check.exercise, points, check.points, verdict, results.problem(cell))
        )
    for exercise in book.exercises:
        if exercise.by_hand:
            answered = row.answers.get(exercise.id, {}).get("answered", False)
            verdict = results.BY_HAND if answered else "unanswered"
            row.checks.append(CheckRow(exercise.id, exercise.id, 0.0, exercise.by_hand, verdict))
    if row.by_hand:
        row.notes.append(f"{row.by_hand:g} points are to be marked by hand")
    row.trouble = {exercise: results.problem(cell) for exercise, cell in solutions.items()}
    row.points = sum(row.exercises.values())
    row.seconds = round(sum(cell.get("seconds", 0.0) for cell in found.cells), 2)
    return row


def _content(book: Master, submission: Submission) -> tuple[bytes | Unreadable, tuple[str, ...]]:
    """Read the submission; of several files the one that has most of the assignment in it, then the newest."""
    if not submission.paths:
        return Unreadable("the folder holds no notebook"), ()
    read: list[tuple[float, float, Path, bytes]] = []
    trouble: Unreadable | None = None
    for path in submission.paths[:20]:
        try:
            content = read_bytes(path)
        except Unreadable as error:
            trouble = trouble or error
            continue
        read.append((_belonging(book, content), path.stat().st_mtime, path, content))
    if not read:
        return trouble or Unreadable("nothing could be read"), ()
    best = max(read, key=lambda item: item[:3])
    notes = (f"{len(submission.paths)} files were handed in, {best[2].name} was taken",)
    return best[3], notes if len(submission.paths) > 1 else ()


def _belonging(book: Master, content: bytes) -> float:
    try:
        submission = notebook.read(content)
    except Unreadable:
        return -1.0
    return -0.5 if stranger(book, submission) else belonging(book, submission)


def _digest(content: bytes | Unreadable) -> str:
    return hashlib.sha256(
        content if isinstance(content, bytes) else f"unreadable: {content}".encode()
    ).hexdigest()
