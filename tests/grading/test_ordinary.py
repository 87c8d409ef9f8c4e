"""An ordinary source notebook of nbgrader: released, graded, attacked. One release and one batch serve all tests."""

import ast
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from resnetbook import cli, grading
from resnetbook.grading.checks import sent
from resnetbook.grading.master import MasterError, load, parse
from resnetbook.grading.names import names_of
from resnetbook.grading.notebook import read
from resnetbook.grading.releasing import Released, student_notebook
from resnetbook.grading.results import BY_HAND, Row
from resnetbook.grading.sharing import prelude
from resnetbook.grading.splice import find_answers


def cell(kind: str, source: str, name: str = "", **grader: Any) -> dict[str, Any]:
    metadata = {"nbgrader": {"schema_version": 3, "grade_id": name, **grader}} if name else {}
    made = {"cell_type": kind, "source": source.splitlines(keepends=True), "metadata": metadata}
    return {**made, "outputs": [], "execution_count": None} if kind == "code" else made


def answer(name: str, source: str, **grader: Any) -> dict[str, Any]:
    return cell("code", source, name, **{"solution": True, "grade": False, "locked": False, **grader})


def graded(name: str, points: float, source: str) -> dict[str, Any]:
    return cell("code", source, name, solution=False, grade=True, locked=True, points=points)


CELLS = [
    cell("markdown", "# Problem set 1", "head", solution=False, grade=False, locked=True),
    cell("code", "import math\n%precision 4"),
    answer(
        "squares",
        '%%time\ndef squares(n):\n    """Squares of 1 to n."""\n    # BEGIN SOLUTION\n'
        "    if n < 1:\n        raise ValueError('n')\n    return [i ** 2 for i in range(1, n + 1)]\n    # END SOLUTION",
    ),
    cell("code", "squares(3)"),
    graded(
        "squares-a",
        2,
        '"""Visible, and hidden."""\nfrom unittest import TestCase\nassert_equal = TestCase().assertEqual\n'
        "assert squares(2) == [1, 4]\n### BEGIN HIDDEN TESTS\nassert squares(7)[-1] == 49\n### END HIDDEN TESTS",
    ),
    graded("squares-b", 1, "try:\n    squares(0)\nexcept ValueError:\n    pass\nelse:\n    raise AssertionError"),
    answer("total", "def total(n):\n    ### begin solution\n    return float(sum(squares(n)))\n    ### End Solution"),
    graded("total-a", 1, "%time assert_equal(total(3), 14.0)\nassert math.isclose(total(2), 5)\nprint('passed')"),
    graded("total-b", 3, "for n in (1, 2):\n    assert total(n) >= n, 'too small'\nsquares(n)[1] + 2 + total(n) * 2"),
    answer("limit", "limit = 42\nscratch = [limit]"),
    graded("limit-a", 2, "assert limit == 42"),
    cell("markdown", "The model answer, with $x^2$.", "words", solution=True, grade=True, locked=False, points=4),
    answer("story", "def story():\n    return 'the model code'", grade=True, points=3),
    cell("code", "story()"),
    cell(
        "markdown", "Prove it.\n### BEGIN MARK SCHEME\n2 points for a base case\n### END MARK SCHEME",
        "task", solution=False, grade=False, locked=True, task=True, points=5,
    ),
]  # fmt: skip
AUTOMATIC, BY_PERSON = 9.0, 12.0

