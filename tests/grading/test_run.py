"""One run: what a kernel can see of the grader, and what is left of a run that is killed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from resnetbook import grading
from resnetbook.grading.run import run

SPY = """
import gc, os, sys
def double(xs):
    parent = os.getppid()
    seen = [str(dict(os.environ)), str(sys.argv), str(os.listdir(".")), str(get_ipython().user_ns.get("In"))]
    for name in ("cmdline", "environ"):
        seen.append(open(f"/proc/{parent}/{name}", errors="replace").read())
    for folder, _, names in os.walk(".."):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                seen.append(open(path, errors="replace").read())
    return ["\\n".join(seen)[:150_000]]
"""


def test_references_and_sources_of_checks_lie_nowhere_near_the_kernel(
    tiny: Path, hand_in: Callable[..., Any]
) -> None:
    submission = json.dumps(hand_in(ex1=SPY, rest="right")).encode()
    secret = "a value that no kernel may know"
    found = run(tiny.read_bytes(), submission, references={"ex1-b": [secret], "ex2-a": {"mean": secret}})
    seen = found.values["ex1-a"][0]  # the one check without a reference: its value comes back
    assert "OMP_NUM_THREADS" in seen
    assert "submission.ipynb" in seen  # it did look at the grader's folder and command line
    assert secret not in seen
    assert "mean([1.25" not in seen  # a later check is not there before its turn


def test_a_message_is_shown_only_before_a_check_was_sent(
    tiny: Path, hand_in: Callable[..., Any], tmp_path: Path
) -> None:
    leak = "def {0}(xs):\n    raise ValueError('seen: ' + In[-1])\nraise KeyError('seen: ' + repr(In))"
    (tmp_path / "ann.ipynb").write_text(
        json.dumps(hand_in(ex1=leak.format("double"), ex2=leak.format("mean")))
    )
    (row,) = grading.grade(tiny, [tmp_path / "ann.ipynb"], tmp_path / "out")
    assert "seen" in row.trouble["ex1"]["error_text"]
    assert row.trouble["ex2"]["error"] == "KeyError"
    assert "error_text" not in row.trouble["ex2"]
    assert all("error_text" not in check.problem for check in row.checks)
    assert row.points == 0


def test_of_a_killed_run_the_verdicts_so_far_are_kept(tiny: Path, hand_in: Callable[..., Any]) -> None:
    slow = "import time\ntime.sleep(1.5)\ndef total(xs):\n    time.sleep(1.5)"
    submission = json.dumps(hand_in(ex3=slow, rest="right")).encode()
    values = run(tiny.read_bytes(), None).values
    found = None
    for wall in (2.0, 4.0, 8.0, 16.0):  # until the kill falls into the run: machines differ
        found = run(tiny.read_bytes(), submission, references=values, wall=wall)
        if any(cell["id"] == "ex2-a" for cell in found.cells):
            break
    assert found is not None
    verdicts = {cell["id"]: cell["verdict"] for cell in found.cells if cell["kind"] == "check"}
    assert verdicts["ex1-a"] == verdicts["ex1-b"] == verdicts["ex2-a"] == "right"


def test_students_by_their_paths(tiny: Path, hand_in: Callable[..., Any], tmp_path: Path) -> None:
    folder = tmp_path / "submissions"
    (folder / "ann").mkdir(parents=True)
    (folder / "bob.x").mkdir()
    text = json.dumps(hand_in())  # nothing answered: nothing is run
    for name in ("ann/ps1.ipynb", "bob.x/ps1.ipynb", "carl.ipynb", ".hidden.ipynb"):
        (folder / name).write_text(text)
    (folder / "dora.pdf").write_bytes(b"%PDF")
    expected = [("ann", "graded"), ("bob.x", "graded"), ("carl", "graded"), ("dora", "unreadable")]
    places: list[list[Path]] = [[folder], [p for p in sorted(folder.iterdir()) if p.name[0] != "."]]
    for number, place in enumerate(places):
        rows = grading.grade(tiny, place, tmp_path / f"out{number}", workers=2)
        assert [(row.student, row.status) for row in rows] == expected
