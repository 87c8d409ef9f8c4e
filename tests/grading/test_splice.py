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
from resnetbook.grading.syntax import python_of


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


def cell(source: str, kind: str = "code", **metadata: Any) -> dict[str, Any]:
    return {"cell_type": kind, "source": source, "metadata": metadata}


def at(cells: list[Any], name: str) -> int:
    return next(i for i, c in enumerate(cells) if c["metadata"].get("nbgrader", {}).get("grade_id") == name)


def split(parts: list[str], *, ids: bool, between: str = "") -> Callable[[list[Any]], None]:
    """Put the answer of exercise 1 into several cells, as JupyterLab's "split cell" does, or without its metadata."""

    def change(cells: list[Any]) -> None:
        place = at(cells, "ex1")
        own = cells[place]["metadata"]
        new = [cell(part, **(own if ids or number == 0 else {})) for number, part in enumerate(parts)]
        if between:
            new.insert(1, cell(between))
        cells[place : place + 1] = new

    return change


def beside(*sources: str, before: bool = True) -> Callable[[list[Any]], None]:
    """Add cells around the answer of exercise 1."""

    def change(cells: list[Any]) -> None:
        place = at(cells, "ex1") + (not before)
        cells[place:place] = [cell(source) for source in sources]

    return change


def retyped(kind: str, source: str = "") -> Callable[[list[Any]], None]:
    def change(cells: list[Any]) -> None:
        found = cells[at(cells, "ex1")]
        found.update(cell_type=kind, source=source or found["source"])

    return change


HEAD = "def half(x):\n    return x / 2"
TAIL = "def double(xs):\n    return [half(4 * x) for x in xs]"
STUB = "def double(xs):\n    ...  # your answer"