RIGHT = {
    "squares": "def squares(n):\n    if n < 1:\n        raise ValueError\n    return [k * k for k in range(1, n + 1)]",
    "total": "def total(n):\n    return sum(squares(n))",
    "limit": "limit = 6 * 7",
    "words": "Because of Pythagoras.",
    "story": "def story():\n    return 1",
}
WRONG = "def squares(n):\n    return {0}\ndef total(n):\n    return {0}\nlimit = {0}"
HOSTILE = {
    "always_equal": "class Any:\n    __eq__ = __ge__ = lambda a, b: True\n    __module__ = 'math'\n"
    "    def __getitem__(self, i): return self\n    __add__ = __mul__ = __float__ = __getitem__\n"
    + WRONG.format("Any()"),
    "no_asserts": "import ast\nclass Strip(ast.NodeTransformer):\n    visit_Assert = lambda self, node: None\n"
    "get_ipython().ast_transformers.append(Strip())\n" + WRONG.format("None"),
    "never_run": "from IPython.core.interactiveshell import ExecutionResult\nshell = get_ipython()\n"
    "shell.run_cell = lambda *a, **k: ExecutionResult(None)\n"
    "async def fine(*a, **k): return ExecutionResult(None)\nshell.run_cell_async = fine\n" + WRONG.format("None"),
    "silent": "get_ipython().showtraceback = lambda *a, **k: None\n" + WRONG.format("None"),
    "guesses": "def squares(n):\n    from IPython.display import publish_display_data as show\n"
    "    for value in (True, None, [], 1.0):\n        show({'application/x-resnetbook-value+json': value})\n"
    "    return None\ntotal = squares\nlimit = 0",
    "own_assert_equal": "import unittest, math\nunittest.TestCase.assertEqual = lambda *a: None\n"
    "math.isclose = lambda *a, **k: True\n" + WRONG.format("3"),
}  # fmt: skip


def source_notebook() -> dict[str, Any]:
    metadata = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
    return {"nbformat": 4, "nbformat_minor": 4, "metadata": metadata, "cells": json.loads(json.dumps(CELLS))}


def handed_in(released: dict[str, Any], answers: dict[str, str]) -> dict[str, Any]:
    notebook: dict[str, Any] = json.loads(json.dumps(released))
    for item in notebook["cells"]:
        name = item["metadata"].get("nbgrader", {}).get("grade_id", "")
        item["source"] = answers.get(name, item["source"])
    return notebook


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Released, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("ordinary")
    master = folder / "source.ipynb"
    master.write_text(json.dumps(source_notebook()))
    made = grading.release(master, folder / "student.ipynb")
    return master, made, json.loads((folder / "student.ipynb").read_text())


@pytest.fixture(scope="module")
def rows(released: tuple[Path, Released, dict[str, Any]]) -> dict[str, Row]:
    master, _, notebook = released
    folder = master.parent / "submissions"
    folder.mkdir()
    submissions = {
        "right": RIGHT,
        "wrong": {**RIGHT, "squares": "def squares(n):\n    return [1, 5]"},
        "second_alone": {
            "total": "def total(n):\n    return n * (n + 1) * (2 * n + 1) / 6",
            "words": "only this",
        },
        "nothing": {},
        **{name: {"squares": source} for name, source in HOSTILE.items()},
    }
    for name, answers in submissions.items():
        answers = (
            {"total": "total = total", "limit": "limit = limit", **answers} if name in HOSTILE else answers
        )
        (folder / f"{name}.ipynb").write_text(json.dumps(handed_in(notebook, answers)))
    return {row.student: row for row in grading.grade(master, [folder], master.parent / "out", workers=2)}


def test_an_ordinary_notebook_is_released_with_all_its_points(released: Any) -> None:
    _, made, notebook = released
    assert (made.points, made.by_hand, made.exercises) == (AUTOMATIC + BY_PERSON, BY_PERSON, 6)
    sources = ["".join(item["source"]) for item in notebook["cells"]]
    assert len(sources) == len(CELLS)
    text = json.dumps(notebook)
    for secret in (
        "range(1, n",
        "== 49",
        "sum(squares",
        "42\\n",
        "model answer",
        "model code",
        "base case",
        "BEGIN",
    ):
        assert secret not in text, secret
    assert "assert squares(2) == [1, 4]" in sources[4]
    assert sources[2].startswith("%%time\ndef squares(n):")
    assert "...  # your answer" in sources[2]


