"""Added cells: what is taken along gives what the student's whole notebook gives, run from top to bottom."""

import copy
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from resnetbook.grading.master import parse
from resnetbook.grading.notebook import read
from resnetbook.grading.splice import Answer, find_answers

# Cells as students add them. Each may stand anywhere, more than once; one that fails where it stands is left out.
CELLS = (
    "t = {}",
    "t['a'] = 1",
    "t.update(b=2)",
    "for i in range(3):\n    t[i] = i",
    "t.setdefault('c', []).append(k)",
    "k = 2",
    "k = k + 1",
    "k += 10",
    "def h(x):\n    return x * k",
    "def h(x):\n    return t.get(x, 0) + x",
    "old = h\ndef h(x):\n    return old(x) + 1",
    "def put(v):\n    t['p'] = v",
    "put(5)",
    "put(k)",
    "def more():\n    global k\n    k = k * 3",
    "more()",
    "from math import *",
    "import math as m",
    "g = [h]",
    "g.append(abs)",
    "class C:\n    z = k",
    "C.z = 7",
    "def twice(x):\n    return h(h(x)) + floor(2.5)",
    "u = h(3)",
    "if u > 4:\n    k = 4",
    "shuffled = sorted(t)\nshuffled.reverse()",
    "def fill(where):\n    where['f'] = 6",
    "fill(t)",
    "%matplotlib inline\nv = [k]",
    "v += [1]",
    "len(t)",
    "1 / 0",
)
ANSWERS = (
    "def double(xs):\n    return [h(x) for x in xs]",
    "def double(xs):\n    return sorted(map(str, t.items())), k",
    "start = k\ndef double(xs):\n    return start, u",
    "def double(xs):\n    return C.z, [f(2) for f in g]",
    "def double(xs):\n    return twice(xs[0]), m.floor(1.5)",
    "def double(xs):\n    return shuffled, v, floor(3.5)",
    "t = {'own': 1}\ndef double(xs):\n    return sorted(map(str, t.items()))",
    "nn = [k for _ in range(2)]\ndouble = lambda xs: (nn, h)[0]",
    "def double(xs):\n    nonsense = 1\n    return 0",
)


def tiny() -> Any:
    """A master of two exercises without checks; nothing of it is run here."""

    def solution(name: str, source: str) -> Any:
        grader = {"solution": True, "grade": False, "grade_id": name}
        return {"cell_type": "code", "id": name, "source": source, "metadata": {"nbgrader": grader}}

    body = "    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION"
    cells = [solution("ex1", f"def double(xs):\n{body}"), solution("ex2", f"def mean(xs):\n{body}")]
    return {"nbformat": 4, "metadata": {}, "cells": cells}


MASTER = parse(json.dumps(tiny()).encode(), strict=False)


def run(sources: list[str]) -> dict[str, Any]:
    """The state after the cells; one that fails leaves what it did before, as in a notebook."""
    space: dict[str, Any] = {}
    for source in sources:
        try:
            exec(source.replace("%matplotlib inline", ""), space)
        except Exception:
            continue
    return space


def outcome(space: dict[str, Any]) -> Any:
    try:
        return space["double"]([3])
    except Exception as error:
        return type(error)


def answers(sources: list[str], answer: int) -> Answer:
    notebook = copy.deepcopy(tiny())
    notebook["cells"][0]["source"] = sources[answer]
    added = [{"cell_type": "code", "source": source, "metadata": {}} for source in sources]
    notebook["cells"] = [*added[:answer], notebook["cells"][0], *added[answer + 1 :], notebook["cells"][1]]
    return find_answers(MASTER, read(json.dumps(notebook).encode()))[0]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(CELLS), max_size=9), st.sampled_from(ANSWERS), st.integers(0, 9))
def test_what_is_taken_along_gives_what_the_whole_notebook_gives(
    cells: list[str], answer: str, place: int
) -> None:
    sources: list[str] = []
    for source in [*cells[:place], answer, *cells[place:]]:
        space = run(sources)
        try:
            exec(source.replace("%matplotlib inline", ""), space)
        except Exception:
            if source != answer:
                continue
        sources.append(source)
    whole = outcome(run(sources))
    if isinstance(whole, type):
        return  # the student's own notebook does not run from top to bottom: more may be found, nothing is owed
    found = answers(sources, sources.index(answer))
    assert outcome(run([source for _, source in found.cells])) == whole