# name: (answer of exercise 1, change, words of a note); in each of them double doubles
KINDS: dict[str, tuple[str, Callable[[list[Any]], None], str]] = {
    "split": ("", split([HEAD, TAIL], ids=True), "2 cells answer it, they were joined in order"),
    "split in three": ("", split(["import math", HEAD, TAIL], ids=True), "3 cells answer it"),
    "split, helper last": ("", split([TAIL, HEAD], ids=True), "2 cells answer it"),
    "split without metadata": ("", split([HEAD, TAIL], ids=False), "double was taken from a cell beside"),
    "split around a cell": ("", split(["a = 2", "def double(xs):\n    return [a * b * x for x in xs]"], ids=True, between="b = 1"), "2 cells"),
    "split within a function": ("", split(["def double(xs):\n    ys = [2 * x for x in xs]", "    return ys"], ids=True), "2 cells"),
    "split within a loop": ("", split(["def double(xs):\n    ys = []\n    for x in xs:", "        ys.append(2 * x)\n    return ys"], ids=True), "2 cells"),
    "split behind a magic": ("", split([HEAD, "%%time\n" + TAIL], ids=True), "2 cells"),
    "split, the stub copied": ("", split([HEAD + "\n" + TAIL, STUB], ids=True), ""),
    "split, an experiment in the second": (TAIL.replace("half(4 * x)", "2 * x"), split([TAIL.replace("half(4 * x)", "2 * x"), "double([1, 2])"], ids=True), "2 cells"),
    "stub left, answered below": (STUB, beside(HEAD, TAIL, before=False), "its own cell was left as it was, the answer was found by its name"),
    "stub left, answered above": (STUB, beside(HEAD, TAIL), "found by its name"),
    "half left as stub": (HEAD + "\n" + STUB, beside(TAIL, before=False), "beside"),
    "answered again below": ("def double(xs):\n    return xs", beside("def double(xs):\n    return [2 * x for x in xs]", before=False), "taken along"),
    "markdown": (HEAD + "\n" + TAIL, retyped("markdown"), "had been turned into a markdown cell"),
    "raw": (HEAD + "\n" + TAIL, retyped("raw"), "had been turned into a raw cell"),
    "fenced": ("", retyped("markdown", "My answer:\n```python\n" + HEAD + "\n" + TAIL + "\n```\nDone."), "markdown cell"),
    "second part retyped": ("", lambda cells: (split([HEAD, TAIL], ids=True)(cells), cells[at(cells, "ex1") + 1].update(cell_type="raw")), "raw cell"),
    "explained in markdown": ("", lambda cells: (split([HEAD + "\n" + TAIL, "Why this is right"], ids=True)(cells), cells[at(cells, "ex1") + 1].update(cell_type="markdown")), ""),
    "star import": ("def double(xs):\n    return [2 * x + floor(0.5) for x in xs]", beside("from math import *"), "taken along with 1 cell(s)"),
    "filled in the next cell": ("def double(xs):\n    return [table[2] * x for x in xs]", beside("table = {}", "table[2] = 2"), "taken along with 2"),
    "filled by a function": ("def double(xs):\n    return [table[2] * x for x in xs]", beside("table = {}", "def fill():\n    table[2] = 2", "fill()"), "with 3"),
    "filled in a loop below": ("def double(xs):\n    return [table[2] * x for x in xs]", beside("table = {}\nfor i in range(3):\n    table[i] = i", before=False), "with 1"),
    "a question": ("import math\ndef double(xs):\n    return [half(4 * x) for x in xs]\nmath.floor?", beside(HEAD), "with 1"),
    "a shell command": ("files = !ls\ndef double(xs):\n    return [half(4 * x) for x in xs]", beside(HEAD), "with 1"),
    "a continued line": ("def double(xs):\n    return [half(4 * x) + (7\n% 7) for x in xs]", beside(HEAD), "with 1"),
    "a timed cell": ("%%time\ndef double(xs):\n    return [half(4 * x) for x in xs]", beside("%time\n" + HEAD), "with 1"),
    "a decorator": ("@same\ndef double(xs):\n    return [2 * x for x in xs]", beside("def same(f):\n    return f", before=False), "with 1"),
    "a class patched below": ("class D:\n    pass\ndef double(xs):\n    return D.f(xs)", beside("D.f = lambda xs: [2 * x for x in xs]", before=False), "with 1"),
    "awaited": ("async def two():\n    return 2\ndef double(xs):\n    return [half(4 * x) for x in xs]\nawait two()", beside(HEAD), "with 1"),
    "an edited cell of the master": ("def double(xs):\n    return [m.floor(2 * x) for x in xs]", lambda cells: cells[1].update(source="START = 99\nimport math as m"), "with 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_an_answer_is_put_together_from_its_cells(answers: Find, name: str) -> None:
    given, change, words = KINDS[name]
    found = answers(change, ex1=given or "unused = 0", rest="right")["ex1"]
    assert not found.stub
    space: dict[str, Any] = {"START": 10}
    for _, source in found.cells:
        try:
            text = python_of(source).replace("await two()", "").replace("get_ipython()", "None and None")
            exec(text, space)
        except (NameError, AttributeError):  # an experiment, or a magic where there is no IPython
            continue
    assert space["double"]([3, 4]) == [6, 8]
    assert space["START"] == 10
    assert (
        any(words in note for note in found.notes) if words else not any("turned" in n for n in found.notes)
    )


@pytest.mark.parametrize("left", [STUB, "", " \n"])
def test_a_cell_of_text_without_an_answer_is_a_stub(answers: Find, left: str) -> None:
    """What was never filled in, or was emptied, is no answer because its cell is no code any more."""
    found = answers(
        lambda cells: cells[at(cells, "ex1")].update(cell_type="markdown", source=left), rest="right"
    )["ex1"]
    assert (found.how, found.stub, found.notes) == ("grader id", True, ())


def test_parts_that_stand_by_themselves_stay_apart(answers: Find) -> None:
    """A magic of a whole cell must stand first in it, and a part that fails must not take the others with it."""
    for parts in (
        [HEAD, "%%time\n" + TAIL],
        [HEAD + "\n" + TAIL, "1 +"],
        ["import math", "1 / 0", HEAD + "\n" + TAIL],
    ):
        assert answers(split(parts, ids=True), ex1="unused = 0")["ex1"].cells == tuple(
            ("solution", p) for p in parts
        )


def test_of_cells_with_one_id_the_one_that_defines_the_names_counts(answers: Find) -> None:
    """An experiment with a copied id hides the answer neither before nor behind it."""
    for parts in (["print(1)", TAIL], [TAIL, "print(1)"]):
        found = answers(split(parts, ids=True), ex1="unused = 0")["ex1"]
        assert TAIL in found.source
        assert not found.stub


def test_a_copied_cell_may_answer_another_exercise(answers: Find) -> None:
    def change(cells: list[Any]) -> None:
        own = cells[at(cells, "ex1")]["metadata"]
        cells.insert(at(cells, "ex2") + 1, cell("def mean(xs):\n    return sum(xs) / len(xs)", **own))

    found = answers(change, ex1=TAIL.replace("half(4 * x)", "2 * x"))
    assert [found[name].how for name in ("ex1", "ex2")] == ["grader id", "name"]
    assert "mean" not in found["ex1"].source
    assert "return sum(xs)" in found["ex2"].source


def test_a_students_check_cell_is_never_taken_along(answers: Find) -> None:
    """Its grader's mark is enough: what an edited check defines serves no answer."""

    def change(cells: list[Any]) -> None:
        cells[at(cells, "ex3-a")]["source"] = "def half(x):\n    return x / 2"

    found = answers(change, ex1=TAIL)["ex1"]
    assert found.extras == ()
    cheat = answers(lambda cells: (change(cells), cells[at(cells, "ex3-a")].update(metadata={})), ex1=TAIL)[
        "ex1"
    ]
    assert cheat.extras == ("def half(x):\n    return x / 2",)  # without the mark it is a cell like any other


def test_what_no_answer_needs_is_left_alone(answers: Find) -> None:
    added = (
        "unused = 1",
        "import matplotlib.pyplot as plt\nplt.plot([1])",
        "print(double([1]))",
        "x = double([2])",
        "assert double",
    )
    found = answers(
        beside(*added, before=False), ex1="def double(xs):\n    x = 1\n    return [2 * y for y in xs]"
    )["ex1"]
    assert found.extras == ()
    assert found.notes == ()


@pytest.mark.parametrize(
    ("source", "defines", "uses"),
    [
        ("import a.b as c, d\nx = [i for i in c]", {"c", "d", "x"}, set()),
        ("def f(x):\n    return g(x) + len(h)", {"f"}, {"g", "h"}),
        ("files = !ls\nnn.Conv2d?\nx = (7\n% a)", {"files", "x"}, {"a"}),
        ("%%time\nk = 1\nk + g", {"k"}, {"g"}),
        ("%%bash\nk = 1", set(), set()),
        ("%matplotlib inline\nclass C(B):\n    y = z", {"C"}, {"B", "z"}),
        ("def broken(:\nx = 1", {"broken", "x"}, set()),
    ],
)
def test_names(source: str, defines: set[str], uses: set[str]) -> None:
    names = names_of(source)
    assert names.defines == defines
    assert uses <= names.uses
    assert not {"len", "i"} & names.uses
