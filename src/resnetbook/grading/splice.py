"""Find a student's answers in their notebook and put them into the master's cells.

An answer is looked for by grader id, then by cell id, then by the names that it must define, then by its place. Cells that
share an exercise's id are its parts, in order. Everything that is not an answer comes from the master; the student's own
check cells and outputs are never used.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from resnetbook.grading.added import added_cells
from resnetbook.grading.master import Exercise, Master
from resnetbook.grading.names import names_of, same_code, statements
from resnetbook.grading.notebook import Cell, Notebook
from resnetbook.grading.syntax import compiles

__all__ = ["Answer", "find_answers"]

_FENCED = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Answer:
    """What a student handed in for one exercise.

    `cells` are ("solution" or "extra", source) in the order in which they are to be run: the parts of the answer, and cells
    that the student added and that it needs. `how` says by what the answer was found ("grader id", "cell id", "name",
    "position", "missing"); `stub` is true when nothing was answered.
    """

    exercise: str
    cells: tuple[tuple[str, str], ...]
    how: str
    stub: bool
    notes: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """The answer itself, its parts joined."""
        return "\n\n".join(source for kind, source in self.cells if kind == "solution")

    @property
    def extras(self) -> tuple[str, ...]:
        """The added cells."""
        return tuple(source for kind, source in self.cells if kind == "extra")


@dataclass
class Found:
    """The parts of an answer: places in the notebook, their sources, and what is to be said of them."""

    exercise: Exercise
    places: list[int] = field(default_factory=list)
    sources: dict[int, str] = field(default_factory=dict)
    how: str = "missing"
    notes: list[str] = field(default_factory=list)


def find_answers(master: Master, submission: Notebook) -> list[Answer]:
    """Match every exercise of the master with the cells of a submission that answer it."""
    cells = submission.cells
    taken: set[int] = set()
    matches = []
    for exercise in master.exercises:
        match = (
            _written(master, exercise, cells) if exercise.written else _match(master, exercise, cells, taken)
        )
        taken.update(match.places)
        matches.append(match)
    joined = [_joined(match) for match in matches]
    extras = added_cells(
        master,
        cells,
        {m.exercise.id: dict(zip(m.places, j, strict=True)) for m, j in zip(matches, joined, strict=True)},
    )
    return [_answer(match, extras.get(match.exercise.id, [])) for match in matches]


def _answer(match: Found, order: Sequence[tuple[str, str]]) -> Answer:
    exercise, notes = match.exercise, list(match.notes)
    own = [source for kind, source in order if kind == "solution"]
    stub = all(not source.strip() or same_code(source, exercise.stub) for source in own)
    extras = [source for kind, source in order if kind == "extra"]
    if exercise.written:
        text = "\n\n".join(match.sources.values())
        stub = not exercise.task and _words(text) in ("", _words(exercise.stub))
        return Answer(exercise.id, (("solution", text),), match.how, stub, tuple(notes))
    answered_beside = stub and any(exercise.names & names_of(source).defines for source in extras)
    if stub and not answered_beside:
        return Answer(exercise.id, (("solution", exercise.stub),), match.how, True, tuple(notes))
    missing = exercise.names - _defined(own, exercise)
    beside = sorted(name for name in missing if any(name in names_of(source).defines for source in extras))
    if beside:
        names = ", ".join(beside)
        notes = [note for note in notes if "no cell of the notebook answers it" not in note]
        verb = "was" if len(beside) == 1 else "were"
        notes.append(f"{exercise.id}: {names} {verb} taken from a cell beside the answer's own")
    if extras:
        notes.append(f"{exercise.id}: taken along with {len(extras)} cell(s) that the student added")
    if not any(kind == "solution" for kind, _ in order):
        order = [("solution", exercise.stub), *order]
    return Answer(exercise.id, tuple(order), match.how, False, tuple(notes))


def _defined(sources: Sequence[str], exercise: Exercise) -> set[str]:
    """The names that the sources define, those aside whose definition is still the stub's."""
    empty = statements(exercise.stub)
    defined: set[str] = set()
    for source in sources:
        own = statements(source)
        defined |= {n for n in names_of(source).defines if n not in empty or own.get(n) != empty[n]}
    return defined


def _match(master: Master, exercise: Exercise, cells: Sequence[Cell], used: set[int]) -> Found:
    others = {e.id: e.names for e in master.exercises if e.id != exercise.id}
    free = [i for i in range(len(cells)) if i not in used]
    given = [cell.source for cell, kind in zip(master.cells, master.kinds, strict=True) if kind != "solution"]

    def by_name(index: int) -> bool:
        """It is the student's own cell, and defines what this exercise asks for rather than what another does."""
        cell, defines = cells[index], names_of(cells[index].source).defines
        shares = {
            e.id: len(e.names & defines) / max(1, len(e.names)) for e in master.exercises if not e.written
        }
        return (
            bool(exercise.names & defines)
            and shares[exercise.id] == max(shares.values())
            and (cell.kind == "code" or compiles(cell.source))
            and not (cell.grade_id in others and others[cell.grade_id] & defines)
            and not cell.grader.get("grade")
            and not any(same_code(cell.source, source) for source in given)
        )

    def another(index: int) -> bool:
        """It is a copy of this exercise's cell in which another exercise was answered."""
        defines = names_of(cells[index].source).defines
        return not exercise.names & defines and any(e.names & defines for e in master.exercises)

    by_id = [i for i in free if cells[i].grade_id == exercise.id]
    ways = {
        "grader id": [i for i in by_id if not another(i)] or by_id[:1],
        "cell id": [
            i
            for i in free
            if exercise.cell.id and cells[i].id == exercise.cell.id and cells[i].grade_id not in others
        ],
        "name": [i for i in free if by_name(i)],
    }
    stub: Found | None = None  # an untouched stub, should no answer be found
    for how, places in ways.items():
        found = _parts(exercise, cells, places, how)
        if found.places:
            if stub is not None:
                text = f"its own cell was left as it was, the answer was found by its {how}"
                found.notes.insert(0, f"{exercise.id}: {text}")
            elif how != "grader id":
                found.notes.insert(0, f"{exercise.id}: found by its {how}, the grader id was lost")
            return found
        if places and stub is None:
            stub = Found(exercise, places[-1:], {places[-1]: exercise.stub}, how)
    return stub or _by_position(master, exercise, cells, free, given)