@pytest.mark.parametrize(
    "words",
    [
        "squares-a, squares-b, total-a, total-b, limit-a: the check was not executed",
        "squares-a, squares-b, limit-a: the check does not end in an expression",
        "limit: no ### BEGIN SOLUTION in a solution cell",
        "squares-a: another cell (cell 8) needs its name 'assert_equal'",
        "of the student's notebook end",
    ],
)
def test_the_rules_of_the_house_are_notes(released: Any, words: str) -> None:
    assert any(words in warning for warning in released[1].warnings), released[1].warnings


def test_they_are_errors_where_the_rules_are_strict(released: Any) -> None:
    master = released[0]
    with pytest.raises(MasterError) as caught:
        grading.release(master, master.parent / "never.ipynb", strict=True)
    assert "squares-a: the check does not end in an expression" in str(caught.value)
    for command in (["release", str(master)], ["grade", str(master), str(master)]):
        assert cli.main([*command, "-o", str(master.parent / "never"), "--strict"]) == 2
    assert not (master.parent / "never").exists()
    assert not (master.parent / "never.ipynb").exists()


@pytest.mark.parametrize(
    ("student", "points"),
    [
        ("right", {"squares": 3, "total": 4, "limit": 2}),
        ("wrong", {"squares": 0, "total": 0, "limit": 2}),
        (
            "second_alone",
            {"squares": 0, "total": 1, "limit": 0},
        ),  # assert_equal comes from a check that is not run
        ("nothing", {"squares": 0, "total": 0, "limit": 0}),
    ],
)
def test_a_check_that_raises_nothing_is_worth_its_points(
    rows: dict[str, Row], student: str, points: dict[str, float]
) -> None:
    assert rows[student].max_points == AUTOMATIC + BY_PERSON
    assert {name: rows[student].exercises[name] for name in points} == points, rows[student].checks


@pytest.mark.parametrize("name", HOSTILE)
def test_an_answer_that_is_wrong_gains_nothing_by_force(rows: dict[str, Row], name: str) -> None:
    assert rows[name].points == 0, [(c.id, c.verdict) for c in rows[name].checks]


def test_what_a_person_marks_stands_apart(rows: dict[str, Row], released: Any) -> None:
    verdicts = {name: {c.id: c.verdict for c in rows[name].checks} for name in rows}
    assert [verdicts["right"][name] for name in ("words", "story", "task")] == [BY_HAND] * 3
    assert [verdicts["second_alone"][name] for name in ("words", "story")] == [BY_HAND, "unanswered"]
    assert (rows["right"].points, rows["right"].by_hand) == (AUTOMATIC, BY_PERSON)
    assert any("12 points are to be marked by hand" in note for note in rows["right"].notes)
    table = (released[0].parent / "out" / "grades.csv").read_text().splitlines()
    assert table[0] == "student,status,squares,total,limit,words,story,task,points,max_points,by_hand"
    assert "right,graded,3,4,2,,,,9,21,12" in table
    assert "nothing,graded,0,0,0,0,0,,0,21,5" in table
    page = (grading.report(released[0].parent / "out").parent / "feedback" / "right.html").read_text()
    assert "9 of 21 points</strong>, and 12 more are to be marked by hand" in page


def without_id(notebook: dict[str, Any], source: str) -> None:
    """Let the answer in words stand in a cell of its own, without metadata."""
    notebook["cells"][11] = cell("markdown", source)


