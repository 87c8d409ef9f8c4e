"""Where an answer is found, and which added cells go with it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from resnetbook.grading.master import load
from resnetbook.grading.names import names_of
from resnetbook.grading.notebook import read
from resnetbook.grading.splice import Answer, find_answers


@pytest.fixture
def answers(tiny: Path, hand_in: Callable[..., Any]) -> Callable[..., dict[str, Answer]]:
    def find(change: Callable[[list[Any]], Any], **given: str) -> dict[str, Answer]:
        notebook = hand_in(**(given or {"rest": "right"}))
        change(notebook["cells"])
        found = find_answers(load(tiny), read(json.dumps(notebook).encode()))
        return {answer.exercise: answer for answer in found}

    return find


Find = Callable[..., dict[str, Answer]]


def test_by_grader_id(answers: Find) -> None:
    found = answers(lambda cells: cells.reverse())
    assert {answer.how for answer in found.values()} == {"grader id"}
    assert all(not answer.notes for answer in found.values())


def test_by_cell_id(answers: Find) -> None:
    found = answers(lambda cells: [cell.update(metadata={}) for cell in cells])
    assert {answer.how for answer in found.values()} == {"cell id"}
    assert "grader id was lost" in found["ex1"].notes[0]


def test_by_name(answers: Find) -> None:
    found = answers(lambda cells: [cell.update(metadata={}, id="") for cell in cells])
    assert {answer.how for answer in found.values()} == {"name"}
    assert "x + x" in found["ex1"].source


def test_by_position(answers: Find) -> None:
    def change(cells: list[Any]) -> None:
        for cell in cells:
            cell.update(metadata={}, id="")
        cells[2]["source"] = "def doubel(xs):\n    return xs"

    found = answers(change)
    assert (found["ex1"].how, found["ex1"].stub) == ("position", False)


def test_an_untouched_stub_beside_an_answer_in_another_cell(answers: Find) -> None:
    def change(cells: list[Any]) -> None:
        cells.append({"cell_type": "code", "metadata": {}, "source": "def mean(xs):\n    return 1"})

    found = answers(change, ex1="def double(xs): return xs")
    assert (found["ex2"].how, found["ex2"].stub) == ("name", False)
    assert (found["ex3"].how, found["ex3"].stub) == ("grader id", True)


def test_a_stub_with_comments_is_a_stub(answers: Find) -> None:
    found = answers(lambda cells: None, ex1="def double(xs):\n\n    # I do not know\n    ...")
    assert found["ex1"].stub


def test_a_deleted_cell_is_missing(answers: Find) -> None:
    found = answers(lambda cells: cells.pop(2))
    assert (found["ex1"].how, found["ex1"].stub) == ("missing", True)
    assert "no cell of the notebook answers it" in found["ex1"].notes[0]


def test_added_cells_come_with_what_they_need_and_no_other(answers: Find) -> None:
    def change(cells: list[Any]) -> None:
        for source in (
            "import math as m",
            "def twice(x):\n    return m.prod((2, x))",
            "unused = 1",
            "START = 99",
        ):
            cells.insert(2, {"cell_type": "code", "metadata": {}, "source": source})

    found = answers(change, ex1="def double(xs):\n    return [twice(x) + START - START for x in xs]")
    assert found["ex1"].extras == ("def twice(x):\n    return m.prod((2, x))", "import math as m")
    # The master's own START stands: a name that it gives is not taken from the student.


@pytest.mark.parametrize(
    ("source", "defines", "uses"),
    [
        ("import a.b as c, d\nx = [i for i in c]", {"c", "d", "x"}, set()),
        ("def f(x):\n    return g(x) + len(h)", {"f"}, {"g", "h"}),
        ("%matplotlib inline\nclass C(B):\n    y = z", {"C"}, {"B", "z"}),
        ("def broken(:\nx = 1", {"broken", "x"}, set()),
    ],
)
def test_names(source: str, defines: set[str], uses: set[str]) -> None:
    names = names_of(source)
    assert names.defines == defines
    assert uses <= names.uses
    assert not {"len", "i"} & names.uses
