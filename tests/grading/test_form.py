"""What is read from single cells of a master: points of answers in words, tolerances, whether a check was executed."""

import json
from typing import Any

import pytest

from resnetbook.grading.form import executed
from resnetbook.grading.master import Master, MasterError, parse

SOLUTION = "def f():\n    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION"


def book(kind: str, source: str, *, strict: bool = False, settings: Any = None, **grader: Any) -> Master:
    """A master with one exercise, its check and one cell more."""

    def cell(kind: str, source: str, name: str, **grader: Any) -> dict[str, Any]:
        nbgrader = {"solution": False, "grade": False, "grade_id": name, **grader}
        return {"cell_type": kind, "source": source, "metadata": {"nbgrader": nbgrader}}

    cells = [cell("code", SOLUTION, "ex", solution=True), cell("code", "f()", "ex-a", grade=True, points=1)]
    cells.append(cell(kind, source, "probe", **grader))
    if settings is not None:
        cells[-1]["metadata"]["resnetbook"] = settings
    return parse(json.dumps({"nbformat": 4, "metadata": {}, "cells": cells}).encode(), strict=strict)


@pytest.mark.parametrize(
    ("grader", "points"),
    [
        ({"solution": True, "grade": True, "points": 3}, 3.0),
        ({"solution": True, "grade": False}, 0.0),
        ({"task": True, "points": 2}, 2.0),
    ],
)
def test_an_answer_in_words_has_the_points_of_its_cell(grader: dict[str, Any], points: float) -> None:
    exercise = next(e for e in book("markdown", "Say why.", **grader).exercises if e.id == "probe")
    assert (exercise.written, exercise.by_hand, exercise.task) == (True, points, bool(grader.get("task")))
    assert exercise.title == "probe"


def test_a_text_that_is_neither_answer_nor_task_is_no_check() -> None:
    with pytest.raises(MasterError, match="probe: a markdown cell cannot be a check: make it an answer"):
        book("markdown", "Say why.", grade=True, points=1)


def test_a_check_has_the_tolerances_that_it_asks_for() -> None:
    def check(settings: Any) -> Any:
        return next(
            c for c in book("code", "f()", grade=True, points=1, settings=settings).checks if c.id == "probe"
        )

    by_default, own = check(None), check({"rtol": 0, "atol": 0.5, "hint": "look", "link": "a/b"})
    assert (by_default.rtol, by_default.atol, by_default.plain) == (1e-5, 1e-8, True)
    assert (own.rtol, own.atol, own.plain, own.hint, own.link) == (0.0, 0.5, False, "look", "a/b")
    assert (by_default.hint, by_default.link, by_default.hidden) == ("", "", False)
    for wrong in (-1e-9, float("nan"), True, "1"):
        with pytest.raises(MasterError, match=r"probe: atol is .*, expected a number that is not negative"):
            check({"atol": wrong})


RESULT = [{"output_type": "execute_result"}]


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ({"execution_count": 1, "outputs": RESULT}, ""),
        ({"execution_count": 0, "outputs": RESULT}, ""),
        ({"execution_count": None, "outputs": RESULT}, "was not executed"),
        ({"outputs": RESULT}, "was not executed"),
        ({"execution_count": 1, "outputs": []}, "was not executed"),
        ({"execution_count": 1, "outputs": None}, "was not executed"),
        ({"execution_count": 1}, "was not executed"),
        ({"execution_count": 1, "outputs": [*RESULT, {"output_type": "error"}]}, "ended in an error"),
    ],
)
def test_a_check_was_executed_if_it_has_a_count_and_an_output(item: dict[str, Any], words: str) -> None:
    said: list[str] = []
    executed(item, said)
    assert len(said) == bool(words)
    assert all(words in text for text in said)
