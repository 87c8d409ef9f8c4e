"""Release: what a student gets, and the masters that are refused because of what they do when run."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from resnetbook import grading
from resnetbook.grading.master import MasterError, load
from resnetbook.grading.releasing import references


@pytest.fixture(scope="module")
def student(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("released") / "new" / "student.ipynb"
    released = grading.release(tiny, out, strict=True)
    assert (released.points, released.exercises, released.warnings) == (10, 3, ())
    notebook: dict[str, Any] = json.loads(out.read_text())
    return notebook


def test_the_students_notebook(student: dict[str, Any]) -> None:
    names = [cell["id"] for cell in student["cells"]]
    assert names == ["head", "given", "ex1", "public-ex1", "ex2", "public-ex2", "ex3", "ex3-a"]
    code = [cell for cell in student["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    text = json.dumps(student)
    for secret in ("2 * x", "sum(xs)", "ex1-a", "ex1-b", "2.489583", "hint", "SOLUTION", "22, 24"):
        assert secret not in text
    assert student["cells"][2]["source"] == "def double(xs):\n    ...  # your answer"
    assert student["cells"][2]["metadata"]["nbgrader"]["grade_id"] == "ex1"


def _result(text: str) -> list[dict[str, Any]]:
    return [
        {"output_type": "execute_result", "execution_count": 1, "metadata": {}, "data": {"text/plain": text}}
    ]


def _change(cells: dict[str, Any], notebook: dict[str, Any]) -> None:
    """Break six rules at once, each in a cell of its own."""
    cells["ex1-a"].update(source="import random\ndouble([random.random()])", outputs=_result("<something>"))
    cells["ex1-b"].update(source="assert double([3]) == [6]\ndouble([3])", outputs=_result("[6]"))
    cells["ex2-a"].update(source="[mean([1]) is not False, 7]", outputs=_result("[True, 7]"))
    cells["ex3-a"].update(
        source="[str(x) for x in {'a', 'b', 'c', 'd', 'e', 'f'}]", outputs=_result("<list>")
    )
    cells["public-ex1"].update(source="print('hello', double)")
    notebook["cells"].append({**cells["given"], "id": "late", "source": "sum(double([1, 2]))"})


def test_a_master_is_refused_for_what_it_does(changed_master: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "student.ipynb"
    with pytest.raises(MasterError) as caught:
        grading.release(changed_master(_change), out, strict=True)
    for words in (
        "ex1-a: two runs give two values",
        "ex3-a: two runs give two values",
        "ex1-b: its own source holds its value",
        "ex2-a: the stub gets its 3 points",
        "ex3-a: the stub gets its 4 points",
        "a cell of the student's notebook ends in error TypeError",
        "a public check does not print 'not answered yet'",
    ):
        assert any(problem.startswith(words) for problem in caught.value.problems), (
            words,
            caught.value.problems,
        )
    assert not any("ex1-b: two runs" in problem for problem in caught.value.problems)
    assert not out.exists()


REFUSED: dict[str, tuple[Callable[..., Any], str]] = {
    "other_value": (
        lambda c, n: c["ex1-a"].update(outputs=_result("[1, 2, 3]")),
        "ex1-a: its stored output is not",
    ),
    "foreign_value": (
        lambda c, n: c["ex1-a"].update(source="double"),
        "ex1-a: error TypeError with the solutions",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_master_whose_values_cannot_serve_is_refused(
    name: str, changed_master: Callable[..., Path]
) -> None:
    change, words = REFUSED[name]
    with pytest.raises(MasterError, match=words):
        references(load(changed_master(change)))


def test_a_check_that_can_be_guessed_is_named(changed_master: Callable[..., Path], tmp_path: Path) -> None:
    change = lambda c, n: c["ex1-a"].update(source="double([2]) == [4]", outputs=_result("True"))  # noqa: E731
    released = grading.release(changed_master(change), tmp_path / "student.ipynb")
    assert "ex1-a gives a single True" in released.warnings[0]
    assert "ex1-a" in str(released)
