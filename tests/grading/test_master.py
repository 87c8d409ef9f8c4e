"""The master's form: every breach is refused by name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from resnetbook.grading.master import MasterError, load, parse, stub_of


def test_a_master_is_read(tiny: Path) -> None:
    book = load(tiny)
    assert [e.id for e in book.exercises] == ["ex1", "ex2", "ex3"]
    assert [(c.id, c.exercise, c.points, c.hidden) for c in book.checks] == [
        ("ex1-a", "ex1", 2, True),
        ("ex1-b", "ex1", 1, True),
        ("ex2-a", "ex2", 3, True),
        ("ex3-a", "ex3", 4, False),
    ]
    assert book.exercises[0].stub == "def double(xs):\n    ...  # your answer"
    assert book.exercises[0].names == {"double"}
    assert book.limits["memory_mb"] == 1024


def test_rules_are_strict_unless_it_is_said_otherwise(changed_master: Callable[..., Path]) -> None:
    path = changed_master(BREACHES["not_executed"][0])
    for read in (lambda: load(path), lambda: parse(path.read_bytes())):
        with pytest.raises(MasterError, match="the check was not executed"):
            read()
    assert not load(path, strict=False).strict
    assert any("the check was not executed" in note for note in load(path, strict=False).notes)


def test_a_master_adds_up_its_points_and_cannot_be_changed(tiny: Path) -> None:
    book = load(tiny)
    assert (book.points, book.by_hand, book.strict) == (10, 0, True)
    assert [check.id for check in book.checks_of("ex1")] == ["ex1-a", "ex1-b"]
    assert book.kinds == (
        "text",
        "given",
        *("solution", "public", "check", "check"),
        *("solution", "public", "check"),
        "solution",
        "check",
    )
    for value, name in (
        (book, "title"),
        (book.exercises[0], "stub"),
        (book.checks[0], "points"),
        (book.cells[0], "source"),
    ):
        with pytest.raises(AttributeError):
            setattr(value, name, None)


def test_a_stub_keeps_what_surrounds_its_regions() -> None:
    source = "A = 1\n### BEGIN SOLUTION\nB = 2\n### END SOLUTION\ndef f():\n    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION\nC = 3"
    assert stub_of(source) == "A = 1\n...  # your answer\ndef f():\n    ...  # your answer\nC = 3"


BREACHES: dict[str, tuple[Callable[..., Any], str]] = {
    "not_executed": (
        lambda c, n: c["ex1-a"].update(execution_count=None),
        "ex1-a: the check was not executed",
    ),
    "no_output": (lambda c, n: c["ex1-a"].update(outputs=[]), "ex1-a: the check was not executed"),
    "error": (
        lambda c, n: c["ex1-a"]["outputs"][0].update(output_type="error"),
        "ex1-a: the check ended in an error",
    ),
    "no_points": (lambda c, n: c["ex1-a"]["metadata"]["nbgrader"].pop("points"), "ex1-a: points are None"),
    "zero_points": (lambda c, n: c["ex1-a"]["metadata"]["nbgrader"].update(points=0), "ex1-a: points are 0"),
    "twice": (
        lambda c, n: c["ex1-b"]["metadata"]["nbgrader"].update(grade_id="ex1-a"),
        "ex1-a: the grader id is used",
    ),
    "reserved": (
        lambda c, n: c["ex1"]["metadata"]["nbgrader"].update(grade_id="points"),
        "grade_id is 'points'",
    ),
    "stranger": (lambda c, n: c["ex1-a"]["metadata"]["resnetbook"].update(exercise="ex9"), "exercise 'ex9'"),
    "early": (lambda c, n: n["cells"].insert(0, n["cells"].pop(4)), "ex1-a: it stands before its exercise"),
    "no_check": (lambda c, n: n["cells"].pop(8), "ex2: no check has points"),
    "no_region": (lambda c, n: c["ex1"].update(source="x = 1"), "ex1: no ### BEGIN SOLUTION"),
    "open_region": (
        lambda c, n: c["ex1"].update(source="### BEGIN SOLUTION\nx = 1"),
        "ex1: ### BEGIN SOLUTION without",
    ),
    "no_value": (
        lambda c, n: c["ex1-a"].update(source="x = double([1])"),
        "ex1-a: the check does not end in an expres",
    ),
    "syntax": (lambda c, n: c["ex1-a"].update(source="double(["), "ex1-a: '\\[' was never closed"),
    "tolerance": (lambda c, n: c["ex1-a"]["metadata"]["resnetbook"].update(rtol=-1), "ex1-a: rtol is -1"),
    "deadline": (
        lambda c, n: c["ex1"]["metadata"]["resnetbook"].update(seconds="long"),
        "ex1: seconds is 'long'",
    ),
    "shared_name": (
        lambda c, n: (c["ex1-a"].update(source="xs = [1]\ndouble(xs)"), c["ex2-a"].update(source="mean(xs)")),
        "ex1-a: another cell .* needs its name 'xs'",
    ),
    "nothing": (lambda c, n: n.update(cells=n["cells"][:2]), "there is no solution cell"),
}


@pytest.mark.parametrize("name", BREACHES)
def test_breaches_of_the_form_are_refused(name: str, changed_master: Callable[..., Path]) -> None:
    change, words = BREACHES[name]
    with pytest.raises(MasterError, match=words):
        load(changed_master(change))


def test_all_breaches_are_named_at_once(changed_master: Callable[..., Path]) -> None:
    def change(cells: Any, _: Any) -> None:
        cells["ex1-a"]["metadata"]["nbgrader"]["points"] = -1
        cells["ex1"]["metadata"]["resnetbook"]["seconds"] = 0

    with pytest.raises(MasterError) as caught:
        load(changed_master(change))
    assert [text.split(":")[0] for text in caught.value.problems][:2] == ["ex1", "ex1-a"]


def test_what_is_no_notebook(tmp_path: Path) -> None:
    (tmp_path / "master.ipynb").write_text("{")
    with pytest.raises(MasterError, match="not a notebook"):
        load(tmp_path / "master.ipynb")
