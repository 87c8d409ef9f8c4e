"""The assignment on the principle: right answers in other styles, the usual wrong ones, and the released notebook."""

import functools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from resnetbook import grading
from resnetbook.grading.master import Check, Master, load
from resnetbook.grading.releasing import student_notebook
from resnetbook.grading.values import close, encode

MASTER = Path(__file__).parents[2] / "chapters/assignments/principle/master.ipynb"

# exercise: (what stands in the solution, what a student writes instead, the checks that this must cost)
WRONG: list[tuple[str, str, str, set[str]]] = [
    ("ex1", "return functional.relu(out)", "return out", {"ex1-b", "ex1-c"}),
    ("ex1", "out = out + x\n        return functional.relu(out)", "return functional.relu(out) + x", {"ex1-b", "ex1-c"}),
    ("ex1", "return self.bn2(self.conv2(out))", "return functional.relu(self.bn2(self.conv2(out)))", {"ex1-a", "ex1-b", "ex1-c"}),
    ("ex1", "functional.relu(self.bn1(self.conv1(x)))", "self.bn1(functional.relu(self.conv1(x)))", {"ex1-a", "ex1-b", "ex1-c"}),
    ("ex1", "functional.relu(self.bn1(self.conv1(x)))", "functional.relu(self.conv1(x))", {"ex1-a", "ex1-b", "ex1-c"}),
    ("ex1", "out = out + x", "out = out + x.detach()", {"ex1-c"}),
    ("ex2", "x = x[:, :, ::stride, ::stride]", "x = functional.avg_pool2d(x, stride)", {"ex2-a"}),
    ("ex2", "x = x[:, :, ::stride, ::stride]", "x = functional.max_pool2d(x, stride)", {"ex2-a"}),
    ("ex2", "(0, 0, 0, 0, 0, out", "(0, 0, 0, 0, out_channels - in_channels, 0 * out", {"ex2-a"}),
    ("ex2", "bias=False", "bias=True", {"ex2-b"}),
    ("ex2", 'if kind != "C" and', 'if kind == "A" and', {"ex2-b", "ex2-c"}),
    ("ex2", "nn.Sequential(convolution, nn.BatchNorm2d(out_channels))", "convolution", {"ex2-b", "ex2-c"}),
    ("ex2", "nn.BatchNorm2d(out_channels))", "nn.BatchNorm2d(out_channels), nn.ReLU())", {"ex2-c"}),
    ("ex3", "stem = 27 * w + 2 * w", "stem = 27 * w", {"ex3-a", "ex3-d"}),
    ("ex3", "+ 40 * w + 10", "+ 40 * w", {"ex3-a", "ex3-d"}),
    ("ex3", "9 * w * 2 * w + (2 * n - 1) * 36 * w * w", "2 * n * 36 * w * w", {"ex3-a", "ex3-d"}),
    ("ex3", "pixels // 4 * (18", "pixels * (18", {"ex3-b"}),
    ("ex3", "return stage1 + stage2 + stage3 + 40 * w\n", "return stage1 + stage2 + stage3\n", {"ex3-b"}),
    ("ex3", "pixels * (27 * w +", "pixels * (", {"ex3-b"}),
    ("ex3", "cin * 2 * cin + 2 * 2 * cin", "cin * 2 * cin", {"ex3-c", "ex3-d"}),
    ("ex3", "cin * 2 * cin + 2 * 2 * cin", "9 * cin * 2 * cin + 4 * cin", {"ex3-c", "ex3-d"}),
    ("ex3", "for cin in (width, 2 * width)", "for cin in (width,)", {"ex3-c", "ex3-d"}),
    ("ex4", "upstream * (out + x > 0)", "upstream", {"ex4-a", "ex4-b"}),
    ("ex4", "upstream * (out + x > 0)", "upstream * (out > 0)", {"ex4-a", "ex4-b"}),
    ("ex4", "torch.autograd.grad(out, x, through_relu)", "torch.autograd.grad(out + x, x, through_relu)", {"ex4-b"}),
    ("ex4", "return through_relu, residual", "return residual, through_relu", {"ex4-a", "ex4-b"}),
    ("ex4", "return through_relu, residual", "return through_relu, through_relu * residual", {"ex4-b"}),
    ("ex4", "return through_relu, residual", "return upstream, residual", {"ex4-a"}),
    ("ex4", "parts = [1.0]", "parts = [0.0]", {"ex4-c"}),
    ("ex4", "return parts", "return parts[::-1]", {"ex4-c"}),
    ("ex4", "return parts", "return parts[1:]", {"ex4-c"}),
    ("ex5", "(1 + alpha**2) ** depth", "(1 + alpha) ** depth", {"ex5-a"}),
    ("ex5", "(1 + alpha**2) ** depth", "1 + depth * alpha**2", {"ex5-a"}),
    ("ex5", "(1 + alpha**2) ** depth", "(1 + alpha**2) ** (depth / 2)", {"ex5-a"}),
    ("ex5", "(factor ** (1 / depth) - 1) ** 0.5", "factor ** (1 / depth) - 1", {"ex5-b"}),
    ("ex5", "(factor ** (1 / depth) - 1) ** 0.5", "((factor - 1) / depth) ** 0.5", {"ex5-b"}),
    ("ex5", "(factor ** (1 / depth) - 1) ** 0.5", "factor ** (1 / depth)", {"ex5-b"}),
    ("ex5", "functional.relu(x) @ weight.T", "functional.relu(x) @ weight", {"ex5-c"}),
    ("ex5", "x = x + alpha * functional.relu(x) @ weight.T", "x = functional.relu(x + alpha * x @ weight.T)", {"ex5-c"}),
    ("ex5", "found = [float((x**2).mean())]", "found = []", {"ex5-c"}),
    # The clinic: each symptom read wrongly costs the patients that show it.
    ("ex6", 'return "frozen layers"', 'return "dead ReLU"', {"ex6-10"}),
    ("ex6", 'return "dead ReLU"', 'return "silent branch"', {"ex6-6"}),
    ("ex6", 'return "silent branch"', 'return "dead ReLU"', {"ex6-5"}),
    ("ex6", 'return "detached shortcut" if', 'return "missing shortcut" if', {"ex6-2"}),
    ("ex6", 'else "missing shortcut"', 'else "detached shortcut"', {"ex6-1"}),
    ("ex6", 'return "saturated sigmoid"', 'return "silent branch"', {"ex6-7"}),
    ("ex6", 'return "large weights" if', 'return "missing normalisation" if', {"ex6-8"}),
    ("ex6", 'else "small weights"', 'else "saturated sigmoid"', {"ex6-9"}),
    ("ex6", 'return "missing normalisation"', 'return "doubled shortcut"', {"ex6-4"}),
    ("ex6", 'return "doubled shortcut"', 'return "missing normalisation"', {"ex6-3"}),
    ("ex6", "    identity, residual =", "    return 'healthy'\n    identity, residual =", {f"ex6-{k}" for k in range(1, 11)}),
]  # fmt: skip


