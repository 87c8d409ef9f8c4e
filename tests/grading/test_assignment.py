"""The assignments: right answers in other styles, the usual wrong ones, and the released notebooks."""

import ast
import functools
import json
import linecache
import re
import tomllib
import zlib
from pathlib import Path
from typing import Any

import pytest

from resnetbook import grading
from resnetbook.grading.belonging import stranger
from resnetbook.grading.master import Check, Master, load
from resnetbook.grading.notebook import read
from resnetbook.grading.releasing import student_notebook
from resnetbook.grading.values import close, encode

CHAPTERS = Path(__file__).parents[2] / "chapters"

# exercise: (what stands in the solution, what a student writes instead, the checks that this must cost)
ASSIGNMENTS = ("principle", "timeline")
# exercise, what stands in the solution, what a student writes instead, the checks that this must cost
Answer = tuple[str, str, str, set[str]]


def answers(assignment: str, kind: str) -> list[Answer]:
    """Return the answers that answers/*.toml lists for an assignment: "wrong" or "style"."""
    table = tomllib.loads(
        (Path(__file__).parent / "answers" / f"{assignment}.toml").read_text(encoding="utf-8")
    )
    return [(row["exercise"], row["right"], row["given"], set(row.get("costs", ()))) for row in table[kind]]


WRONG = [(assignment, *answer) for assignment in ASSIGNMENTS for answer in answers(assignment, "wrong")]


@functools.cache
def book_of(assignment: str) -> Master:
    return load(CHAPTERS / "assignments" / assignment / "master.ipynb")


@pytest.fixture(params=ASSIGNMENTS)
def book(request: pytest.FixtureRequest) -> Master:
    return book_of(request.param)


def run(source: str, space: dict[str, Any]) -> None:
    """Run a cell so that `inspect.getsource` finds its lines, as in a notebook."""
    name = f"<cell {zlib.crc32(source.encode())}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    exec(compile(source, name, "exec"), space)


class Bench:
    """Runs answers and checks in this process: the kernel's part of the work without a kernel."""

    def __init__(self, book: Master) -> None:
        self.book = book
        self.space: dict[str, Any] = {}
        for cell, kind in zip(book.cells, book.kinds, strict=True):
            if kind == "given" and "setup" not in cell.tags:
                exec(cell.source, self.space)  # the assignment's own cells
        if "chart" in self.space:
            self.space["chart"] = functools.cache(self.space["chart"])  # a patient is the same each time
        self.values = {
            check.id: self.value(check) for e in book.exercises for check in self.checks(e.id, e.cell.source)
        }

    def checks(self, exercise: str, source: str) -> tuple[Check, ...]:
        run(source, self.space)
        return self.book.checks_of(exercise)

    def value(self, check: Check) -> Any:
        *before, last = ast.parse(check.source).body
        assert isinstance(last, ast.Expr)
        exec(compile(ast.Module(before, []), check.id, "exec"), self.space)
        return encode(eval(compile(ast.Expression(last.value), check.id, "eval"), self.space))

    def failing(self, exercise: str, source: str) -> set[str]:
        failed = set()
        for check in self.checks(exercise, source):
            try:
                right = close(self.value(check), self.values[check.id], rtol=check.rtol, atol=check.atol)
            except Exception:
                right = False
            if not right:
                failed.add(check.id)
        return failed


@functools.cache
def bench_of(assignment: str) -> Bench:
    return Bench(book_of(assignment))


@pytest.mark.parametrize(("assignment", "exercise", "right", "wrong", "costs"), WRONG)
def test_the_usual_wrong_answers_cost_their_checks(
    assignment: str, exercise: str, right: str, wrong: str, costs: set[str]
) -> None:
    bench = bench_of(assignment)
    (found,) = [e for e in bench.book.exercises if e.id == exercise]
    assert right in found.cell.source
    assert bench.failing(exercise, found.cell.source.replace(right, wrong)) == costs


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_every_hidden_check_has_three_wrong_answers(assignment: str) -> None:
    given = answers(assignment, "wrong")
    counts = {c.id: sum(c.id in costs for *_, costs in given) for c in book_of(assignment).checks}
    few = {name: count for name, count in counts.items() if count < (2 if name.startswith("ex6") else 3)}
    assert not few


def test_the_form_of_the_assignment(book: Master) -> None:
    assert len(book.exercises) == 6
    assert sum(check.points for check in book.checks) == 40
    assert all(check.hint and check.link for check in book.checks)
    assert any(not check.hidden for check in book.checks)
    pages = {check.link.partition("#")[0] for check in book.checks}
    assert all((CHAPTERS / f"{page}.ipynb").exists() for page in pages), pages


def test_links_lead_to_headings_that_exist(book: Master) -> None:
    for check in book.checks:
        page, _, anchor = check.link.partition("#")
        text = json.loads((CHAPTERS / f"{page}.ipynb").read_text())
        titles = [
            line.lstrip("# ")
            for cell in text["cells"]
            if cell["cell_type"] == "markdown"
            for line in "".join(cell["source"]).splitlines()
            if line.startswith("#")
        ]
        slugs = {re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in titles}
        assert not anchor or anchor in slugs, (check.id, anchor)


def test_the_released_notebook_is_the_masters(book: Master) -> None:
    """`student.ipynb`, which the book shows, is what release makes of this master; hidden checks are not in it."""
    released = json.loads((book.path.parent / "student.ipynb").read_text())
    assert released == student_notebook(book), "release the assignment again: its master has changed"
    assert not any(check.source in json.dumps(released) for check in book.checks if check.hidden)


def test_each_assignment_knows_the_others_notebook(book: Master) -> None:
    for assignment in ASSIGNMENTS:
        other = book_of(assignment)
        notebook = read((other.path.parent / "student.ipynb").read_bytes())
        assert (stranger(book, notebook) == "") is (other is book)


@pytest.mark.slow
@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_the_assignment_is_released_graded_and_reported(assignment: str, tmp_path: Path) -> None:
    book, listed = book_of(assignment), answers(assignment, "wrong")
    folder = tmp_path / "submissions"
    folder.mkdir()
    student = tmp_path / "student.ipynb"
    assert grading.release(book.path, student, strict=True).warnings == ()
    wrong = {exercise: (right, bad) for exercise, right, bad, _ in listed if exercise != "ex6"}
    sources = {e.id: e.cell.source for e in book.exercises}
    styles = {exercise: (right, given) for exercise, right, given, _ in answers(assignment, "style")}
    handed_in = {
        "right": {name: text.replace(*styles.get(name, ("", ""))) for name, text in sources.items()},
        "wrong": {name: sources[name].replace(*wrong[name]) for name in wrong},
        "stub": {},
    }
    for name, given in handed_in.items():
        notebook = json.loads(student.read_text())
        for cell in notebook["cells"]:
            exercise = cell["metadata"].get("nbgrader", {}).get("grade_id")
            cell["source"] = given.get(exercise, cell["source"])
        (folder / f"{name}.ipynb").write_text(json.dumps(notebook))
    rows = {row.student: row for row in grading.grade(book.path, [folder], tmp_path / "out", workers=2)}
    assert rows["right"].points == 40, rows["right"].checks
    lost = {check.id for check in rows["wrong"].checks if check.verdict == "wrong"}
    last = {exercise: costs for exercise, _, _, costs in listed if exercise != "ex6"}
    assert lost == set().union(*last.values())
    assert rows["stub"].points == 0
    page = (grading.report(tmp_path / "out").parent / "feedback" / "wrong.html").read_text()
    assert all(check.hint.split("'")[0][:40] in page for check in book.checks if check.id in lost)
