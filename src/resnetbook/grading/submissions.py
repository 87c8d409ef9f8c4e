"""Find the submissions in files and folders: one for each student, links and devices refused, what is none left out."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from resnetbook.grading import notebook

__all__ = ["Submission", "find", "read_bytes"]

_NOTEBOOK = re.compile(
    r"\.ipynb(?:\.(?:txt|json|html))?$", re.IGNORECASE
)  # browsers add a suffix of their own
_SYSTEM = {
    "__macosx",
    "__pycache__",
    "thumbs.db",
    "desktop.ini",
    "lost+found",
    "$recycle.bin",
    "icon\r",
    "node_modules",
}
_TABLES = {
    ".csv",
    ".tsv",
    ".xls",
    ".xlsx",
    ".ods",
    ".log",
    ".db",
    ".sqlite",
    ".ini",
    ".cfg",
    ".toml",
    ".yml",
    ".yaml",
}
_LEFTOVERS = {".lnk", ".url", ".tmp", ".part", ".crdownload", ".bak", ".lock", ".sh", ".bat", ".gitignore"}
_PAPERS = re.compile(
    r"(?i)(read[ _-]?me|licen[cs]e|copying|changelog|index|notes?|instructions?|grades?|roster|students?|report|"
    r"results?|feedback|makefile|dockerfile|requirements|moodle.*|canvas.*)"
)


@dataclass(frozen=True)
class Submission:
    """A student and the files that may be theirs, best first; none of them has been opened yet."""

    student: str
    paths: tuple[Path, ...]


def find(places: Sequence[Path], *, apart: Sequence[Path] = ()) -> tuple[list[Submission], list[str]]:
    """Find the submissions: the entries of one folder, or several files and folders that are one submission each.

    A student's id is the first part of the path under the folder, without the suffix of a file: `ann/ps1.ipynb` is
    ann's, `bob.ipynb` is bob's. Of several places each counts as such an entry, so that `submissions` and
    `submissions/*` mean the same. Several notebooks of one student are one submission.

    Args:
        places: where to look.
        apart: the master and the folder of the results: no student's, wherever they lie.

    Returns:
        The submissions, and the names of entries that are none: what a system, a tool or the instructor put there.

    Raises:
        FileNotFoundError: a place does not exist.
        ValueError: nothing was handed in at all.
    """
    for place in places:
        if not os.path.lexists(place):
            raise FileNotFoundError(f"submission {place}: no such file or folder")
    single = len(places) == 1
    is_folder = single and places[0].is_dir() and not places[0].is_symlink()
    files: dict[str, list[Path]] = {}
    left_out: list[str] = []
    for top in sorted(places[0].iterdir()) if is_folder else places:
        if top.name.startswith("."):
            continue
        if (is_folder or not single) and _is_none(top, apart):
            left_out.append(top.name)
            continue
        files.setdefault(_student(top), []).extend(_notebooks(top))
    if not files:
        words = f" (left out: {', '.join(left_out)})" if left_out else ""
        raise ValueError(
            f"submissions: none found{words}; expected notebooks, or folders named after the students"
        )
    return [Submission(_printable(student), tuple(files[student])) for student in sorted(files)], left_out


def _student(top: Path) -> str:
    if top.is_dir() and not top.is_symlink():  # "anna.lee" has no suffix
        return top.name
    return _NOTEBOOK.sub("", top.name) if _NOTEBOOK.search(top.name) else top.stem


def _is_none(top: Path, apart: Sequence[Path]) -> bool:
    """Tell whether an entry is no student's: the grader's own, a system's, or a paper of the instructor's."""
    name = top.name
    if name.lower() in _SYSTEM or name.startswith("~$") or name.endswith("~"):
        return True
    if not top.is_symlink() and any(other.exists() and top.samefile(other) for other in apart):
        return True
    if top.is_dir():
        return (top / "assignment.json").is_file() and (top / "results.jsonl").is_file()
    if _NOTEBOOK.search(name):
        return False
    return top.suffix.lower() in _TABLES | _LEFTOVERS or _PAPERS.fullmatch(top.stem) is not None


def _printable(student: str) -> str:
    """A student's id as it is written to files: no control signs, nothing that a terminal or JSON chokes on."""
    return "".join(s if s.isprintable() else s.encode("unicode_escape").decode() for s in student)


def _notebooks(top: Path) -> Iterator[Path]:
    if not top.is_dir() or top.is_symlink():
        yield top
        return
    for folder, folders, names in os.walk(top, followlinks=False):
        folders[:] = sorted(name for name in folders if name[0] != "." and name.lower() not in _SYSTEM)
        yield from (
            Path(folder, name) for name in sorted(names) if _NOTEBOOK.search(name) and name[0] not in ".~"
        )


def read_bytes(path: Path) -> bytes:
    """Read a submission's bytes, without its stored outputs and pictures.

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
        if status.st_size > notebook.MAX_FILE:
            raise notebook.Unreadable(
                f"the file has {status.st_size} bytes, the limit is {notebook.MAX_FILE}"
            )
        return notebook.lean(file.read(notebook.MAX_FILE + 1))
