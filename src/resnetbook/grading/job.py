"""What is to be run for one submission: the master's cells with the student's answers in their places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from resnetbook.grading import master as masters
from resnetbook.grading import notebook
from resnetbook.grading.belonging import stranger
from resnetbook.grading.splice import Answer, find_answers

__all__ = ["Plan", "Step", "plan"]

GIVEN_SECONDS = 120.0
SETUP = "setup"  # the tag of the cell that installs the package, which is here already


@dataclass(frozen=True)
class Step:
    """One cell to run. kind: "given" and "public" (the author's), "extra" and "solution" (the student's) or "check"."""

    kind: str
    source: str
    seconds: float
    id: str = ""
    exercise: str = ""
    rtol: float = 0.0
    atol: float = 0.0
    plain: bool = False


@dataclass(frozen=True)
class Plan:
    """The steps of a run, the kernel's limits, and what is to be said of the match."""

    steps: tuple[Step, ...]
    limits: Mapping[str, int]
    summary: Mapping[str, Any]


def plan(master: bytes, submission: bytes | None, *, mode: str) -> Plan:
    """Lay out a run.

    Args:
        master: bytes of the master notebook.
        submission: bytes of the submission; None for the master's own solutions.
        mode: "grade" runs the answers (none at all if nothing was answered), "stub" runs stubs and their checks,
            "probe" runs, exercise after exercise, the solution, then the stub with the same checks, then the
            solution again, "plain" runs every code cell of a notebook that is no master as it stands.

    Returns:
        The plan; a submission that cannot be read, or is another assignment's, gives one without steps whose summary has
        `unreadable` or `stranger`.
    """
    if mode == "plain":
        cells = [cell for cell in notebook.read(master).code if SETUP not in cell.tags]
        kinds = ["public" if "public" in cell.tags else "given" for cell in cells]
        plain = [Step(k, c.source, GIVEN_SECONDS, c.grade_id) for c, k in zip(cells, kinds, strict=True)]
        return Plan(tuple(plain), masters.limits_of({}), {"answers": {}, "notes": []})
    book = masters.parse(master, strict=False)
    answers = {e.id: _own(e.id, e.cell.source, "master") for e in book.exercises}
    notes: tuple[str, ...] = ()
    if submission is not None:
        try:
            found = notebook.read(submission)
        except notebook.Unreadable as error:
            return Plan((), book.limits, {"unreadable": str(error), "answers": {}, "notes": []})
        notes = found.notes
        if reason := stranger(book, found):
            return Plan((), book.limits, {"stranger": reason, "answers": {}, "notes": list(notes)})
        answers = {answer.exercise: answer for answer in find_answers(book, found)}
    if mode == "stub":
        answers = {e.id: _own(e.id, e.stub, "stub") for e in book.exercises}
    steps: list[Step] = []
    if mode != "grade" or any(not answers[e.id].stub for e in book.exercises if not e.written):
        steps = _steps(book, answers, probe=mode == "probe")
    summary = {
        "answers": {a.exercise: {"how": a.how, "answered": not a.stub} for a in answers.values()},
        "notes": [*notes, *(note for answer in answers.values() for note in answer.notes)],
    }
    return Plan(tuple(steps), book.limits, summary)


def _own(exercise: str, source: str, how: str) -> Answer:
    return Answer(exercise, (("solution", source),), how, stub=False)


def _steps(book: masters.Master, answers: Mapping[str, Answer], *, probe: bool) -> list[Step]:
    exercises = {e.index: e for e in book.exercises}
    checks = {c.index: c for c in book.checks}
    last = {c.exercise: c.index for c in book.checks}
    steps: list[Step] = []
    for index, (cell, kind) in enumerate(zip(book.cells, book.kinds, strict=True)):
        if index in book.preludes:
            steps.append(Step("given", book.preludes[index], GIVEN_SECONDS))
        if kind == "given" and SETUP not in cell.tags:
            steps.append(Step("given", cell.source, GIVEN_SECONDS))
        elif kind == "solution":
            found = exercises[index]
            steps += [
                Step(what, source, found.seconds, found.id if what == "solution" else "", found.id)
                for what, source in answers[found.id].cells
            ]
        elif kind == "check":
            check = checks[index]
            exercise = next(e for e in book.exercises if e.id == check.exercise)
            if any(not answers[name].stub for name in check.needs):
                steps.append(
                    Step(
                        "check",
                        check.source,
                        exercise.seconds,
                        check.id,
                        check.exercise,
                        rtol=check.rtol,
                        atol=check.atol,
                        plain=check.plain,
                    )
                )
            if probe and last[exercise.id] == index:
                again = [
                    replace(s, id=f"{s.id}@stub")
                    for s in steps
                    if s.kind == "check" and s.exercise == exercise.id
                ]
                steps.append(Step("solution", exercise.stub, exercise.seconds, exercise=exercise.id))
                steps += again
                steps.append(Step("solution", exercise.cell.source, exercise.seconds, exercise=exercise.id))
    return steps
