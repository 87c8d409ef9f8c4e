"""One batch of honest, odd, broken and hostile submissions: each gets its row and its points."""

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from resnetbook import grading
from resnetbook.grading.results import Row

POISON = {
    "redefined_checker": """
import builtins, math, sys
from resnetbook.grading import _kernel, values
values.encode = _kernel.encode = lambda value: True
_kernel.publish = lambda value: None
double = mean = total = lambda xs: 1
""",
    "always_equal": """
class Anything(float):
    __eq__ = __le__ = __ge__ = lambda self, other: True
    __hash__ = float.__hash__
    def __abs__(self): return 0.0
    def __sub__(self, other): return 0.0
    __rsub__ = __add__ = __radd__ = __sub__
double = mean = total = lambda xs: Anything()
""",
    "hidden_traceback": """
get_ipython().showtraceback = lambda *a, **k: None
type(get_ipython()).showtraceback = lambda *a, **k: None
def double(xs): raise ValueError("hidden")
mean = total = double
""",
    "input_transformer": """
get_ipython().input_transformers_post.append(lambda lines: ["None\\n"])
double = mean = total = lambda xs: xs
""",
    "own_value": """
def double(xs):
    from IPython.display import publish_display_data
    for guess in (0, 1, [6, 10, 20], {"mean": 7.46875 / 3}):
        publish_display_data({"application/x-resnetbook-value+json": guess})
    return [2 * x for x in xs]
mean = total = double
""",
    "asserts": "import sys\nsys.flags = None\n__debug__ = 0\ndouble = mean = total = lambda xs: None",
}

# name: (answers, points of ex1, ex2, ex3)
CASES: dict[str, tuple[dict[str, str], tuple[float, float, float]]] = {
    "right": ({"rest": "right"}, (3, 3, 4)),
    "prints_and_warns": (
        {
            "ex1": "import warnings, sys\ndef double(xs):\n    print('debug', xs)\n    warnings.warn('old')\n"
            "    print('err', file=sys.stderr)\n    return [2 * x for x in xs]\ndouble([1])",
            "rest": "right",
        },
        (3, 3, 4),
    ),
    "rounding": (
        {"ex1": "def double(xs):\n    return [x / 0.5 * (1 + 1e-15) if x % 1 else 2 * x for x in xs]", "rest": "right"},
        (3, 3, 4),
    ),
    "numpy": (
        {
            "ex1": "import numpy as np\ndef double(xs):\n    return 2 * np.asarray(xs)",
            "ex2": "import numpy as np\ndef mean(xs):\n    return np.mean(xs)",
            "rest": "right",
        },
        (3, 3, 4),
    ),
    "tuple_and_floats": ({"ex1": "def double(xs):\n    return tuple(2.0 * x for x in xs)", "rest": "right"}, (3, 3, 4)),
    "stubs": ({}, (0, 0, 0)),
    "partly": ({"ex1": "def double(xs):\n    return [2 * int(x) for x in xs]", "rest": "right"}, (2, 3, 4)),
    "wrong": ({"ex1": "def double(xs):\n    return [x ** 2 for x in xs]", "rest": "right"}, (0, 3, 0)),
    "syntax_error": ({"ex2": "def mean(xs)\n    return 1", "rest": "right"}, (3, 0, 4)),
    "endless": ({"ex2": "def mean(xs):\n    while True:\n        pass", "rest": "right"}, (3, 0, 4)),
    "stubborn": (
        {
            "ex2": "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True:\n    pass",
            "rest": "right",
        },
        (3, 0, 4),
    ),
    "exits": ({"ex2": "import os\ndef mean(xs):\n    os._exit(0)", "rest": "right"}, (3, 0, 4)),
    "quits": ({"ex2": "def mean(xs):\n    raise SystemExit(0)", "rest": "right"}, (3, 0, 4)),
    "bomb": ({"ex2": "def mean(xs):\n    held = []\n    while True:\n        held.append(bytearray(10**8))", "rest": "right"}, (3, 0, 4)),
    "flood": ({"ex2": "def mean(xs):\n    while True:\n        print('x' * 1000)", "rest": "right"}, (3, 0, 4)),
    "giant": ({"ex2": "def mean(xs):\n    print('x' * 50_000_000)\n    return sum(xs) / len(xs)", "rest": "right"}, (3, 0, 4)),
    **{name: ({"ex1": source, "ex2": "# mine\nmean = mean", "ex3": "total = total"}, (0, 0, 0)) for name, source in POISON.items()},
}  # fmt: skip


