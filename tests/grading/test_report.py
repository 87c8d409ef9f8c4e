"""Reports and the files of results: escaped, without secrets, written whole.

Covers `grading.reporting` through its door, `grading.report`.
"""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from resnetbook import grading
from resnetbook.grading.limits import OUTPUT_LIMIT
from resnetbook.grading.master import Master, load
from resnetbook.grading.results import (
    BY_HAND,
    CheckRow,
    Row,
    append_row,
    grades_csv,
    read_rows,
    remarks,
    write_assignment,
    write_rows,
)

EVIL = "<script>alert(1)</script>"


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


@pytest.fixture
def folder(tiny: Path, tmp_path: Path) -> Path:
    book = load(tiny)
    lines = [{"exercise": "ex1", "line": 2, "text": f"return {EVIL}"}]
    problem = {"error": "ValueError", "error_text": EVIL, "lines": lines}
    row = Row("ann", "graded", points=3.0, max_points=10.0, master=book.digest, notes=[EVIL])
    row.exercises = {"ex1": 0.0, "ex2": 3.0, "ex3": 0.0}
    row.answers = {name: {"how": "grader id", "answered": True} for name in row.exercises}
    row.checks = [
        CheckRow("ex1-a", "ex1", 0.0, 2.0, "error", problem),
        CheckRow("ex1-b", "ex1", 0.0, 1.0, "wrong"),
        CheckRow("ex2-a", "ex2", 3.0, 3.0, "right"),
        CheckRow("ex3-a", "ex3", 0.0, 4.0, "unanswered"),
    ]
    rows = [row, Row("../" + EVIL, "unreadable", reason=EVIL, max_points=10.0, master=book.digest)]
    rows.append(Row("=1+1", "failed", reason="the grader failed", max_points=10.0, master=book.digest))
    write_assignment(book, tmp_path)
    write_rows(book, rows, tmp_path)
    return tmp_path


def test_pages_are_escaped_and_self_contained(folder: Path) -> None:
    index = grading.report(folder)
    pages = [index, *sorted((folder / "feedback").glob("*.html"))]
    assert len(pages) == 4
    assert {page.parent for page in pages[1:]} == {folder / "feedback"}
    for page in pages:
        tags = Tags()
        tags.feed(page.read_text())
        assert not {"script", "link", "img", "iframe"} & set(tags.tags)
        assert ("lang", "en") in tags.attributes
        assert not any(value and value.startswith(("http", "//")) for _, value in tags.attributes)


def test_a_students_page_teaches(folder: Path) -> None:
    grading.report(folder, book="https://example.org/book/")
    page = (folder / "feedback" / "ann.html").read_text()
    assert "hint of ex1-a" in page
    assert "hint of ex2-a" not in page  # that check was right
    assert "return &lt;script&gt;" in page
    assert 'href="https://example.org/book/chapters/2_principle/page.html#part"' in page
    assert "You did not answer this exercise." in page
    assert "3 of 10 points" in page


def test_without_an_address_the_paragraph_is_named(folder: Path) -> None:
    grading.report(folder)
    page = (folder / "feedback" / "ann.html").read_text()
    assert "2_principle/page, paragraph part" in page
    assert "<a " not in page


def test_the_instructors_index_links_every_student(folder: Path) -> None:
    index = grading.report(folder)
    tags = Tags()
    tags.feed(index.read_text())
    links = [value for name, value in tags.attributes if name == "href" and value and "feedback" in value]
    assert len(links) == 3
    assert all((folder / link).exists() for link in links)
    assert json.loads((folder / "report.json").read_text())["checks"]["ex1-b"] == {"wrong": 1}


def test_a_failure_of_the_grader_is_no_zero(folder: Path) -> None:
    table = grades_csv(["ex1", "ex2", "ex3"], read_rows(folder))
    assert "'=1+1,failed,,,,,10" in table.splitlines()
    assert "ann,graded,0,3,0,3,10" in table.splitlines()


