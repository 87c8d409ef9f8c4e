"""One student's kernel, seen from outside: deadlines, death and floods; `session` goes on after each of them.

Built on nbval's `RunningKernel`. What nbval leaves open is done here: one deadline for a cell, a dead kernel seen
within 0.2 s, and a cap on what a cell may send while it runs.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import Any

import zmq
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import KernelManager
from nbval.kernel import RunningKernel

from resnetbook.grading.limits import FLOOD_LIMIT, OUTPUT_LIMIT, VALUE_LIMIT
from resnetbook.grading.values import MIME

__all__ = ["FATAL", "Kernel", "Outcome"]

POLL = 0.2
GRACE = 2.0
FATAL = ("timeout", "died", "flood")
"""Ends of a cell after which the kernel is not used any more."""

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_LINE = re.compile(r"Cell In\[(\d{1,6})\], line (\d{1,6})")
_KEPT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "SYSTEMROOT", "TMPDIR")


@dataclass
class Outcome:
    """How a cell ended: "ok", "error", "timeout", "died" or "flood", and what it sent."""

    status: str = "ok"
    values: list[Any] = field(default_factory=list)
    printed: str = ""
    """The first 10,000 characters that went to stdout."""
    error: str = ""
    message: str = ""
    frames: list[tuple[int, int]] = field(default_factory=list)
    """(execution count, line) of each frame of the traceback that lies in a cell."""
    where: list[tuple[Any, int]] = field(default_factory=list)
    """The same with the cell's label in place of the count."""
    count: int = 0
    seconds: float = 0.0
    cut: bool = False
    """More was sent than is looked at."""


def _size(content: Any) -> int:
    """The bytes of a message, nearly: long strings are counted, not encoded again."""
    if isinstance(content, str):
        return len(content) + 2
    if isinstance(content, dict):
        return sum(len(str(key)) + _size(item) + 4 for key, item in content.items())
    return sum(map(_size, content)) + 2 if isinstance(content, list) else 8


class _OneSpec(KernelSpecManager):
    """Knows one kernel, ours, whatever a notebook asks for."""

    argv: list[str]

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return KernelSpec(argv=self.argv, display_name="graded", language="python")


def kernel_command(limits: Mapping[str, int]) -> list[str]:
    """The command that starts the kernel. A cage goes around this command, and around nothing else."""
    start = "from resnetbook.grading._kernel import main; main()"
    options = ["-f", "{connection_file}", "--HistoryManager.hist_file=:memory:"]
    return [sys.executable, "-c", start, json.dumps(dict(limits)), *options]


