"""The pytest plugin in whose process a verdict is reached: `python -m pytest -p resnetbook.grading.plugin`.

The work comes on standard input, the verdicts leave through a pipe, one JSON line a cell: neither lies in a file that
a student's kernel could open. Cells are nbval's (`IPyNbFile`, `IPyNbCell`); the comparison sees one MIME type.
"""

from __future__ import annotations

import base64
import builtins
import contextlib
import json
import os
import secrets
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import nbformat
import pytest
from nbval.plugin import IPyNbCell, IPyNbFile, NbCellError

from resnetbook.grading import checks, job
from resnetbook.grading.kernel import FATAL, Outcome
from resnetbook.grading.operands import OTHER
from resnetbook.grading.session import Session
from resnetbook.grading.values import MIME, close

_ERRORS = frozenset(
    n for n, v in vars(builtins).items() if isinstance(v, type) and issubclass(v, BaseException)
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that names the pipe of the verdicts."""
    parser.addoption("--graded-pipe", type=int, default=None, help="file descriptor that takes the verdicts")


def pytest_configure(config: pytest.Config) -> None:
    """Read the work from standard input, with a soft memory limit on this process (the kernel sets its own)."""
    if config.option.graded_pipe is None:
        return
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, resource.getrlimit(resource.RLIMIT_AS)[1]))
    pipe = os.fdopen(config.option.graded_pipe, "w", encoding="utf-8")
    config.pluginmanager.register(Verdicts(pipe), "resnetbook-verdicts")


class Verdicts:
    """Collects one graded file and writes each cell's verdict as soon as it is known."""

    def __init__(self, pipe: TextIO) -> None:
        self.pipe = pipe

    def write(self, line: dict[str, Any]) -> None:
        """Write one JSON line and flush it: what is known survives a kill."""
        self.pipe.write(json.dumps(line) + "\n")
        self.pipe.flush()

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        """Take the one file there is; its content came on standard input."""
        if file_path.suffix != ".ipynb":
            return None
        found: pytest.Collector = GradedFile.from_parent(parent, path=file_path)
        return found

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Pass a verdict on."""
        if report.when == "call":
            for name, value in report.user_properties:
                if name == "verdict" and isinstance(value, dict):
                    self.write(value)
        elif report.failed:
            self.write({"event": "trouble", "message": str(report.longrepr)[-500:]})


class GradedFile(IPyNbFile):  # type: ignore[misc]
    """A submission put into the master's cells."""

    session: Session

    def collect(self) -> Iterator[pytest.Item]:
        """Yield one item for each cell to run."""
        verdicts: Verdicts = self.config.pluginmanager.get_plugin("resnetbook-verdicts")
        work = json.load(sys.stdin)
        self.references: dict[str, Any] = work.get("references", {})
        self.inside, self.valueless = frozenset(work.get("inside", ())), frozenset(work.get("valueless", ()))
        plan = job.plan(
            base64.b64decode(work["master"]),
            base64.b64decode(work["submission"]) if work["submission"] is not None else None,
            mode=work["mode"],
        )
        verdicts.write({"event": "plan", **plan.summary})
        self.limits, self.seed = plan.limits, int(work.get("seed", 0))
        self.stopped: dict[str, str] = {}
        self.sent_hidden = False
        for number, step in enumerate(plan.steps):
            cell = nbformat.from_dict(
                {"cell_type": "code", "source": step.source, "metadata": {}, "outputs": []}
            )
            item = GradedCell.from_parent(
                self, name=f"Cell {number}", cell_num=number, cell=cell, options=defaultdict(bool)
            )
            item.step = step
            yield item

    def setup(self) -> None:
        """Prepare a kernel; it starts with the first cell."""
        self.setup_sanitize_files()
        self.session = Session(self.path.parent, self.limits, hash_seed=self.seed)

    def teardown(self) -> None:
        """End the kernel."""
        self.session.close()


class GradedCell(IPyNbCell):  # type: ignore[misc]
    """One cell; where it is a check, `runtest` passes if and only if the value is right."""

    step: job.Step
    sent: checks.Sent
    value: Any = None
    inside = False

    def setup(self) -> None:
        """Nothing: nbval would expect every cell after a time-out to fail."""

    def runtest(self) -> None:
        """Run the cell, judge its value if it is a check, and note the verdict."""
        step, file = self.step, self.parent
        if step.exercise in file.stopped and step.kind in ("solution", "check", "extra"):
            self.note("not run", message=f"not run: {file.stopped[step.exercise]}")
            return
        try:
            outcome = self.execute(step)
        except RuntimeError as error:  # no kernel could be started
            self.note("not run", message=f"the kernel could not be started: {error}"[:300])
            return
        if outcome.status in FATAL and step.exercise:
            file.stopped[step.exercise] = (
                f"an earlier cell of this exercise ended the kernel ({outcome.status})"
            )
        if step.kind != "check":
            self.note(outcome.status, outcome)
            return
        verdict = self.judge(outcome)
        self.note(verdict, outcome)
        if verdict != "right":
            raise NbCellError(self.cell_num, "Cell outputs differ", "")

    def execute(self, step: job.Step) -> Outcome:
        """Send the cell to the kernel; before it, in a disturbed run, other seeds."""
        file = self.parent
        source = step.source
        if step.kind == "check":
            self.sent = checks.sent(source, secrets.token_hex(16), plain=step.plain)
            source = self.sent.source
            file.sent_hidden = True
        if file.seed and step.kind in ("check", "solution"):
            disturb = f"__import__('sys').modules['resnetbook.grading._kernel'].disturb({file.seed + self.cell_num})"
            file.session.run(disturb, 30.0, keep=False)
        outcome: Outcome = file.session.run(source, step.seconds, keep=step.kind != "check", label=step)
        return outcome

    def judge(self, outcome: Outcome) -> str:
        """Reach the verdict: exactly one value, no error, all asserts stand, and equal to the reference."""
        file, step = self.parent, self.step
        if outcome.status != "ok":
            return outcome.status
        if len(outcome.values) != 1:
            return "no value" if not outcome.values else "two values"
        stands, self.value = checks.taken(outcome.values[0], self.sent, compared=step.id not in file.inside)
        if step.id not in file.references:
            self.inside = not stands
            return "value"  # the master itself, or its stub: nothing to compare with
        reference = file.references[step.id]
        if not stands:
            return "wrong"
        if step.id in file.valueless or (isinstance(reference, dict) and OTHER in reference):
            return "right"
        same = self.compare_outputs([self.output(self.value)], [self.output(reference)])
        return "right" if same else "wrong"

    @staticmethod
    def output(value: Any) -> Any:
        """An output as nbval knows it, of our type alone."""
        return nbformat.from_dict(
            {"output_type": "display_data", "metadata": {}, "data": {MIME: {"value": value}}}
        )

    def compare_outputs(self, test: Any, ref: Any, skip_compare: Any = None) -> bool:
        """nbval's comparison, of one word for each value: whether it is within the check's tolerances.

        A difference is so shown without the values, and without the time that a diff of long lists takes.
        """
        references = [output["data"][MIME]["value"] for output in ref]
        values = [output["data"][MIME]["value"] for output in test]
        for output, value, reference in zip(test, values, references, strict=False):
            same = close(value, reference, rtol=self.step.rtol, atol=self.step.atol)
            output["data"][MIME] = {"value": "the reference" if same else "something else"}
        for output in ref:
            output["data"][MIME] = {"value": "the reference"}
        return bool(super().compare_outputs(test, ref, skip_compare))

    def note(self, verdict: str, outcome: Outcome | None = None, message: str = "") -> None:
        """Keep the verdict for the report, without anything that a hidden check could be read from."""
        step = self.step
        line: dict[str, Any] = {"event": "cell", "kind": step.kind, "id": step.id, "exercise": step.exercise}
        line |= {"verdict": verdict, "message": message}
        if outcome is not None:
            line |= {"seconds": round(outcome.seconds, 2), **self.error(outcome)}
            if outcome.cut:
                line["cut"] = True
            if step.kind == "public":
                line["printed"] = outcome.printed
            if verdict == "value":
                line |= {"value": self.value, "inside": self.inside}
        self.user_properties.append(("verdict", line))

    def error(self, outcome: Outcome) -> dict[str, Any]:
        """The error's type, its place in the student's own lines, and its text while that can give nothing away.

        Once a check has been sent, a student's code may know it and put it into a message or into a class's name.
        """
        if not outcome.error:
            return {}
        name = outcome.error if outcome.error in _ERRORS else "an exception of its own"
        found = {"error": name, "lines": self.own_lines(outcome)}
        if not self.parent.sent_hidden:
            found["error_text"] = outcome.message[:500]
        return found

    def own_lines(self, outcome: Outcome) -> list[dict[str, Any]]:
        """The frames that lie in the student's own cells, with the text taken from what was handed in."""
        lines = []
        for step, number in outcome.where:
            if step is None or step.kind not in ("solution", "extra"):
                continue
            text = step.source.split("\n")
            if 1 <= number <= len(text):
                lines.append({"exercise": step.exercise, "line": number, "text": text[number - 1][:200]})
        return lines[-8:]

    def repr_failure(self, excinfo: Any) -> str:
        """A short text: pytest's own output is not the report."""
        return str(excinfo.value)[:300]
