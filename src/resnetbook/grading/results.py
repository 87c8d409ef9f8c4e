"""The files of results: `results.jsonl` (a row a student, everything), `grades.csv`, `assignment.json`.

None of them holds a reference value or the source of a check.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from resnetbook.grading.master import Master

__all__ = [
    "BY_HAND",
    "CheckRow",
    "Row",
    "append_row",
    "problem",
    "read_rows",
    "write_assignment",
    "write_rows",
]

CAGE = "none"
BY_HAND = "to be marked by hand"


@dataclass(frozen=True)
class CheckRow:
    """One check of one student.

    verdict: "right", "wrong", "error", "timeout", "died", "flood", "no value", "two values", "not run", "unanswered",
    or `BY_HAND` for an answer that a person reads.
    """

    id: str
    exercise: str
    points: float
    max_points: float
    verdict: str
    problem: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Row:
    """One student's result.

    status: "graded"; "unreadable" (no cell could be read); "other assignment"; "stopped" (graded as far as it came);
    "failed" (the grader's fault: no points are given, run it again). `path` leads from the folder of the results to the
    submission.
    """

    student: str
    status: str
    path: str = ""
    points: float = 0.0
    max_points: float = 0.0
    exercises: dict[str, float] = field(default_factory=dict)
    checks: list[CheckRow] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)
    trouble: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    reason: str = ""
    cage: str = CAGE
    seconds: float = 0.0
    master: str = ""
    submission: str = ""

    @property
    def by_hand(self) -> float:
        """The points that are still to be given by hand."""
        return sum(check.max_points for check in self.checks if check.verdict == BY_HAND)


def problem(cell: Mapping[str, Any]) -> dict[str, Any]:
    """What may be told of a cell that did not end well: the error's type and text and the student's own lines."""
    return {key: cell[key] for key in ("verdict", "message", "error", "error_text", "lines") if cell.get(key)}


def read_rows(folder: Path) -> list[Row]:
    """Read the rows written so far; a line that broke off is passed over, of two rows of a student the later counts."""
    path = folder / "results.jsonl"
    rows: dict[str, Row] = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                item = json.loads(line)
                item["checks"] = [CheckRow(**check) for check in item["checks"]]
                rows[item["student"]] = Row(**item)
            except (ValueError, TypeError, KeyError):
                continue
    return list(rows.values())


def append_row(row: Row, folder: Path) -> None:
    """Add a row at once: a grading that is cut off goes on from here."""
    with open(folder / "results.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(row), ensure_ascii=False) + "\n")
        file.flush()


def write_rows(book: Master, rows: Sequence[Row], folder: Path) -> None:
    """Write both files anew, atomically; rows of another master are kept beside them."""
    old = [row for row in read_rows(folder) if row.master != book.digest]
    for digest in {row.master for row in old}:
        lines = [json.dumps(asdict(row), ensure_ascii=False) for row in old if row.master == digest]
        write(folder / f"results-{digest[:8]}.jsonl", "\n".join(lines) + "\n")
    write(
        folder / "results.jsonl", "".join(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows)
    )
    write(folder / "grades.csv", grades_csv([e.id for e in book.exercises], rows, by_hand=book.by_hand > 0))


def grades_csv(exercises: Sequence[str], rows: Sequence[Row], *, by_hand: bool = False) -> str:
    """The table of grades: `student,status,<one column for each exercise>,points,max_points`.

    Where the grader failed, or a person is to read the answer, the points are left empty: an empty field is asked about, a
    zero is not. With `by_hand` a last column says how many points a person is still to give.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["student", "status", *exercises, "points", "max_points", *["by_hand"] * by_hand])
    for row in rows:
        points = [row.exercises.get(name, 0.0) for name in exercises] + [row.points]
        shown = [""] * len(points) if row.status == "failed" else [f"{value:g}" for value in points]
        waiting = {check.exercise for check in row.checks if check.verdict == BY_HAND}
        shown = [
            "" if name in waiting else value for name, value in zip([*exercises, ""], shown, strict=True)
        ]
        # A spreadsheet would run an id such as "=1+1" as a formula.
        student = f"'{row.student}" if row.student[:1] in "=+-@" else row.student
        table.writerow([student, row.status, *shown, f"{row.max_points:g}", *[f"{row.by_hand:g}"] * by_hand])
    return text.getvalue()


def write_assignment(
    book: Master, folder: Path, *, left_out: Sequence[str] = (), notes: Sequence[str] = ()
) -> None:
    """Write what a report needs to know of the assignment: titles, points, hints, links into the book.

    Args:
        book: the master.
        folder: the folder of the results.
        left_out: entries among the submissions that are none.
        notes: what the instructor should know of the master.
    """
    assignment = {
        "title": book.title,
        "master": book.digest,
        "exercises": [{"id": e.id, "title": e.title, "seconds": e.seconds} for e in book.exercises],
        "checks": [
            {"id": c.id, "exercise": c.exercise, "points": c.points, "hint": c.hint, "link": c.link}
            for c in book.checks
        ],
        "by_hand": {e.id: e.by_hand for e in book.exercises if e.by_hand},
        "left_out": list(left_out),
        "notes": list(notes),
    }
    write(folder / "assignment.json", json.dumps(assignment, indent=1, ensure_ascii=False) + "\n")


def remarks(folder: Path) -> list[str]:
    """What the instructor should know beside the table: entries left out, the master's notes, who was not graded."""
    assignment = json.loads((folder / "assignment.json").read_text(encoding="utf-8"))
    left_out = assignment.get("left_out", ())
    said = [f"left out, for they are no submissions: {', '.join(left_out)}"] if left_out else []
    said += [f"note: {note}" for note in assignment.get("notes", ())]
    rows = [row for row in read_rows(folder) if row.master == assignment["master"]]
    return said + [f"{row.student}: {row.status}: {row.reason}" for row in rows if row.reason]


def write(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all."""
    partial = path.with_name(path.name + ".part")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