@pytest.fixture(scope="module")
def book() -> Master:
    return load(MASTER)


class Bench:
    """Runs answers and checks in this process: the kernel's part of the work without a kernel."""

    def __init__(self, book: Master) -> None:
        self.book = book
        self.space: dict[str, Any] = {}
        for cell, kind in zip(book.cells, book.kinds, strict=True):
            if kind == "given" and "setup" not in cell.tags:
                exec(cell.source, self.space)  # the assignment's own cells
        self.space["chart"] = functools.cache(self.space["chart"])  # a patient is the same each time
        self.values = {
            check.id: self.value(check) for e in book.exercises for check in self.checks(e.id, e.cell.source)
        }

    def checks(self, exercise: str, source: str) -> tuple[Check, ...]:
        exec(source, self.space)
        return self.book.checks_of(exercise)

    def value(self, check: Check) -> Any:
        *before, last = (
            check.source.strip().rsplit("\n", 1) if not check.source.startswith("[\n") else (check.source,)
        )
        exec("\n".join(before), self.space)
        return encode(eval(last, self.space))

    def failing(self, exercise: str, source: str) -> set[str]:
        failed = set()
        for check in self.checks(exercise, source):
            try:
                right = close(self.value(check), self.values[check.id], rtol=check.rtol, atol=check.atol)
            except Exception:
                right = False
            if not right:
                failed.add(check.id)
        return failed


@pytest.fixture(scope="module")
def bench(book: Master) -> Bench:
    return Bench(book)


