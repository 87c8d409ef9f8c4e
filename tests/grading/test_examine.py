"""The examination of a master, with runs that are given: what is a problem, what a note, what neither."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from resnetbook.grading import releasing
from resnetbook.grading.master import MasterError, load
from resnetbook.grading.releasing import examine, references
from resnetbook.grading.run import Found

VALUES = {"ex1-a": [6, 10, 20], "ex1-b": [0.2, 1.4], "ex2-a": {"mean": 7.46875 / 3}, "ex3-a": [20, 22, 24]}
Change = Callable[[dict[tuple[str, int], Found]], Any]


def cell(identifier: str, kind: str = "check", verdict: str = "ok", **more: Any) -> dict[str, Any]:
    return {"id": identifier, "kind": kind, "verdict": verdict, **more}


def runs() -> dict[tuple[str, int], Found]:
    """What the four runs of the small master give: twice the solutions, the student's notebook, the stubs' values."""
    public = [cell(f"public-{e}", "public", printed="not answered yet") for e in ("ex1", "ex2")]
    return {
        **{("grade", seed): Found({}, [cell(k, value=v) for k, v in VALUES.items()]) for seed in (0, 1)},
        ("plain", 0): Found({}, [cell("", "given"), *public]),
        ("probe", 0): Found({}, [cell(f"{k}@stub", value="of the stub") for k in VALUES]),
    }


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, int], Found]:
    """The runs, to be changed by a test."""
    found = runs()

    def run(master: bytes, submission: bytes | None, *, mode: str = "grade", seed: int = 0) -> Found:
        assert submission is None
        assert (b"BEGIN SOLUTION" in master) == (
            mode != "plain"
        )  # the student's notebook as a notebook of its own
        return found[mode, seed]

    monkeypatch.setattr(releasing, "run", run)
    return found


def problems(path: Path) -> list[str]:
    with pytest.raises(MasterError) as caught:
        examine(load(path))
    return list(caught.value.problems)


def test_a_sound_master_has_neither_problems_nor_notes(given: Any, tiny: Path) -> None:
    for workers in (0, 1, 4):
        assert examine(load(tiny), workers=workers) == []
    found = references(load(tiny))
    assert (dict(found.values), found.inside, found.valueless, found.notes) == (
        VALUES,
        frozenset(),
        frozenset(),
        (),
    )


def test_what_the_students_notebook_does_is_a_problem(given: Any, tiny: Path) -> None:
    given["plain", 0].cells += [
        cell("", "given", "error", error="TypeError"),
        cell("late", "given", "error", error="TypeError"),
        cell("slow", "given", "timeout"),
        cell("public-ex3", "public", printed="looks right"),
    ]
    assert problems(tiny) == [
        "a public check does not print 'not answered yet' when there is no answer",
        "a cell, late of the student's notebook end in error TypeError",
        "slow of the student's notebook ends in timeout",
    ]


def test_what_the_stub_earns_is_a_problem_and_what_it_nearly_earns_is_none(given: Any, tiny: Path) -> None:
    given["probe", 0].cells[:] = [
        cell("ex1-a@stub", value=[6, 10, 20]),
        cell("ex1-b@stub", value=[0.2, 1.5]),
        cell("ex2-a@stub", value={"mean": 7.46875 / 3 * (1 + 1e-6)}),
        cell("ex3-a@stub", "check", "error"),
    ]
    assert problems(tiny) == ["ex1-a: the stub gets its 2 points", "ex2-a: the stub gets its 3 points"]


def test_all_that_is_wrong_is_named_at_once(given: Any, tiny: Path) -> None:
    given["plain", 0].trouble = "the student's notebook died"
    given["probe", 0].trouble = "the probe died"
    given["grade", 1].cells[3]["value"] = [20, 22, 25]
    assert problems(tiny) == [
        "ex3-a: two runs give two values: seed what is random inside the check",
        "the student's notebook died",
        "the probe died",
    ]


def test_a_check_without_a_value_ends_the_examination(given: Any, tiny: Path) -> None:
    given["grade", 0].cells[1] = cell("ex1-b", verdict="error", error="KeyError")
    given["grade", 0].cells.append(cell("x", "given", "error", error="OSError"))
    assert problems(tiny) == [
        "ex1-b: error KeyError with the solutions",
        "cell of kind given x: it ends in error (OSError)",
    ]
    given["grade", 0].cells[:2] = []
    assert "ex1-a: not run with the solutions" in problems(tiny)
    given["grade", 0].trouble = "the kernel died"
    assert problems(tiny) == ["the kernel died"]


def test_other_cells_that_fail_break_a_rule(given: Any, tiny: Path) -> None:
    given["grade", 0].cells.append(cell("x", "given", "error", error="OSError"))
    assert problems(tiny) == ["cell of kind given x: it ends in error (OSError)"]


def result(value: Any) -> list[dict[str, Any]]:
    data = {"text/plain": repr(value)}
    return [{"output_type": "execute_result", "execution_count": 1, "metadata": {}, "data": data}]


@pytest.mark.parametrize(
    ("source", "value", "held"),
    [
        ("assert double([3]) == [6]\ndouble([3])", [6], True),
        ("double([3, 6])", [6, 12], False),
        ("double((6.0, 12.0))", [6, 12], True),
        ("double(-3)", -3, True),
        ("double(3)", 3.0, True),
        ("double(3) * 2.0000001", 2.0, False),
        ("{'a': 1} and double(1)", {"a": 1}, True),
        ("double(True)", 1, False),
        ("double(None)", None, False),
        ("double(1) is True", True, False),
    ],
)
def test_a_source_holds_its_value_or_not(
    source: str, value: Any, held: bool, given: Any, changed_master: Callable[..., Path]
) -> None:
    for seed in (0, 1):
        given["grade", seed].cells[0]["value"] = value
    path = changed_master(lambda c, n: c["ex1-a"].update(source=source, outputs=result(value)))
    if held:
        assert problems(path) == ["ex1-a: its own source holds its value"]
    else:
        assert all("guess" in note for note in examine(load(path)))


def test_a_single_truth_value_can_be_guessed_and_a_number_cannot(
    given: Any, changed_master: Callable[..., Path]
) -> None:
    for value, notes in (
        (True, ["ex1-a gives a single True: a guess is right half of the time"]),
        (6, []),
        ([True], []),
    ):
        for seed in (0, 1):
            given["grade", seed].cells[0]["value"] = value
        path = changed_master(lambda c, n, value=value: c["ex1-a"].update(outputs=result(value)))
        assert examine(load(path)) == notes


def test_a_number_of_a_plain_check_is_not_its_points(given: Any, changed_master: Callable[..., Path]) -> None:
    """nbgrader takes the last number of an autograded cell for the points: the author is told that here it is not."""
    for seed in (0, 1):
        given["grade", seed].cells[0]["value"] = 6

    def change(cells: dict[str, Any], notebook: dict[str, Any]) -> None:
        cells["ex1-a"].update(source="double(3) + START", outputs=result(6))
        del cells["ex1-a"]["metadata"]["resnetbook"]

    notes = examine(load(changed_master(change), strict=False))
    assert "ex1-a gives a number: nbgrader takes it for the points, here it must be 6" in notes


def test_stored_outputs_are_those_of_a_run(given: Any, changed_master: Callable[..., Path]) -> None:
    path = changed_master(lambda c, n: c["ex1-b"].update(outputs=result([0.2, 1.4 * (1 + 2e-6)])))
    assert examine(load(path)) == []
    path = changed_master(lambda c, n: c["ex2-a"].update(outputs=result({"mean": 2.4})))
    with pytest.raises(MasterError, match="ex2-a: its stored output is not what it gives when run"):
        references(load(path))
    assert json.loads(path.read_text())["cells"]  # nothing is written to the master
