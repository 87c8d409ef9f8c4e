"""Grade a folder of submissions: one process each, some at a time, a row for every one of them."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from resnetbook.grading import results
from resnetbook.grading.master import Master, load
from resnetbook.grading.notebook import Unreadable
from resnetbook.grading.releasing import references
from resnetbook.grading.results import CheckRow, Row
from resnetbook.grading.run import Found, run
from resnetbook.grading.submissions import Submission, find, read_bytes

__all__ = ["grade"]


def grade(
    master: str | Path,
    submissions: Sequence[str | Path],
    out: str | Path,
    *,
    workers: int = 1,
    secret: bytes | None = None,
    progress: Callable[[Row, int, int], None] | None = None,
) -> list[Row]:
    """Grade submissions against a master and write `results.jsonl` and `grades.csv`.

    A submission that was graded before with the same bytes, against the same master, keeps its row and is not run.

    Args:
        master: the executed master notebook.
        submissions: notebooks, or folders in which each entry is a student's.
        out: folder of the results; made if need be.
        workers: submissions run at the same time, each in processes of its own.
        secret: the seed of the checks' inputs; not supported yet.
        progress: called with each new row, the number of rows done and their total.

    Returns:
        One row for each student, sorted by id: also for those whose notebook could not be read.

    Raises:
        FileNotFoundError: the master or a place of submissions does not exist.
        MasterError: the master must not be graded with.
        ValueError: nothing was handed in, `workers` is not positive, or a secret is given.
    """
    if workers < 1:
        raise ValueError(f"workers: got {workers}, expected a positive number")
    if secret is not None:
        raise ValueError(
            "secret: checks with inputs drawn from a secret seed are not supported by this version"
        )
    book = load(master)
    found = find([Path(place) for place in submissions])
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    results.write_assignment(book, out)
    known = {row.student: row for row in results.read_rows(out) if row.master == book.digest}
    rows = dict(known)
    waiting: list[tuple[Submission, bytes | Unreadable, tuple[str, ...]]] = []
    for submission in found:
        content, notes = _content(book, submission)
        before = known.get(submission.student)
        if before is None or before.status == "failed" or before.submission != _digest(content):
            waiting.append((submission, content, notes))
    if waiting:
        rows.update(_grade_all(book, waiting, out, workers, progress))
    ordered = [rows[student] for student in sorted(rows)]
    results.write_rows(book, ordered, out)
    return ordered


def _grade_all(
    book: Master,
    waiting: Sequence[tuple[Submission, bytes | Unreadable, tuple[str, ...]]],
    out: Path,
    workers: int,
    progress: Callable[[Row, int, int], None] | None,
) -> dict[str, Row]:
    values = references(book) if any(isinstance(content, bytes) for _, content, _ in waiting) else {}
    master, lock = book.path.read_bytes(), threading.Lock()
    rows: dict[str, Row] = {}

    def one(submission: Submission, content: bytes | Unreadable, notes: tuple[str, ...]) -> None:
        row = _grade_one(book, master, values, submission, content, notes)
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
    values: Mapping[str, Any],
    submission: Submission,
    content: bytes | Unreadable,
    notes: tuple[str, ...],
) -> Row:
    row = Row(
        student=submission.student,
        status="graded",
        path=submission.paths[0].name if submission.paths else "",
        master=book.digest,
        submission=_digest(content),
        notes=list(notes),
        max_points=sum(check.points for check in book.checks),
        exercises={e.id: 0.0 for e in book.exercises},
    )
    if isinstance(content, Unreadable):
        row.status, row.reason = "unreadable", str(content)
        return row
    try:
        found = run(master, content, references=values, wall=_wall(book))
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
    if found.trouble:
        row.status, row.reason = "stopped", found.trouble
    verdicts = {cell["id"]: cell for cell in found.cells if cell["kind"] == "check"}
    solutions: dict[str, dict[str, Any]] = {}
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
    row.trouble = {exercise: results.problem(cell) for exercise, cell in solutions.items()}
    row.points = sum(row.exercises.values())
    row.seconds = round(sum(cell.get("seconds", 0.0) for cell in found.cells), 2)
    return row


def _content(book: Master, submission: Submission) -> tuple[bytes | Unreadable, tuple[str, ...]]:
    """Read the submission; of several notebooks the one that carries most of the assignment's ids, then the newest."""
    if not submission.paths:
        return Unreadable("the folder holds no notebook"), ()
    read: list[tuple[int, float, Path, bytes]] = []
    trouble: Unreadable | None = None
    for path in submission.paths[:20]:
        try:
            content = read_bytes(path)
        except Unreadable as error:
            trouble = trouble or error
            continue
        ids = sum(f'"{exercise.id}"'.encode() in content for exercise in book.exercises)
        read.append((ids, path.stat().st_mtime, path, content))
    if not read:
        return trouble or Unreadable("nothing could be read"), ()
    best = max(read, key=lambda item: item[:3])
    notes = (f"{len(submission.paths)} notebooks were handed in, {best[2].name} was taken",)
    return best[3], notes if len(submission.paths) > 1 else ()


def _digest(content: bytes | Unreadable) -> str:
    return hashlib.sha256(
        content if isinstance(content, bytes) else f"unreadable: {content}".encode()
    ).hexdigest()
