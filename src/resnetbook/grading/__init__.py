"""Release an assignment, grade submissions and report on them.

The three functions import what they need when they are called: the extra `grade` (nbval, pytest, ipykernel).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resnetbook.grading.releasing import Released
    from resnetbook.grading.results import Row

__all__ = ["grade", "release", "report"]


def release(master: str | Path, out: str | Path, *, workers: int = 2, strict: bool = False) -> Released:
    """Make the student's notebook from a master: see `resnetbook.grading.releasing.release`."""
    from importlib import import_module

    module = import_module("resnetbook.grading.releasing")
    made: Released = module.release(master, out, workers=workers, strict=strict)
    return made


def grade(
    master: str | Path,
    submissions: Sequence[str | Path],
    out: str | Path,
    *,
    workers: int = 1,
    strict: bool = False,
    secret: bytes | None = None,
    progress: Callable[[Row, int, int], None] | None = None,
) -> list[Row]:
    """Grade submissions against a master: see `resnetbook.grading.marking.grade`."""
    from importlib import import_module

    module = import_module("resnetbook.grading.marking")
    rows: list[Row] = module.grade(
        master, submissions, out, workers=workers, strict=strict, secret=secret, progress=progress
    )
    return rows


def report(folder: str | Path, *, book: str | None = None) -> Path:
    """Write reports from a folder of results: see `resnetbook.grading.reporting.report`."""
    from importlib import import_module

    path: Path = import_module("resnetbook.grading.reporting").report(folder, book=book)
    return path