def _files(
    folder: Path, hand_in: Callable[..., Any], master: Path, right: dict[str, str]
) -> dict[str, tuple[float, ...]]:
    """Write submissions whose file, not whose code, is unusual; return the points they deserve."""
    full, none = (3.0, 3.0, 4.0), (0.0, 0.0, 0.0)
    text = json.dumps(hand_in(rest="right"))

    def write(name: str, notebook: Any) -> None:
        (folder / name).write_text(notebook if isinstance(notebook, str) else json.dumps(notebook))

    lost = hand_in(rest="right")
    for cell in lost["cells"]:
        cell["metadata"] = {}
        cell.pop("id")
    write("lost_metadata.ipynb", lost)
    doubled = hand_in(rest="right")
    doubled["cells"].insert(1, {**doubled["cells"][2], "source": "def double(xs):\n    return xs"})
    doubled["cells"].append(doubled["cells"][3])
    write("duplicate_ids.ipynb", doubled)
    deleted = hand_in(rest="right")
    deleted["cells"] = [c for c in deleted["cells"] if c["metadata"].get("nbgrader", {}).get("solution")]
    write("deleted_checks.ipynb", deleted)
    edited = hand_in(ex1="def double(xs):\n    return xs")
    edited["cells"][-1]["source"] = "30"
    edited["cells"][-1]["outputs"] = [
        {"output_type": "display_data", "metadata": {}, "data": {"application/x-resnetbook-value+json": 30}}
    ]
    write("edited_checks.ipynb", edited)
    helped = hand_in(rest="right", ex1="def double(xs):\n    return [twice(x) for x in xs]")
    helped["cells"].insert(
        2, {"cell_type": "code", "source": ["def twice(x):\n", "    return FACTOR * x\n"], "metadata": {}}
    )
    helped["cells"].insert(2, {"cell_type": "code", "source": "FACTOR = 2", "metadata": {}})
    write("added_cells.ipynb", helped)
    write("broken_tail.ipynb", text[: text.index("sum(double")])
    write("no_json.ipynb", "<html>Sign in</html>")
    write("empty.ipynb", "")
    write("nested.ipynb", "[" * 100_000)
    write("no_cells.ipynb", "{}")
    (folder / "bom_crlf.ipynb").write_bytes(b"\xef\xbb\xbf" + text.replace("\\n", "\\r\\n").encode())
    os.symlink(master, folder / "link.ipynb")
    (folder / "nothing").mkdir()
    (folder / "anna.lee" / "ps1").mkdir(parents=True)
    write("anna.lee/ps1/renamed.ipynb", text)
    return {
        **dict.fromkeys(
            ["lost_metadata", "duplicate_ids", "deleted_checks", "added_cells", "bom_crlf", "anna.lee"], full
        ),
        **dict.fromkeys(["edited_checks", "no_json", "empty", "nested", "no_cells", "link", "nothing"], none),
        "broken_tail": (3.0, 3.0, 0.0),
    }


@pytest.fixture(scope="module")
def batch(
    tmp_path_factory: pytest.TempPathFactory, tiny: Path, hand_in: Callable[..., Any], right: dict[str, str]
) -> tuple[Path, dict[str, Row], dict[str, tuple[float, ...]]]:
    """Grade all cases in one call with two workers."""
    folder = tmp_path_factory.mktemp("batch")
    submissions = folder / "submissions"
    submissions.mkdir()
    deserved: dict[str, tuple[float, ...]] = _files(submissions, hand_in, tiny, right)
    for name, (answers, points) in CASES.items():
        (submissions / f"{name}.ipynb").write_text(json.dumps(hand_in(**answers)))
        deserved[name] = points
    rows = grading.grade(tiny, [submissions], folder / "out", workers=2)
    return folder, {row.student: row for row in rows}, deserved


