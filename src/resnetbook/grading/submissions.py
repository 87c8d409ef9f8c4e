"""Find the submissions in files and folders: one for each student, links and devices refused."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from resnetbook.grading import notebook

__all__ = ["Submission", "find", "read_bytes"]


@dataclass(frozen=True)
class Submission:
    """A student and the files that may be theirs, best first; none of them has been opened yet."""

    student: str
    paths: tuple[Path, ...]


def find(places: Sequence[Path]) -> list[Submission]:
    """Find the submissions: the entries of one folder, or several files and folders that are one submission each.

    A student's id is the first part of the path under the folder, without the suffix of a file: `ann/ps1.ipynb` is
    ann's, `bob.ipynb` is bob's. Of several places each counts as such an entry, so that `submissions` and
    `submissions/*` mean the same. Several notebooks of one student are one submission.

    Raises:
        FileNotFoundError: a place does not exist.
        ValueError: nothing was handed in at all.
    """
    for place in places:
        if not os.path.lexists(place):
            raise FileNotFoundError(f"submission {place}: no such file or folder")
    is_folder = len(places) == 1 and places[0].is_dir() and not places[0].is_symlink()
    files: dict[str, list[Path]] = {}
    for top in sorted(places[0].iterdir()) if is_folder else places:
        if not top.name.startswith("."):
            whole = top.is_dir() and not top.is_symlink()  # "anna.lee" has no suffix
            files.setdefault(top.name if whole else top.stem, []).extend(_notebooks(top))
    if not files:
        raise ValueError("submissions: none found; expected notebooks, or folders named after the students")
    return [Submission(_printable(student), tuple(files[student])) for student in sorted(files)]


def _printable(student: str) -> str:
    """A student's id as it is written to files: no control signs, nothing that a terminal or JSON chokes on."""
    return "".join(s if s.isprintable() else s.encode("unicode_escape").decode() for s in student)


def _notebooks(top: Path) -> Iterator[Path]:
    if not top.is_dir() or top.is_symlink():
        yield top
        return
    for folder, folders, names in os.walk(top, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (
            Path(folder, name) for name in sorted(names) if name.endswith(".ipynb") and name[0] != "."
        )


def read_bytes(path: Path) -> bytes:
    """Read a submission's bytes, as many as may be read.

    Raises:
        notebook.Unreadable: it is a link, no ordinary file, too large, or the system refuses it.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        reason = "it is a link" if path.is_symlink() else (error.strerror or str(error))
        raise notebook.Unreadable(f"the file cannot be opened: {reason}") from None
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise notebook.Unreadable("it is no ordinary file")
        if status.st_size > notebook.MAX_BYTES:
            raise notebook.Unreadable(
                f"the file has {status.st_size} bytes, the limit is {notebook.MAX_BYTES}"
            )
        return file.read(notebook.MAX_BYTES + 1)