def test_a_line_that_broke_off_is_passed_over(tmp_path: Path) -> None:
    append_row(Row("ann", "graded", points=1.0), tmp_path)
    append_row(Row("ann", "graded", points=2.0), tmp_path)
    with open(tmp_path / "results.jsonl", "a") as file:
        file.write('{"student": "bob", "sta')
    assert [(row.student, row.points) for row in read_rows(tmp_path)] == [("ann", 2.0)]


def test_a_folder_without_results(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="run grade first"):
        grading.report(tmp_path)


class Cells(HTMLParser):
    """The text of a table's cells, row by row."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.open = True

    def handle_endtag(self, tag: str) -> None:
        self.open = self.open and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self.open:
            self.rows[-1][-1] += data


def table_of(page: Path) -> dict[str, list[str]]:
    cells = Cells()
    cells.feed(page.read_text())
    return {row[0]: row[1:] for row in cells.rows if row}


def test_the_index_shows_points_and_how_often_each_check_was_right(folder: Path) -> None:
    found = table_of(grading.report(folder))
    assert found["ann"] == ["graded", "0", "3", "0", "3 of 10", EVIL]
    assert found["../" + EVIL] == ["unreadable", "0", "0", "0", "0 of 10", EVIL]  # nothing was found in it
    assert found["=1+1"] == ["failed", "", "", "", "", "the grader failed"]
    assert found["ex2-a"] == ["1 of 1", ""]
    assert found["ex1-a"] == ["0 of 1", "error: 1"]


def test_the_index_has_notes_where_there_is_something_to_note(folder: Path, tiny: Path) -> None:
    assert "<h2>Notes</h2>" not in grading.report(folder).read_text()
    write_assignment(load(tiny), folder, left_out=["README.txt"], notes=["<b>seed</b> it"])
    page = grading.report(folder).read_text()
    assert page.count("<h2>Notes</h2>") == 1
    assert "left out, for they are no submissions: README.txt</li><li>&lt;b&gt;seed" in page
    assert remarks(folder)[:2] == [
        "left out, for they are no submissions: README.txt",
        "note: <b>seed</b> it",
    ]
    write_assignment(load(tiny), folder)
    assert not any("left out" in text for text in remarks(folder))
    assert remarks(folder)[-1] == "=1+1: failed: the grader failed"


def test_an_exercise_that_waits_for_a_person_has_no_points_yet(tmp_path: Path, tiny: Path) -> None:
    book = load(tiny)
    row = Row("bob", "graded", points=3.0, max_points=10.0, master=book.digest, exercises={"ex2": 3.0})
    row.checks = [
        CheckRow("ex1-a", "ex1", 0.0, 3.0, BY_HAND),
        CheckRow("ex2-a", "ex2", 3.0, 3.0, "right"),
        CheckRow("ex3-a", "ex3", 0.0, 4.0, "unanswered"),
    ]
    row.answers = {name: {"how": "grader id", "answered": True} for name in ("ex1", "ex2", "ex3")}
    write_assignment(book, tmp_path)
    write_rows(book, [row], tmp_path)
    assert row.by_hand == 3
    index = table_of(grading.report(tmp_path))
    assert index["bob"][:5] == ["graded", "by hand", "3", "0", "3 of 10"]
    page = (tmp_path / "feedback" / "bob.html").read_text()
    assert "3 points, to be marked by hand" in page
    assert "3 of 3 points" in page
    assert page.count("You did not answer this exercise.") == 1
    assert "3 of 10 points</strong>, and 3 more are to be marked by hand" in page
    lines = grades_csv(["ex1", "ex2", "ex3"], [row]).splitlines()
    assert lines == ["student,status,ex1,ex2,ex3,points,max_points", "bob,graded,,3,0,3,10"]
    lines = grades_csv(["ex1", "ex2", "ex3"], [row], by_hand=True).splitlines()
    assert lines == ["student,status,ex1,ex2,ex3,points,max_points,by_hand", "bob,graded,,3,0,3,10,3"]


def page_of(folder: Path, book: Master, *checks: CheckRow, address: str | None = None, **changes: Any) -> str:
    row = Row("bob", "graded", max_points=10.0, master=book.digest, checks=list(checks), **changes)
    row.answers = {name: {"how": "grader id", "answered": True} for name in ("ex1", "ex2", "ex3")}
    write_assignment(book, folder)
    write_rows(book, [row], folder)
    grading.report(folder, book=address)
    return (folder / "feedback" / "bob.html").read_text()


@pytest.mark.parametrize(
    ("verdict", "words", "tone"),
    [
        ("right", "right", "good"),
        ("wrong", "gives another value than expected", "bad"),
        ("error", "ends in an error", "bad"),
        ("timeout", "took too long and was stopped", "bad"),
        ("flood", f"sent more than {OUTPUT_LIMIT / 1e6:.0f} MB of output", "bad"),
        ("not run", "was not run", "bad"),
        (BY_HAND, "is to be marked by hand", "soft"),
    ],
)
def test_a_page_says_each_verdict_in_words(
    tmp_path: Path, tiny: Path, verdict: str, words: str, tone: str
) -> None:
    one, other = CheckRow("ex1-a", "ex1", 0.0, 2.0, verdict), CheckRow("ex1-b", "ex1", 0.0, 1.0, "wrong")
    page = page_of(tmp_path, load(tiny), one, other)
    assert f'ex1-a: <span class="{tone}">{words}' in page
    assert ("hint of ex1-a" in page) == (tone == "bad")
    assert page.count("No check looks at this exercise.") == 2


def test_an_error_is_shown_with_its_text_and_lines_as_far_as_they_are_known(
    tmp_path: Path, tiny: Path
) -> None:
    lines = [{"exercise": "ex1", "line": 3, "text": "return 1 / 0"}]
    shown = {
        "<p>ZeroDivisionError: division</p><pre": {
            "error": "ZeroDivisionError",
            "error_text": "division",
            "lines": lines,
        },
        "<p>KeyError</p><p>": {"error": "KeyError"},
        '<p class="soft">no answer of the kernel</p>': {"message": "no answer of the kernel"},
    }
    for text, problem in shown.items():
        page = page_of(tmp_path, load(tiny), CheckRow("ex1-a", "ex1", 0.0, 2.0, "error", problem))
        assert text in page
        assert ("ex1, line 3: return 1 / 0" in page) == ("lines" in problem)
    trouble = {"ex1": {"verdict": "timeout"}}
    page = page_of(tmp_path, load(tiny), CheckRow("ex1-a", "ex1", 0.0, 2.0, "not run"), trouble=trouble)
    assert "The cell of your answer took too long and was stopped." in page
    page = page_of(tmp_path, load(tiny), CheckRow("ex1-a", "ex1", 0.0, 2.0, "not run"), trouble={"ex1": {}})
    assert "The cell of your answer did not end well." in page


def test_a_link_into_the_book_is_an_address_and_nothing_else(tmp_path: Path, tiny: Path) -> None:
    check = CheckRow("ex1-a", "ex1", 0.0, 2.0, "wrong")
    for address, href in {
        "https://example.org/b/": "https://example.org/b/chapters/2_principle/page.html#part",
        "../book": "../book/chapters/2_principle/page.html#part",
        "javascript:alert(1)//": None,
        "DATA:text/html,": None,
        "<b>": None,
    }.items():
        page = page_of(tmp_path, load(tiny), check, address=address)
        assert (f'href="{href}"' in page) if href else "<a " not in page


def test_rows_of_another_master_are_kept_beside_those_of_this_one(tmp_path: Path, tiny: Path) -> None:
    book = load(tiny)
    for name in ("ann", "bob"):
        append_row(Row(name, "graded", points=1.0, master="0123456789abcdef"), tmp_path)
    write_rows(book, [Row("eve", "graded", master=book.digest)], tmp_path)
    assert [row.student for row in read_rows(tmp_path)] == ["eve"]
    kept = (tmp_path / "results-01234567.jsonl").read_text()
    assert kept.endswith("}\n")
    assert [json.loads(line)["student"] for line in kept.splitlines()] == ["ann", "bob"]
    assert not list(tmp_path.glob("*.part"))