def test_every_submission_gets_the_points_it_deserves(
    batch: tuple[Path, dict[str, Row], dict[str, Any]],
) -> None:
    _, rows, deserved = batch
    assert set(rows) == set(deserved)
    got = {name: tuple(rows[name].exercises.values()) for name in deserved}
    assert got == deserved, {name: (got[name], deserved[name]) for name in got if got[name] != deserved[name]}


@pytest.mark.parametrize(
    ("student", "check", "verdict"),
    [
        ("endless", "ex2-a", "timeout"),
        ("stubborn", "ex2-a", "not run"),
        ("exits", "ex2-a", "died"),
        ("bomb", "ex2-a", "error"),
        ("flood", "ex2-a", "flood"),
        ("giant", "ex2-a", "flood"),
        ("own_value", "ex1-a", "two values"),
        ("always_equal", "ex1-a", "error"),
        ("hidden_traceback", "ex1-a", "error"),
        ("redefined_checker", "ex1-a", "no value"),
        ("stubs", "ex1-a", "unanswered"),
        ("wrong", "ex1-a", "wrong"),
    ],
)
def test_the_verdict_names_what_happened(batch: Any, student: str, check: str, verdict: str) -> None:
    row = batch[1][student]
    assert {c.id: c.verdict for c in row.checks}[check] == verdict


@pytest.mark.parametrize(
    ("student", "words"),
    [
        ("no_json", "not a notebook"),
        ("empty", "empty"),
        ("nested", "not a notebook"),
        ("no_cells", "no cells"),
        ("link", "link"),
        ("nothing", "holds no notebook"),
    ],
)
def test_the_unreadable_have_a_row_with_a_reason(batch: Any, student: str, words: str) -> None:
    row = batch[1][student]
    assert row.status == "unreadable"
    assert words in row.reason


@pytest.mark.parametrize(
    ("student", "words"),
    [
        ("lost_metadata", "found by its name"),
        ("duplicate_ids", "3 cells answer it"),
        ("added_cells", "taken along with 2 cell(s)"),
        ("broken_tail", "the file is damaged"),
        ("bom_crlf", "byte order mark"),
    ],
)
def test_repairs_and_fallbacks_are_reported(batch: Any, student: str, words: str) -> None:
    assert any(words in note for note in batch[1][student].notes), batch[1][student].notes


def test_the_table_of_grades(batch: Any) -> None:
    folder, rows, _ = batch
    with open(folder / "out" / "grades.csv", newline="") as file:
        table = list(csv.reader(file))
    assert table[0] == ["student", "status", "ex1", "ex2", "ex3", "points", "max_points"]
    assert len(table) == len(rows) + 1
    assert ["endless", "graded", "3", "0", "4", "7", "10"] in table
    assert ["no_json", "unreadable", "0", "0", "0", "0", "10"] in table
    assert {row.cage for row in rows.values()} == {"none"}


def test_nothing_that_a_student_gets_holds_a_value_or_a_check(batch: Any) -> None:
    folder, _, _ = batch
    grading.report(folder / "out")
    pages = [p for p in (folder / "out").rglob("*") if p.is_file()]
    assert len(pages) > 30
    for page in pages:
        text = page.read_text()
        for secret in ("2.489583", "6, 10, 20", "double([3, 5", "22, 24", "mean([1.25"):
            assert secret not in text, f"{secret} in {page.name}"


def test_own_lines_of_a_traceback_are_shown(batch: Any) -> None:
    folder, rows, _ = batch
    page = grading.report(folder / "out").parent / "feedback" / "syntax_error.html"
    assert "SyntaxError" in page.read_text()
    assert "def mean(xs)" in page.read_text()
    lines = [line["text"] for check in rows["endless"].checks for line in check.problem.get("lines", ())]
    assert any("while True" in line or "pass" in line for line in lines)


def test_what_was_graded_is_not_run_again(batch: Any, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, rows, _ = batch

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("a graded submission was run again")

    monkeypatch.setattr("resnetbook.grading.marking.run", never)
    monkeypatch.setattr("resnetbook.grading.releasing.run", never)
    again = grading.grade(tiny, [folder / "submissions"], folder / "out", workers=2)
    assert [row.points for row in again] == [rows[row.student].points for row in again]
