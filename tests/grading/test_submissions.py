"""Who handed in, and what: phantoms, renamed files, another assignment's notebook. No kernel is started here."""

import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from resnetbook import cli, grading
from resnetbook.grading.belonging import belonging, stranger
from resnetbook.grading.job import plan
from resnetbook.grading.master import Master, load
from resnetbook.grading.notebook import read
from resnetbook.grading.releasing import References, student_notebook
from resnetbook.grading.results import CheckRow, Row, append_row
from resnetbook.grading.run import Found
from resnetbook.grading.submissions import find

PHANTOMS = (
    "README.txt", "readme.md", "LICENSE", "notes.txt", "grades.csv", "roster.xlsx", "Thumbs.db", "desktop.ini", "index.html",
    "~$ann.docx", "ann.ipynb~", "download.log", ".DS_Store", "link.url", "students.tsv", "Instructions.pdf",
)  # fmt: skip
FOLDERS = ("__MACOSX", ".ipynb_checkpoints", "__pycache__", ".git", "lost+found")


def fill(folder: Path, text: str) -> dict[str, str]:
    """Write submissions under all sorts of names; return student and file."""
    expected = {}
    for name, student in {
        "ann.ipynb": "ann", "bob/ps1.IPYNB": "bob", "carl.lee/a/ps1.ipynb": "carl.lee", "dora.ipynb.txt": "dora",
        "emil/ps1.ipynb.json": "emil", "FAY.IPYNB": "FAY", "gus.pdf": "gus", "hal.py": "hal", "ida.zip": "ida", "mark.docx": "mark",
        "jo/ps1 (1).ipynb": "jo",
    }.items():  # fmt: skip
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        expected[student] = path.name
    (folder / "kim").mkdir()
    expected["kim"] = ""
    return expected


def test_each_student_once_and_no_phantom(tmp_path: Path, tiny: Path) -> None:
    folder = tmp_path / "submissions"
    folder.mkdir()
    expected = fill(folder, "{}")
    for name in PHANTOMS:
        (folder / name).write_text("x")
    for name in FOLDERS:
        (folder / name / "ann").mkdir(parents=True)
        (folder / name / "ann" / "._ps1.ipynb").write_text("x")
        (folder / name / "ps1.ipynb").write_text("x")
    (folder / "bob" / "__MACOSX").mkdir()
    (folder / "bob" / "__MACOSX" / "ps1.ipynb").write_text("x")
    out, old = folder / "graded", folder / "last year"
    for made in (out, old):
        (made / "feedback").mkdir(parents=True)
        (made / "assignment.json").write_text("{}")
        (made / "results.jsonl").write_text("")
    (out / "results.jsonl").unlink()  # the first run broke off: it is the folder of the results all the same
    (folder / "master.ipynb").write_bytes(tiny.read_bytes())
    for places in ([folder], sorted(folder.iterdir())):
        found, left_out = find(places, apart=[folder / "master.ipynb", out])
        assert {s.student: (s.paths[0].name if s.paths else "") for s in found} == expected
        assert {"README.txt", "__MACOSX", "graded", "last year", "master.ipynb"} <= set(left_out)
        assert not any(name.startswith(".") for name in left_out)


def test_a_link_leads_to_nobody_elses_files(tmp_path: Path) -> None:
    for name in ("ann", "bob"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "ps1.ipynb").write_text("{}")
    (tmp_path / "ann" / "more").symlink_to(tmp_path / "bob", target_is_directory=True)
    (tmp_path / "eve").symlink_to(tmp_path / "bob", target_is_directory=True)
    found = {s.student: [p.relative_to(tmp_path).as_posix() for p in s.paths] for s in find([tmp_path])[0]}
    assert found == {"ann": ["ann/ps1.ipynb"], "bob": ["bob/ps1.ipynb"], "eve": ["eve"]}


def test_one_file_by_its_name_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "README.txt").write_text("x")
    assert [s.student for s in find([tmp_path / "README.txt"])[0]] == ["README"]
    with pytest.raises(ValueError, match=r"none found \(left out: README\.txt\)"):
        find([tmp_path])


