"""A small assignment without torch, and the tools to hand in notebooks for it."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Notebook = dict[str, Any]


def code(source: str, identifier: str, **metadata: Any) -> Notebook:
    return {
        "cell_type": "code",
        "id": identifier,
        "source": source,
        "metadata": metadata,
        "outputs": [],
        "execution_count": 1,
    }


def solution(name: str, source: str, **settings: Any) -> Notebook:
    grader = {"schema_version": 3, "solution": True, "grade": False, "locked": False, "grade_id": name}
    return code(
        source, name, nbgrader=grader, resnetbook={"seconds": 2, "title": f"Exercise {name[-1]}", **settings}
    )


def check(
    name: str, points: float, source: str, shown: Any, *, hidden: bool = True, **settings: Any
) -> Notebook:
    grader = {
        "schema_version": 3,
        "solution": False,
        "grade": True,
        "locked": True,
        "grade_id": name,
        "points": points,
    }
    details = {
        "exercise": name.split("-")[0],
        "hint": f"hint of {name}",
        "link": "2_principle/page#part",
        **settings,
    }
    cell = code(source, name, nbgrader=grader, resnetbook=details, tags=["hidden"] if hidden else [])
    result = {
        "output_type": "execute_result",
        "execution_count": 1,
        "metadata": {},
        "data": {"text/plain": repr(shown)},
    }
    return {**cell, "outputs": [result]}


def public(function: str, name: str) -> Notebook:
    source = (
        f"if {function}([1, 2]) is None:\n    print('{name}: not answered yet')\n"
        f"else:\n    assert {function}([1, 2]), 'no result'\n    print('{name}: looks right')"
    )
    return code(source, f"public-{name}", tags=["public"])


def tiny_master() -> Notebook:
    cells = [
        {"cell_type": "markdown", "id": "head", "source": "# Three small functions", "metadata": {}},
        code("START = 10", "given"),
        solution(
            "ex1",
            "def double(xs):\n    ### BEGIN SOLUTION\n    return [2 * x for x in xs]\n    ### END SOLUTION",
        ),
        public("double", "ex1"),
        check("ex1-a", 2, "double([3, 5, START])", [6, 10, 20]),
        check("ex1-b", 1, "double([0.1, 0.7])", [0.2, 1.4]),
        solution(
            "ex2", "def mean(xs):\n    ### BEGIN SOLUTION\n    return sum(xs) / len(xs)\n    ### END SOLUTION"
        ),
        public("mean", "ex2"),
        check("ex2-a", 3, "{'mean': mean([1.25, 2.5, 3.71875])}", {"mean": 7.46875 / 3}),
        solution(
            "ex3", "def total(xs):\n    ### BEGIN SOLUTION\n    return sum(double(xs))\n    ### END SOLUTION"
        ),
        check("ex3-a", 4, "total(range(5)) + START", 30, hidden=False),
    ]
    # With the stub in place a visible check must not end in an error.
    cells[-1]["source"] = "[total([i, START]) for i in range(3)]"
    cells[-1]["outputs"][0]["data"]["text/plain"] = "[20, 22, 24]"
    settings = {"title": "Tiny", "memory_mb": 1024, "cpu_seconds": 60}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {"resnetbook": settings}, "cells": cells}


RIGHT = {
    "ex1": "def double(xs):\n    return [x + x for x in xs]",
    "ex2": "def mean(xs):\n    return sum(xs) / len(xs)",
    "ex3": "def total(xs):\n    return sum(double(xs))",
}


def handed_in(**answers: str) -> Notebook:
    """The released notebook with answers filled in; `rest="right"` answers the others rightly."""
    from resnetbook.grading.master import stub_of

    notebook = copy.deepcopy(tiny_master())
    notebook["cells"] = [c for c in notebook["cells"] if "hidden" not in c["metadata"].get("tags", [])]
    others = RIGHT if answers.pop("rest", "") == "right" else {}
    for cell in notebook["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("solution"):
            name = cell["metadata"]["nbgrader"]["grade_id"]
            cell["source"] = answers.get(name) or others.get(name) or stub_of(cell["source"])
    return notebook


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The path of the small master."""
    path = tmp_path_factory.mktemp("master") / "master.ipynb"
    path.write_text(json.dumps(tiny_master()))
    return path


@pytest.fixture
def changed_master(tmp_path: Path) -> Callable[..., Path]:
    """Write the small master after a change; the change gets the dict of cells by id and the whole notebook."""

    def make(change: Callable[[dict[str, Notebook], Notebook], None]) -> Path:
        notebook = tiny_master()
        change({cell["id"]: cell for cell in notebook["cells"]}, notebook)
        path = tmp_path / "master.ipynb"
        path.write_text(json.dumps(notebook))
        return path

    return make


@pytest.fixture(scope="session")
def hand_in() -> Callable[..., Notebook]:
    """`handed_in`: the student's notebook with answers."""
    return handed_in


@pytest.fixture(scope="session")
def right() -> dict[str, str]:
    """Right answers by exercise."""
    return dict(RIGHT)
