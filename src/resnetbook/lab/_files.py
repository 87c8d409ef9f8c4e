"""Files that are either whole or absent, and the folders in which the package may write."""

from __future__ import annotations

import os
from pathlib import Path

from resnetbook._paths import data_dir


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path` so that a reader, or a restart after a kill, sees the old file or the new one.

    The bytes go to a neighbour `<name>.tmp`, reach the disk (fsync), and take the name in one step (`os.replace`).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    if os.name == "posix":  # the new name itself must survive a power cut, too
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def checkout() -> Path | None:
    """Return the root of the repository that this package runs from, None when it was installed as a wheel."""
    data = data_dir()
    return data.parent if data.name == "data" else None


def cache_dir() -> Path:
    """Return the user's cache folder of this package; it need not exist yet."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "resnetbook"


def runs_dir() -> Path:
    """Return where unfinished runs live: `runs/` in a checkout (ignored by git), else the user's cache."""
    root = checkout()
    return (root if root is not None else cache_dir()) / "runs"