@pytest.fixture
def no_kernel(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Let a run be its plan, with every check of an answered exercise right; return the submissions that were run."""
    runs: list[bytes] = []

    def run(master: bytes, submission: bytes, **_: Any) -> Found:
        runs.append(submission)
        planned = plan(master, submission, mode="grade")
        checks = [
            {"kind": "check", "id": s.id, "verdict": "right"} for s in planned.steps if s.kind == "check"
        ]
        return Found(planned.summary, checks)

    monkeypatch.setattr("resnetbook.grading.marking.run", run)
    monkeypatch.setattr("resnetbook.grading.marking.references", lambda book, **_: References({}))
    return runs


def table(folder: Path) -> dict[str, str]:
    lines = (folder / "grades.csv").read_text().splitlines()[1:]
    return {line.split(",")[0]: line.split(",")[-2] for line in lines}


def test_a_renamed_submission_has_one_row(
    tiny: Path, hand_in: Callable[..., Any], tmp_path: Path, no_kernel: list[bytes]
) -> None:
    folder, out = tmp_path / "submissions", tmp_path / "out"
    folder.mkdir()
    for name, answers in {
        "ann": {"rest": "right"},
        "bob": {},
        "carl": {},
        "dora": {"ex1": "double = 1"},
    }.items():
        (folder / f"{name}.ipynb").write_text(json.dumps(hand_in(**answers)))
    grading.grade(tiny, [folder], out)
    assert table(out) == {"ann": "10", "bob": "0", "carl": "0", "dora": "3"}
    ran = len(no_kernel)
    (folder / "ann.ipynb").rename(folder / "ann lee.ipynb")
    rows = {row.student: row for row in grading.grade(tiny, [folder], out)}
    assert table(out) == {"ann lee": "10", "bob": "0", "carl": "0", "dora": "3"}
    assert len(no_kernel) == ran  # it is not run again
    assert "it was handed in under the name ann before" in rows["ann lee"].notes
    # Nobody answered bob's, carl's and eve's: the same bytes. The file that is gone was renamed, the one that is there not.
    (folder / "bob.ipynb").rename(tmp_path / "bob.ipynb")
    (folder / "eve.ipynb").write_text((folder / "carl.ipynb").read_text())
    rows = {row.student: row for row in grading.grade(tiny, [folder / "eve.ipynb"], out)}
    assert set(rows) == {"ann lee", "carl", "dora", "eve"}
    (folder / "dora.ipynb").unlink()
    rows = {row.student: row for row in grading.grade(tiny, [folder], out)}
    assert rows["dora"].points == 3
    assert "its submission is no longer where it was" in rows["dora"].notes


def test_a_submission_that_is_gone_is_nobody_elses(
    tiny: Path, hand_in: Callable[..., Any], tmp_path: Path, no_kernel: list[bytes]
) -> None:
    for name in ("ann", "bob"):
        (tmp_path / f"{name}.ipynb").write_text(json.dumps(hand_in(ex1="double = 1")))
    grading.grade(tiny, sorted(tmp_path.glob("*.ipynb")), tmp_path / "out")
    (tmp_path / "ann.ipynb").unlink()
    rows = grading.grade(tiny, [tmp_path / "bob.ipynb"], tmp_path / "out")
    assert [(row.student, row.points, bool(row.notes)) for row in rows] == [
        ("ann", 3, True),
        ("bob", 3, False),
    ]


def test_the_same_notebook_graded_from_two_places_stays_two_rows(
    tiny: Path, hand_in: Callable[..., Any], tmp_path: Path, no_kernel: list[bytes]
) -> None:
    for name in ("ann", "bob"):
        (tmp_path / f"{name}.ipynb").write_text(json.dumps(hand_in()))
        grading.grade(tiny, [tmp_path / f"{name}.ipynb"], tmp_path / "out")
    assert set(table(tmp_path / "out")) == {"ann", "bob"}


def renamed(notebook: Any, title: str | None) -> Any:
    text = json.dumps(notebook)
    for old, new in (
        ("double", "shortcut"),
        ("mean", "growth"),
        ("total", "diagnose"),
        ("Three small", "Four large"),
    ):
        text = text.replace(old, new)
    other = json.loads(text)
    other["metadata"] = (
        {} if title is None else {"resnetbook": {"title": title, "master": "0123456789abcdef"}}
    )
    other["cells"][1]["source"] = "GIVEN = 3"
    return other


@pytest.fixture
def book(tiny: Path) -> Master:
    return load(tiny)


def stamped(book: Master, notebook: Any) -> Any:
    made = copy.deepcopy(notebook)
    made["metadata"] = student_notebook(book)["metadata"]
    return made


def reason(book: Master, notebook: Any) -> str:
    return stranger(book, read(json.dumps(notebook).encode()))


def test_another_assignments_notebook_is_said_to_be_that(book: Master, hand_in: Callable[..., Any]) -> None:
    answered = hand_in(rest="right")
    other = renamed(answered, "Blocks of the timeline")
    assert (
        reason(book, other)
        == "it is the notebook of another assignment: 'Blocks of the timeline' instead of 'Tiny'"
    )
    assert "nothing in it belongs to 'Tiny'" in reason(book, renamed(answered, None))
    assert belonging(book, read(json.dumps(other).encode())) == 0


def test_this_assignments_notebook_is_never_a_stranger(book: Master, hand_in: Callable[..., Any]) -> None:
    untouched, answered = stamped(book, hand_in()), stamped(book, hand_in(rest="right"))
    retitled = copy.deepcopy(answered)
    retitled["metadata"]["resnetbook"] = {"title": "Tiny, first edition", "master": "0123456789abcdef"}
    bare = copy.deepcopy(answered)
    bare["metadata"] = {}
    answers_alone = {"cells": [c for c in bare["cells"] if c["metadata"].get("nbgrader", {}).get("solution")]}
    emptied = copy.deepcopy(untouched)
    for cell in emptied["cells"]:
        cell["source"] = "" if cell["cell_type"] == "code" else cell["source"]
    misnamed = json.loads(
        json.dumps(answered).replace("double", "doubel").replace("mean", "maen").replace("total", "tot")
    )
    without_title = copy.deepcopy(emptied)
    without_title["metadata"] = {}
    for notebook in (untouched, answered, retitled, bare, answers_alone, emptied, misnamed, without_title):
        assert reason(book, notebook) == ""


def test_a_stranger_has_a_row_that_says_so_and_the_right_one_of_two_is_taken(
    tiny: Path, book: Master, hand_in: Callable[..., Any], tmp_path: Path, no_kernel: list[bytes], capsys: Any
) -> None:
    answered = stamped(book, hand_in(rest="right"))
    other = renamed(answered, "Blocks of the timeline")
    folder = tmp_path / "submissions"
    (folder / "both").mkdir(parents=True)
    (folder / "wrong.ipynb").write_text(json.dumps(other))
    (folder / "both" / "a.ipynb").write_text(json.dumps(answered))
    (folder / "both" / "b.ipynb").write_text(json.dumps(other))
    os.utime(folder / "both" / "a.ipynb", (1, 1))  # the other one is newer
    (folder / "README.txt").write_text("x")
    assert cli.main(["grade", str(tiny), str(folder), "-o", str(folder / "out")]) == 0
    said = capsys.readouterr().out
    assert (
        "wrong: other assignment: it is the notebook of another assignment: 'Blocks of the timeline'" in said
    )
    assert "left out, for they are no submissions: README.txt" in said
    assert table(folder / "out") == {"both": "10", "wrong": "0"}
    assert "wrong,other assignment,0,0,0,0,10" in (folder / "out" / "grades.csv").read_text()
    index = grading.report(folder / "out")
    assert "README.txt" in index.read_text()
    assert "not the notebook of this assignment" in (folder / "out" / "feedback" / "wrong.html").read_text()
    assert cli.main(["grade", str(tiny), str(folder), "-o", str(folder / "out")]) == 0
    assert set(table(folder / "out")) == {"both", "wrong"}  # the results lie among the submissions


def test_an_older_row_without_a_place_is_kept(
    tiny: Path, book: Master, tmp_path: Path, no_kernel: list[bytes]
) -> None:
    (tmp_path / "out").mkdir()
    row = Row(
        "zoe",
        "graded",
        points=3.0,
        max_points=10.0,
        master=book.digest,
        checks=[CheckRow("a", "ex1", 3, 3, "right")],
    )
    append_row(row, tmp_path / "out")
    (tmp_path / "ann.ipynb").write_text("")
    rows = grading.grade(tiny, [tmp_path / "ann.ipynb"], tmp_path / "out")
    assert [(r.student, r.status) for r in rows] == [("ann", "unreadable"), ("zoe", "graded")]


@pytest.mark.parametrize("command", ["release", "grade"])
def test_windows_is_told_of_wsl_in_one_sentence(
    command: str, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr("resnetbook.grading.run.sys.platform", "win32")
    given = [str(tiny)] if command == "release" else [str(tiny), str(tmp_path)]
    assert cli.main([command, *given, "-o", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "Windows" in said
    assert "WSL" in said
    assert not (tmp_path / "out").exists()