def kernel_environment(folder: Path, hash_seed: int) -> dict[str, str]:
    """The environment of the kernel: next to nothing of the grader's own."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    places = (
        "HOME",
        "IPYTHONDIR",
        "JUPYTER_RUNTIME_DIR",
        "MPLCONFIGDIR",
        "XDG_CACHE_HOME",
        "XDG_CONFIG_HOME",
    )
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return {
        **kept,
        **dict.fromkeys(places, str(folder)),
        **dict.fromkeys(threads, "1"),
        "PYTHONHASHSEED": str(hash_seed),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONIOENCODING": "utf-8",
    }


class Kernel(RunningKernel):  # type: ignore[misc]
    """nbval's kernel, started by our command in an empty folder, with a cap on what it may send."""

    def __init__(self, folder: Path, limits: Mapping[str, int], hash_seed: int) -> None:
        self.bytes = self.size = 0
        scratch = Path(tempfile.mkdtemp(prefix="s", dir=folder))
        specs = _OneSpec()
        specs.argv = kernel_command(limits)
        context: zmq.Context[Any] = zmq.Context()
        context.setsockopt(zmq.MAXMSGSIZE, FLOOD_LIMIT)
        context.setsockopt(zmq.LINGER, 0)
        self.km = KernelManager(kernel_name="graded", kernel_spec_manager=specs, context=context)
        address = str(Path(tempfile.mkdtemp(prefix="k", dir=folder)) / "k")
        self.km.connection_file = f"{address}.json"
        if os.name == "posix" and len(address) < 90:  # sockets in a folder: no port can be taken or guessed
            self.km.transport, self.km.ip = "ipc", address
        silent = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.km.start_kernel(cwd=str(scratch), env=kernel_environment(scratch, hash_seed), **silent)
        self.kc = self.km.client()
        self.kc.start_channels()
        try:
            self.kc.wait_for_ready(timeout=120)
            self._ensure_iopub_up()
        except RuntimeError:
            self.stop()
            raise

    def get_message(self, stream: str, timeout: float | None = None) -> Any:
        """Get one message and count its size; a message that is none is passed over."""
        try:
            message = super().get_message(stream, timeout=timeout)
            content = message["content"]
            self.size = _size(content) + sum(len(part) for part in message.get("buffers", ()))
            self.bytes += self.size
            if isinstance(content, dict) and isinstance(message["parent_header"], dict):
                return message
        except Empty:
            raise
        except Exception:  # the kernel writes these bytes: anything may be wrong with them
            self.bytes += 10_000
        raise Empty

    def run(self, source: str, seconds: float) -> Outcome:
        """Run one cell to its end, or to ours."""
        self.bytes = 0
        began = time.monotonic()
        outcome = Outcome()
        request = self.kc.execute(source, store_history=True, allow_stdin=False, stop_on_error=False)
        idle = replied = interrupted = 0.0
        while not (idle and replied):
            now = time.monotonic()
            outcome.seconds = now - began
            if (
                self.bytes > FLOOD_LIMIT
                or (replied and now - replied > GRACE)
                or (idle and now - idle > GRACE)
            ):
                # A reply without its end of output: a message too large for us closed the line.
                outcome.status = "flood"
                break
            if interrupted and now - interrupted > GRACE / 2:
                break
            if not interrupted and outcome.seconds > seconds:
                self.interrupt()  # to learn where the loop is; the kernel is ended all the same
                interrupted = now
                outcome.status = "flood" if self.bytes > OUTPUT_LIMIT else "timeout"
            try:
                message = self.get_message("iopub", timeout=min(POLL, seconds))
            except Empty:
                if not self.is_alive():
                    outcome.status = outcome.status if interrupted else "died"
                    break
                message = None
            if message is not None and message["parent_header"].get("msg_id") == request:
                idle = idle or self._take(message, outcome)
                replied = replied and time.monotonic()  # there is more to come
            if not replied and (message is None or idle):
                replied = self._reply(request, outcome)
        if outcome.status == "ok" and self.bytes > FLOOD_LIMIT:
            outcome.status = "flood"
        if outcome.status == "ok" and outcome.error:
            outcome.status = "error"
        outcome.seconds = time.monotonic() - began
        outcome.cut = self.bytes > OUTPUT_LIMIT
        return outcome

    def _take(self, message: Any, outcome: Outcome) -> float:
        """Note what a message says; return the time if it is the last one of the cell, else 0."""
        kind, content = message.get("msg_type"), message["content"]
        if kind == "status" and content.get("execution_state") == "idle":
            return time.monotonic()
        if kind in ("display_data", "execute_result") and isinstance(content.get("data"), dict):
            if MIME in content["data"] and len(outcome.values) < 2:  # two are one too many already
                outcome.values.append(content["data"][MIME] if self.size <= VALUE_LIMIT else None)
        elif self.bytes > OUTPUT_LIMIT and kind != "error":
            pass  # pictures and prints are cut here, an error is still heard
        elif kind == "stream" and content.get("name") == "stdout" and len(outcome.printed) < 10_000:
            outcome.printed += str(content.get("text", ""))[:10_000]
        elif kind == "error":
            outcome.error = str(content.get("ename", "Error"))[:200]
            outcome.message = str(content.get("evalue", ""))[:2000]
            lines = content.get("traceback")
            text = "\n".join(str(line) for line in lines) if isinstance(lines, list) else ""
            found = _LINE.findall(_ANSI.sub("", text[:200_000]))
            outcome.frames = [(int(count), int(line)) for count, line in found[:50]]
        return 0.0

    def _reply(self, request: str, outcome: Outcome) -> float:
        """Take the reply if it is there; a reply of an error counts although no error was shown."""
        try:
            message = self.get_message("shell", timeout=0.05)
        except Empty:
            return 0.0
        if message["parent_header"].get("msg_id") != request:
            return 0.0
        content = message["content"]
        count = content.get("execution_count")
        outcome.count = count if isinstance(count, int) else 0
        if content.get("status") != "ok":
            outcome.error = outcome.error or str(content.get("ename", "Error"))[:200]
        return time.monotonic()

    def stop(self) -> None:
        """End the kernel and all of its process group, whatever it does."""
        if not hasattr(self, "km"):
            return
        self.kc.stop_channels()
        self.km.shutdown_kernel(now=True)
        del self.km
