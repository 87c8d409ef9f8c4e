"""The folder of one run: a single process works in it, and it remembers how long the run has taken."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from resnetbook.lab._files import write_atomically
from resnetbook.lab.running.jobs import ExperimentFailed


class Clock:
    """Wall time of a run over all its sessions, saved after each job."""

    def __init__(self, file: Path):
        self.file, self.started = file, time.perf_counter()
        self.before = float(json.loads(file.read_text())) if file.exists() else 0.0

    def seconds(self) -> float:
        """Return the seconds so far."""
        return self.before + time.perf_counter() - self.started

    def save(self) -> None:
        """Write them down for the next session."""
        write_atomically(self.file, json.dumps(self.seconds()).encode())


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the folder for this process; the system lets go of it when the process ends, however it ends.

    Raises:
        ExperimentFailed: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as file:
        if not _lock(file):
            raise ExperimentFailed(f"{folder.name}: this run is already going on in another process")
        yield


def _lock(file: TextIO) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