@pytest.mark.parametrize(("exercise", "right", "wrong", "costs"), WRONG)
def test_the_usual_wrong_answers_cost_their_checks(
    bench: Bench, exercise: str, right: str, wrong: str, costs: set[str]
) -> None:
    (found,) = [e for e in bench.book.exercises if e.id == exercise]
    assert right in found.cell.source
    assert bench.failing(exercise, found.cell.source.replace(right, wrong)) == costs


def test_every_hidden_check_has_three_wrong_answers(book: Master) -> None:
    counts = {c.id: sum(c.id in costs for *_, costs in WRONG) for c in book.checks}
    few = {name: count for name, count in counts.items() if count < (2 if name.startswith("ex6") else 3)}
    assert not few


def test_the_form_of_the_assignment(book: Master) -> None:
    assert len(book.exercises) == 6
    assert sum(check.points for check in book.checks) == 40
    assert all(check.hint and check.link for check in book.checks)
    assert any(not check.hidden for check in book.checks)
    pages = {check.link.partition("#")[0] for check in book.checks}
    assert all((MASTER.parents[2] / f"{page}.ipynb").exists() for page in pages), pages


def test_links_lead_to_headings_that_exist(book: Master) -> None:
    for check in book.checks:
        page, _, anchor = check.link.partition("#")
        text = json.loads((MASTER.parents[2] / f"{page}.ipynb").read_text())
        titles = [
            line.lstrip("# ")
            for cell in text["cells"]
            if cell["cell_type"] == "markdown"
            for line in "".join(cell["source"]).splitlines()
            if line.startswith("#")
        ]
        slugs = {re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in titles}
        assert not anchor or anchor in slugs, (check.id, anchor)


def test_the_released_notebook_is_the_masters(book: Master) -> None:
    """`student.ipynb`, which the book shows, is what release makes of this master; hidden checks are not in it."""
    released = json.loads((MASTER.parent / "student.ipynb").read_text())
    assert released == student_notebook(book), "release the assignment again: its master has changed"
    assert not any(check.source in json.dumps(released) for check in book.checks if check.hidden)


STYLES: dict[str, Callable[[str], str]] = {
    "ex1": lambda s: s.replace("out = out + x", "print(x.shape)\n        out += x"),
    "ex2": lambda s: s.replace("nn.Sequential(convolution", "torch.nn.Sequential(convolution"),
    "ex3": lambda s: "import warnings\n" + s.replace("stem = 27", "warnings.warn('long')\n    stem = 27"),
    "ex4": lambda s: "import numpy\n" + s.replace("return parts", "return numpy.array(parts)"),
    "ex5": lambda s: s.replace("return found", "return torch.tensor(found)"),
    "ex6": lambda s: s,
}


@pytest.mark.slow
def test_the_assignment_is_released_graded_and_reported(book: Master, tmp_path: Path) -> None:
    folder = tmp_path / "submissions"
    folder.mkdir()
    student = tmp_path / "student.ipynb"
    assert grading.release(MASTER, student).warnings == ()
    wrong = {exercise: (right, bad) for exercise, right, bad, _ in WRONG if exercise != "ex6"}
    sources = {e.id: e.cell.source for e in book.exercises}
    answers = {
        "right": {name: style(sources[name]) for name, style in STYLES.items()},
        "wrong": {name: sources[name].replace(*wrong[name]) for name in wrong},
        "stub": {},
    }
    for name, given in answers.items():
        notebook = json.loads(student.read_text())
        for cell in notebook["cells"]:
            exercise = cell["metadata"].get("nbgrader", {}).get("grade_id")
            cell["source"] = given.get(exercise, cell["source"])
        (folder / f"{name}.ipynb").write_text(json.dumps(notebook))
    rows = {row.student: row for row in grading.grade(MASTER, [folder], tmp_path / "out", workers=2)}
    assert rows["right"].points == 40, rows["right"].checks
    lost = {check.id for check in rows["wrong"].checks if check.verdict == "wrong"}
    last = {exercise: costs for exercise, _, _, costs in WRONG if exercise != "ex6"}
    assert lost == set().union(*last.values())
    assert rows["stub"].points == 0
    page = (grading.report(tmp_path / "out").parent / "feedback" / "wrong.html").read_text()
    assert all(check.hint.split("'")[0][:40] in page for check in book.checks if check.id in lost)
