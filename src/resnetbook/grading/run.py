"""Start one pytest process for one submission, and bring home what it found, however it ends."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Found", "require_platform", "run"]

_PLUGINS = ("-p", "resnetbook.grading._lean", "-p", "nbval.plugin", "-p", "resnetbook.grading.plugin")
_OPTIONS = (*_PLUGINS, "-p", "no:cacheprovider", "-q", "--capture=no", "--rootdir=.", "-c", os.devnull)


@dataclass
class Found:
    """What a run gave: the plan's summary, the cells' verdicts, and a reason if the process did not end well."""

    plan: Mapping[str, Any] | None = None
    cells: list[dict[str, Any]] = field(default_factory=list)
    trouble: str = ""

    @property
    def values(self) -> dict[str, Any]:
        """Values of checks that were compared with nothing, by check id."""
        return {cell["id"]: cell["value"] for cell in self.cells if "value" in cell}

    @property
    def inside(self) -> frozenset[str]:
        """Checks whose own asserts do not stand a second comparison outside of the kernel."""
        return frozenset(cell["id"] for cell in self.cells if cell.get("inside"))


def run(
    master: bytes,
    submission: bytes | None,
    *,
    mode: str = "grade",
    references: Mapping[str, Any] | None = None,
    inside: Collection[str] = (),
    valueless: Collection[str] = (),
    seed: int = 0,
    wall: float = 900.0,
) -> Found:
    """Run a submission, or the master itself, in a pytest process of its own.

    Args:
        master: bytes of the master notebook.
        submission: bytes of the submission; None runs the master's own solutions.
        mode: see `job.plan`.
        references: encoded values by check id; empty to learn the values instead of judging them.
        inside: checks whose asserts are left to the kernel.
        valueless: checks whose last value counts for nothing.
        seed: other than 0, the kernel gets this hash seed and other random numbers before each check.
        wall: seconds after which the process is killed; the verdicts reached until then count.
    """
    require_platform()
    work = {
        "master": base64.b64encode(master).decode(),
        "submission": None if submission is None else base64.b64encode(submission).decode(),
        "mode": mode,
        "references": dict(references or {}),
        "inside": sorted(inside),
        "valueless": sorted(valueless),
        "seed": seed,
    }
    found = Found()
    with (
        tempfile.TemporaryDirectory(prefix="rb-", ignore_cleanup_errors=True) as name,
        tempfile.TemporaryFile() as log,
    ):
        folder = Path(name)
        (folder / "submission.ipynb").write_text(
            "{}"
        )  # pytest wants a path; the work comes on standard input
        reader, writer = os.pipe()
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *_OPTIONS, f"--graded-pipe={writer}", "submission.ipynb"],
            cwd=folder,
            env={
                **os.environ,
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
                "PYTEST_ADDOPTS": "",
                "PYTHONSAFEPATH": "1",
            },
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            pass_fds=(writer,),
            start_new_session=True,
        )
        os.close(writer)
        timer = threading.Timer(wall, _kill, (process,))
        timer.start()
        try:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError), process.stdin as stdin:
                stdin.write(json.dumps(work).encode())
            _read(reader, found)
            code = process.wait()
        finally:
            timer.cancel()
            _kill(process)
        if code not in (0, 1, 5):  # 1: a check failed, 5: nothing to run
            log.seek(0)
            tail = log.read()[-400:].decode("utf-8", "replace").strip()
            found.trouble = f"the grader's process ended with code {code}: {tail}"
    return found


def require_platform() -> None:
    """Refuse Windows in one sentence.

    Raises:
        RuntimeError: verdicts leave through an inherited pipe, which Windows does not have.
    """
    if sys.platform == "win32" or os.name == "nt":
        raise RuntimeError(
            "release and grade do not run on Windows itself: use WSL, the Windows Subsystem for Linux "
            "(`wsl --install`), and the same command in it; report runs anywhere"
        )


def _read(reader: int, found: Found) -> None:
    with os.fdopen(reader, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                event = json.loads(line)
            except ValueError:  # the last line of a process that was killed
                continue
            kind = event.pop("event", "")
            if kind == "plan":
                found.plan = event
            elif kind == "cell":
                found.cells.append(event)
            else:
                found.trouble = str(event.get("message", ""))


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and its group; its kernel, in a session of its own, dies with its parent (Linux)."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
