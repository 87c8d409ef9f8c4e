"""Marks: what stands between them leaves no house, whatever cell it stands in and however they are written."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resnetbook.grading.marks import HIDDEN, SCHEME, SOLUTION, cut, holds_mark, regions, stub_of
from resnetbook.grading.master import MasterError, parse
from resnetbook.grading.releasing import student_notebook

SECRET = "the_secret = 4711"

# nbgrader takes a line for a mark that holds "BEGIN SOLUTION" and so on, whatever else stands in it.
FRAMES = (
    "### {}",
    "# {}",
    "#{}",
    "\t## {} ##",
    "// {}",
    "% {}",
    "<!-- {} -->",
    "/* {} */",
    "-- {}",
    "; {}",
    '"""{}"""',
    "**{}**",
    "### {} (2 points)",
    "x = 1  # {}",
    "{}",
    "> {}",
    "    ###   {}   ",
)
WORDS = {
    SOLUTION: ("{} SOLUTION", "{} solution", "{} Solution", "{}  SOLUTION", "{}\tSOLUTION", "{}_SOLUTION", "{}\u00a0SOLUTION"),
    HIDDEN: ("{} HIDDEN TESTS", "{} hidden tests", "{} Hidden Test", "{}  HIDDEN  TESTS", "{}\u200b HIDDEN TESTS"),
    SCHEME: ("{} MARK SCHEME", "{} mark scheme", "{} Mark  Scheme"),
}  # fmt: skip


def mark(word: str, kind: str, frame: str, spelling: str) -> str:
    lower = spelling.partition(" ")[2][:1].islower()
    return frame.format(spelling.format(word.lower() if lower else word))


MARKS = st.sampled_from(sorted(WORDS)).flatmap(
    lambda kind: st.tuples(
        st.just(kind), st.sampled_from(FRAMES), st.sampled_from(WORDS[kind]), st.sampled_from(WORDS[kind])
    )
)
GRADER = {
    "given": ("code", None, []),
    "locked": ("code", {"locked": True}, []),
    "public": ("code", None, ["public"]),
    "check": ("code", {"grade": True, "points": 1}, []),
    "hidden check": ("code", {"grade": True, "points": 1}, ["hidden"]),
    "solution": ("code", {"solution": True}, []),
    "code by hand": ("code", {"solution": True, "grade": True, "points": 1}, []),
    "text": ("markdown", None, []),
    "words": ("markdown", {"solution": True, "grade": True, "points": 1}, []),
    "words without points": ("markdown", {"solution": True}, []),
    "task": ("markdown", {"task": True, "points": 1}, []),
    "raw": ("raw", None, []),
    "raw answer": ("raw", {"solution": True, "grade": True, "points": 1}, []),
}


def notebook(role: str, source: str) -> dict[str, Any]:
    """A master of one exercise, its check, and a cell of a role with a source."""

    def cell(kind: str, grader: Any, tags: list[str], name: str, source: str) -> dict[str, Any]:
        metadata: dict[str, Any] = {"tags": tags}
        if grader is not None:
            metadata["nbgrader"] = {"solution": False, "grade": False, "grade_id": name, **grader}
        made = {"cell_type": kind, "source": source, "metadata": metadata}
        return {**made, "outputs": [{"output_type": "stream", "text": SECRET}]} if kind == "code" else made

    cells = [
        cell("code", {"solution": True}, [], "ex", "def f():\n    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION"),
        cell("code", {"grade": True, "points": 1}, [], "ex-a", "assert f() == 1"),
        cell(*GRADER[role], "probe", source),
    ]  # fmt: skip
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}


def released(raw: dict[str, Any]) -> str:
    return json.dumps(student_notebook(parse(json.dumps(raw).encode(), strict=False)))


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(sorted(GRADER)), MARKS, st.sampled_from(FRAMES), st.sampled_from(["", "y = 2\n", "\n"])
)
def test_what_stands_between_marks_leaves_no_house(
    role: str, words: tuple[str, str, str, str], frame: str, before: str
) -> None:
    kind, first, begin, end = words
    source = f"{before}{mark('BEGIN', kind, first, begin)}\n{SECRET}\n{mark('END', kind, frame, end)}\nz = 3"
    text, refused = "", ""
    try:
        text = released(notebook(role, source))
    except MasterError as error:
        refused = str(error)
    if refused:
        assert "probe" in refused or "cell 3" in refused
        return
    assert "4711" not in text
    assert not any(holds_mark(line) for line in json.loads(text)["cells"][-1]["source"].splitlines())


AT_HOME = [
    ("solution", SOLUTION), ("code by hand", SOLUTION), ("words", SOLUTION), ("raw answer", SOLUTION),
    ("check", HIDDEN), ("hidden check", HIDDEN), ("code by hand", HIDDEN), ("words", HIDDEN), ("raw answer", HIDDEN),
    ("task", SCHEME),
]  # fmt: skip


@pytest.mark.parametrize("kind", [SOLUTION, HIDDEN, SCHEME])
@pytest.mark.parametrize("role", GRADER)
def test_marks_are_taken_out_at_home_and_refused_elsewhere(role: str, kind: str) -> None:
    raw = notebook(role, f"y = 2\n# BEGIN {kind}\n{SECRET}\n# END {kind}\nz = 3")
    if (role, kind) in AT_HOME or (role, kind) == ("words without points", SOLUTION):
        assert "4711" not in released(raw)
    else:
        name = "cell 3" if GRADER[role][1] is None else "probe"
        with pytest.raises(MasterError, match=f"{name}: ### BEGIN {kind} stands in a cell that is no"):
            released(raw)


@pytest.mark.parametrize("kind", WORDS)
def test_every_spelling_in_every_comment_is_a_mark(kind: str) -> None:
    wide = {ord(s): ord(s) + 0xFEE0 for s in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}  # full-width letters
    for frame in FRAMES:
        for spelling in WORDS[kind]:
            lines = [mark(word, kind, frame, spelling) for word in ("BEGIN", "END")]
            for text in ("\nx\n".join(lines), "\nx\n".join(lines).translate(wide)):
                found = [(region.kind, region.first, region.last) for region in regions(text)]
                assert found == [(kind, 0, 2)], text


BROKEN = {
    "no end": "# BEGIN SOLUTION\nx = 1",
    "no begin": "x = 1\n# END SOLUTION",
    "nested": "# BEGIN SOLUTION\n# BEGIN SOLUTION\nx = 1\n# END SOLUTION\n# END SOLUTION",
    "mixed": "# BEGIN SOLUTION\nx = 1\n# END HIDDEN TESTS",
    "crossed": "# BEGIN SOLUTION\n# BEGIN HIDDEN TESTS\nx = 1\n# END SOLUTION\n# END HIDDEN TESTS",
    "begun twice": "# BEGIN SOLUTION\nx = 1\n# BEGIN SOLUTION\ny = 1\n# END SOLUTION",
    "misspelt begin": "# BEGIN SOLUTOIN\nx = 1\n# END SOLUTION",
    "misspelt end": "# BEGIN SOLUTION\nx = 1\n# END SOLUTOIN",
    "one line": "<!-- BEGIN SOLUTION --> x <!-- END SOLUTION -->",
    "twice": "# BEGIN SOLUTION\nx = 1\n# END SOLUTION\n# END SOLUTION",
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("role", GRADER)
def test_marks_that_do_not_come_in_pairs_are_refused_everywhere(role: str, name: str) -> None:
    with pytest.raises(ValueError, match=r"BEGIN|marks"):
        regions(BROKEN[name])
    with pytest.raises(MasterError, match=r"probe|cell 3"):
        released(notebook(role, BROKEN[name]))


@pytest.mark.parametrize("role", ["words", "raw answer", "words without points", "solution", "code by hand"])
def test_an_answer_without_marks_is_blank(role: str) -> None:
    text = released(notebook(role, SECRET))
    assert "4711" not in text
    assert json.loads(text)["cells"][-1]["metadata"]["nbgrader"]["grade_id"] == "probe"


def test_a_mark_in_metadata_is_found() -> None:
    raw = notebook("given", "x = 1")
    raw["cells"][2]["metadata"]["backup"] = {"source": ["# BEGIN SOLUTION\n", SECRET]}
    with pytest.raises(MasterError, match="cell 3 of the student's notebook"):
        released(raw)
    raw = notebook("given", "x = 1")
    raw["metadata"]["notes"] = "### END HIDDEN TESTS"
    with pytest.raises(MasterError, match="the notebook's metadata"):
        released(raw)


def test_a_picture_that_only_the_model_answer_shows_goes_with_it() -> None:
    raw = notebook(
        "words", "See ![a](attachment:kept.png)\n# BEGIN SOLUTION\n![b](attachment:model.png)\n# END SOLUTION"
    )
    raw["cells"][2]["attachments"] = {"kept.png": {"image/png": "aaaa"}, "model.png": {"image/png": "4711"}}
    text = released(raw)
    assert "kept.png" in text
    assert "4711" not in text
    assert "model.png" not in text


PROSE = (
    "The end solution is shown below.",
    "We begin solutions with a sketch.",
    "a front-end solution",
    "# An end-to-end solution",
    "solution = begin(solution)",
    "x = 'no mark: BEGINNING of a solution'",
    "BEGIN_SOLUTION = 3",
)


@pytest.mark.parametrize("line", PROSE)
def test_prose_is_no_mark(line: str) -> None:
    assert regions(line) == []


def test_a_stub_is_indented_as_what_it_replaces() -> None:
    source = "def f():\n# BEGIN SOLUTION\n    return 1\n# END SOLUTION\nclass C:\n\tdef g(self):\n\t\t## BEGIN SOLUTION\n\t\tpass\n\t\t## END SOLUTION"
    assert (
        stub_of(source)
        == "def f():\n    ...  # your answer\nclass C:\n\tdef g(self):\n\t\t...  # your answer"
    )
    assert cut("a\n# BEGIN HIDDEN TESTS\nb\n# END HIDDEN TESTS\nc", HIDDEN) == "a\nc"