def _parts(exercise: Exercise, cells: Sequence[Cell], places: Sequence[int], how: str) -> Found:
    """The cells among some candidates that are parts of the answer; a cell that is no code any more may be one."""
    found = Found(exercise, how=how)
    for index in places:
        source = cells[index].source
        if cells[index].kind == "code" and source.strip() and not same_code(source, exercise.stub):
            found.sources[index] = source
    missing = exercise.names - _defined(list(found.sources.values()), exercise)
    for index in places:
        cell = cells[index]
        source = (
            cell.source if compiles(cell.source) else "\n\n".join(_FENCED.findall(cell.source)) or cell.source
        )
        if cell.kind == "code" or not source.strip() or same_code(source, exercise.stub):
            continue
        if not found.sources or (compiles(source) and names_of(source).defines & missing):
            found.sources[index] = source
            found.notes.append(
                f"{exercise.id}: its cell had been turned into a {cell.kind} cell, it was read as code"
            )
    found.places = sorted(found.sources)
    if len(found.places) > 1:
        found.notes.append(f"{exercise.id}: {len(found.places)} cells answer it, they were joined in order")
    return found


def _joined(match: Found) -> list[str]:
    """The parts as they are to be run: apart, or where a function was cut in two, as one."""
    parts = [match.sources[index] for index in match.places]
    if len(parts) > 1 and not all(_whole(part) for part in parts) and compiles("\n".join(parts)):
        return ["\n".join(parts), *[""] * (len(parts) - 1)]
    return parts


def _whole(source: str) -> bool:
    first = next((line for line in source.split("\n") if line.strip()), "")
    return compiles(source) and not first[:1].isspace()


def _written(master: Master, exercise: Exercise, cells: Sequence[Cell]) -> Found:
    """The cells of an answer in words, whatever they have been turned into.

    Where its own cell is blank or lost, cells of text that the student added may be the answer: a person is to look.
    """
    own = {_words(text) for text in master.released}
    texts = [
        i for i, cell in enumerate(cells) if cell.kind != "code" and _words(cell.source) not in own | {""}
    ]
    for how, places in (
        ("grader id", [i for i, cell in enumerate(cells) if cell.grade_id == exercise.id]),
        ("cell id", [i for i, cell in enumerate(cells) if exercise.cell.id and cell.id == exercise.cell.id]),
    ):
        if places:
            notes = [
                f"{exercise.id}: its cell had been turned into a {cells[i].kind} cell, it was read all the same"
                for i in places
                if cells[i].kind != exercise.cell.kind
            ]
            below = max(places) + 1
            if (
                not exercise.task
                and below in texts
                and all(_words(cells[i].source) in own | {""} for i in places)
            ):
                notes.append(
                    f"{exercise.id}: its own cell is blank, the cell below it was taken for the answer"
                )
                places = [below]
            return Found(exercise, places, {i: cells[i].source for i in places}, how, notes)
    if exercise.task:
        return Found(exercise)
    free = [i for i in texts if not cells[i].grade_id]
    words = ", it may be among the cells that the student added" if free else ""
    notes = [f"{exercise.id}: no cell of the notebook answers it{words}"]
    return Found(exercise, [], {i: cells[i].source for i in free}, "missing", notes)


def _words(text: str) -> str:
    return " ".join(text.split())


def _by_position(
    master: Master, exercise: Exercise, cells: Sequence[Cell], free: Sequence[int], given: Sequence[str]
) -> Found:
    """The last resort: the cell that stands where the released notebook had the answer."""
    released = [
        cell
        for cell, kind in zip(master.cells, master.kinds, strict=True)
        if cell.kind == "code" and not (kind == "check" and "hidden" in cell.tags)
    ]
    code = [index for index, cell in enumerate(cells) if cell.kind == "code"]
    place = next(i for i, cell in enumerate(released) if cell is exercise.cell)
    if len(code) == len(released) and code[place] in free and not cells[code[place]].grade_id:
        source = cells[code[place]].source
        if source.strip() and not any(same_code(source, other) for other in given):
            notes = [f"{exercise.id}: found by its place alone, its ids and name were lost"]
            return Found(exercise, [code[place]], {code[place]: source}, "position", notes)
    return Found(exercise, notes=[f"{exercise.id}: no cell of the notebook answers it"])
