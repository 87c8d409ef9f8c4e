"""Find a student's answers in their notebook and put them into the master's cells.

An answer is looked for by grader id, then by cell id, then by the name that it must define, then by its place.
Everything that is not an answer comes from the master; the student's own check cells and outputs are never used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from resnetbook.grading.master import Exercise, Master
from resnetbook.grading.names import names_of, same_code
from resnetbook.grading.notebook import Cell, Notebook

__all__ = ["Answer", "find_answers"]


@dataclass(frozen=True)
class Answer:
    """What a student handed in for one exercise.

    `how` says by what it was found ("grader id", "cell id", "name", "position", "missing"); `extras` are the
    sources of cells that the student added and that the answer needs; `stub` is true when nothing was answered.
    """

    exercise: str
    source: str
    how: str
    stub: bool
    extras: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def find_answers(master: Master, submission: Notebook) -> list[Answer]:
    """Match every exercise of the master with the cell of a submission that answers it."""
    code = submission.code
    taken: dict[str, int] = {}
    answers = []
    for exercise in master.exercises:
        index, how, notes = _match(master, exercise, code, set(taken.values()))
        if index is not None:
            taken[exercise.id] = index
        source = code[index].source if index is not None else exercise.stub
        stub = not source.strip() or same_code(source, exercise.stub)
        answers.append(Answer(exercise.id, exercise.stub if stub else source, how, stub, (), tuple(notes)))
    return _with_added_cells(master, code, taken, answers)


def _match(
    master: Master, exercise: Exercise, code: Sequence[Cell], used: set[int]
) -> tuple[int | None, str, list[str]]:
    free = [i for i in range(len(code)) if i not in used]
    others = {e.id for e in master.exercises if e.id != exercise.id}
    by_id = [i for i in free if code[i].grade_id == exercise.id]
    by_cell = [
        i
        for i in free
        if exercise.cell.id and code[i].id == exercise.cell.id and code[i].grade_id not in others
    ]
    given = [cell.source for cell, kind in zip(master.cells, master.kinds, strict=True) if kind != "solution"]
    # The student's own retyped cell: it defines what the exercise asks for and is nobody else's.
    by_name = [
        i
        for i in free
        if exercise.names & names_of(code[i].source).defines
        and code[i].grade_id not in others
        and code[i].grader.get("grade") is not True
        and not any(same_code(code[i].source, source) for source in given)
    ]
    stubs: tuple[int, str] | None = None  # an untouched stub, should no answer be found
    for how, found in (("grader id", by_id), ("cell id", by_cell), ("name", by_name)):
        answered = [
            i for i in found if code[i].source.strip() and not same_code(code[i].source, exercise.stub)
        ]
        naming = [i for i in answered if exercise.names & names_of(code[i].source).defines] or answered
        if naming:
            notes = (
                [] if how == "grader id" else [f"{exercise.id}: found by its {how}, the grader id was lost"]
            )
            if len(answered) > 1:
                notes.append(f"{exercise.id}: {len(answered)} cells answer it, the last one was taken")
            return naming[-1], how, notes
        if found and stubs is None:
            stubs = (found[-1], how)
    if stubs is not None:
        return stubs[0], stubs[1], []
    return _by_position(master, exercise, code, free, given)


def _by_position(
    master: Master, exercise: Exercise, code: Sequence[Cell], free: Sequence[int], given: Sequence[str]
) -> tuple[int | None, str, list[str]]:
    """The last resort: the cell that stands where the released notebook had the answer."""
    released = [
        cell
        for cell, kind in zip(master.cells, master.kinds, strict=True)
        if cell.kind == "code" and not (kind == "check" and "hidden" in cell.tags)
    ]
    place = next(i for i, cell in enumerate(released) if cell is exercise.cell)
    if len(code) == len(released) and place in free and not code[place].grade_id:
        source = code[place].source
        if source.strip() and not any(same_code(source, other) for other in given):
            return place, "position", [f"{exercise.id}: found by its place alone, its ids and name were lost"]
    return None, "missing", [f"{exercise.id}: no cell of the notebook answers it"]


def _with_added_cells(
    master: Master, code: Sequence[Cell], taken: dict[str, int], answers: list[Answer]
) -> list[Answer]:
    """Take along the cells that the student added, where an answer uses a name that only they define."""
    master_sources = [cell.source for cell in master.cells if cell.kind == "code"]
    stubs = [exercise.stub for exercise in master.exercises]
    added = [
        i
        for i, cell in enumerate(code)
        if i not in taken.values()
        and cell.source.strip()
        and cell.grader.get("grade") is not True
        and not any(same_code(cell.source, source) for source in (*master_sources, *stubs))
    ]
    defines = {i: names_of(code[i].source).defines for i in added}
    known: set[str] = set()
    for cell, kind in zip(master.cells, master.kinds, strict=True):
        if kind == "given":
            known |= names_of(cell.source).defines
    result = []
    for answer in answers:
        here: list[int] = []
        wanted = set(names_of(answer.source).uses) - known
        while wanted:  # an added cell may itself need another one
            name = wanted.pop()
            found = [i for i in added if name in defines[i] and i not in here]
            if found and not any(name in defines[i] for i in here):
                here.append(found[-1])
                wanted |= names_of(code[found[-1]].source).uses - known
        notes = answer.notes
        if here:
            notes = (
                *notes,
                f"{answer.exercise}: taken along with {len(here)} cell(s) that the student added",
            )
            known |= {name for i in here for name in defines[i]}
        known |= names_of(answer.source).defines
        extras = tuple(code[i].source for i in sorted(here))
        result.append(Answer(answer.exercise, answer.source, answer.how, answer.stub, extras, notes))
    return result
