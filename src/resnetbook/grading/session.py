"""A student's kernel that comes back after a loss, and what ran clean is replayed. `run` is all that a grader needs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resnetbook.grading.kernel import FATAL, Kernel, Outcome

__all__ = ["Session"]


class Session:
    """A kernel that is replaced when it is lost.

    Args:
        folder: a short path, empty, for sockets and scratch folders; nothing secret may lie in it.
        limits: memory_mb, cpu_seconds and file_mb of the kernel.
        hash_seed: PYTHONHASHSEED of the kernel.
    """

    def __init__(self, folder: Path, limits: Mapping[str, int], *, hash_seed: int = 0) -> None:
        self._start = lambda: Kernel(folder, limits, hash_seed)
        self._kernel: Kernel | None = None
        self._clean: list[tuple[str, float, Any]] = []
        self._labels: dict[int, Any] = {}

    def run(self, source: str, seconds: float, *, keep: bool, label: Any = None) -> Outcome:
        """Run a cell.

        Args:
            source: the cell.
            seconds: its deadline; the kernel is ended when it is over.
            keep: later cells may need what this one defines: replay it in a fresh kernel.
            label: what `Outcome.where` calls this cell.
        """
        if self._kernel is None:
            self._revive()
        assert self._kernel is not None
        outcome = self._execute(source, seconds, label)
        if outcome.status in FATAL:
            self.close()
        elif keep:
            self._clean.append((source, seconds, label))
        return outcome

    def _execute(self, source: str, seconds: float, label: Any) -> Outcome:
        assert self._kernel is not None
        outcome = self._kernel.run(source, seconds)
        if outcome.count:
            self._labels[outcome.count] = label
        latest = outcome.count or max((count for count, _ in outcome.frames), default=0)
        outcome.where = [
            (label if count == latest else self._labels.get(count), line) for count, line in outcome.frames
        ]
        return outcome

    def _revive(self) -> None:
        """Start a kernel and replay; a cell that now fails fatally is left out, and all begins again."""
        for _ in range(3):
            self._kernel = self._start()
            self._labels.clear()
            for cell in list(self._clean):
                if self._execute(*cell).status in FATAL:
                    self._clean.remove(cell)
                    self.close()
                    break
            else:
                return
        self._clean.clear()
        self._kernel = self._start()
        self._labels.clear()

    def close(self) -> None:
        """End the kernel, if there is one."""
        if self._kernel is not None:
            self._kernel.stop()
            self._kernel = None