WRITTEN: dict[str, tuple[Callable[[dict[str, Any]], Any], bool, str]] = {
    "untouched": (lambda n: None, False, ""),
    "answered": (lambda n: n["cells"][11].update(source="Mine."), True, ""),
    "as code": (lambda n: n["cells"][11].update(source="Mine.", cell_type="code"), True, "turned into a code cell"),
    "raw": (lambda n: n["cells"][11].update(source="Mine.", cell_type="raw"), True, "turned into a raw cell"),
    "below": (lambda n: n["cells"].insert(12, cell("markdown", "Mine.")), True, "the cell below it was taken"),
    "blank, code below": (lambda n: n["cells"].insert(12, cell("code", "1 + 1")), False, ""),
    "split": (
        lambda n: n["cells"].insert(12, {**n["cells"][11], "source": "Mine."}), True, "",
    ),
    "lost": (lambda n: without_id(n, "Mine."), True, "may be among the cells that the student added"),
    "deleted": (lambda n: n["cells"].pop(11), False, "no cell of the notebook answers it"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITTEN)
def test_an_answer_in_words_is_never_zero_unseen(name: str) -> None:
    book = parse(json.dumps(source_notebook()).encode(), strict=False)
    notebook = student_notebook(book)
    change, answered, words = WRITTEN[name]
    change(notebook)
    found = next(a for a in find_answers(book, read(json.dumps(notebook).encode())) if a.exercise == "words")
    assert found.stub is not answered
    assert any(words in note for note in found.notes) if words else found.notes == ()
    assert ("Mine." in found.source) is answered


ACCEPTED = (
    "%matplotlib inline\nassert squares(2)[0] == 1",
    "%%time\nassert squares(2)",
    "%%capture out\nassert squares(2)",
    "files = !ls\nassert squares(2)",
    "squares?\nassert squares(2)",
    "assert squares(2)\nawait wait()",
    "assert squares(2) == [1, (17\n% 13)]",
    "  assert squares(2)",
)


@pytest.mark.parametrize("source", ACCEPTED)
@pytest.mark.parametrize("place", [4, 2])
def test_source_is_read_as_ipython_reads_it(source: str, place: int) -> None:
    notebook = source_notebook()
    notebook["cells"][place]["source"] = source
    book = parse(json.dumps(notebook).encode(), strict=False)
    compile(
        sent(book.cells[place].source, "token").source, "check", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    )


BREACHES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "language": (lambda n: n["metadata"]["kernelspec"].update(language="R"), "its language is R"),
    "no points": (lambda n: n["cells"][4]["metadata"]["nbgrader"].pop("points"), "squares-a: points are None"),
    "twice": (lambda n: n["cells"][5]["metadata"]["nbgrader"].update(grade_id="squares-a"), "squares-a: .* twice"),
    "a markdown check": (
        lambda n: n["cells"][11]["metadata"]["nbgrader"].update(solution=False),
        "words: a markdown cell cannot be a check",
    ),
    "hidden cell": (lambda n: n["cells"][3]["metadata"].update(tags=["hidden"]), "cell 4: the tag hidden"),
    "autotest": (lambda n: n["cells"][5].update(source="### AUTOTEST squares(2)"), "squares-b: AUTOTEST"),
    "nothing": (lambda n: n.update(cells=n["cells"][:2]), "there is no solution cell"),
    "format": (lambda n: n.update(cells={}, worksheets=[{"cells": n["cells"]}]), "format 4"),
}  # fmt: skip


@pytest.mark.parametrize("name", BREACHES)
def test_what_cannot_be_graded_is_refused_even_so(name: str) -> None:
    notebook = source_notebook()
    change, words = BREACHES[name]
    change(notebook)
    with pytest.raises(MasterError, match=words):
        parse(json.dumps(notebook).encode(), strict=False)


def test_a_check_belongs_to_the_answers_that_it_uses(released: Any) -> None:
    book = load(released[0], strict=False)
    assert {c.id: c.exercise for c in book.checks} == {
        "squares-a": "squares",
        "squares-b": "squares",
        "total-a": "total",
        "total-b": "total",
        "limit-a": "limit",
    }
    assert next(c for c in book.checks if c.id == "total-b").needs == ("squares", "total")
    assert book.preludes.keys() == {4}
    assert "assert squares" not in book.preludes[4]
    assert "assert_equal" in book.preludes[4]


def test_a_prelude_runs_no_answer() -> None:
    source = "import math as m\nxs = [m.pi]\nys = [squares(x) for x in xs]\ndef near(a):\n    return squares(a)\nassert ys"
    wanted = frozenset({"xs", "ys", "near"})
    made = prelude(source, wanted, frozenset({"squares"}))
    assert names_of(made).defines == {"m", "xs", "near"}
    assert prelude("x = (", wanted, frozenset()) == ""
