"""Where a data set may lie: below `RESNETBOOK_DATA`, in the user's cache, or where another package keeps it.

Search order: the folder named by the environment variable ``RESNETBOOK_DATA``, then the user's cache
(``$XDG_CACHE_HOME/resnetbook``, else ``~/.cache/resnetbook``), then the place that the set's own package uses
(``~/.medmnist``). In the folder that is named, the set's own folder comes first, then the layouts of other packages, then
the folder itself: who names the folder with the files in it means just that.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from resnetbook.lab.data._card import Card

VARIABLE = "RESNETBOOK_DATA"


@dataclass(frozen=True)
class Place:
    """A folder to look in. `own`: it belongs to this set (or its family), so that whatever matches there is meant for it."""

    folder: Path
    own: bool


def _expanded(text: str) -> str:
    """A path as people write it in a settings file: blanks and quotes around it go, ``~`` and ``$HOME`` are replaced."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1].strip()
    return os.path.expanduser(os.path.expandvars(text))


def named_dir() -> Path | None:
    """The folder that ``RESNETBOOK_DATA`` names, ``~`` expanded; of a file, the folder that holds it. None if unset."""
    text = _expanded(os.environ.get(VARIABLE, ""))
    if not text:
        return None
    path = Path(text)
    return path.parent if path.is_file() else path


def cache_dir() -> Path:
    """The user's cache of this book: ``$XDG_CACHE_HOME/resnetbook``, else ``~/.cache/resnetbook``."""
    base = _expanded(os.environ.get("XDG_CACHE_HOME", ""))
    return Path(base or os.path.expanduser("~/.cache")) / "resnetbook"


def search_path() -> tuple[Path, ...]:
    """The folders below which every set is searched, in this order."""
    named = named_dir()
    return (*((named,) if named is not None else ()), cache_dir())


def places(entry: Card) -> Iterator[Place]:
    """The folders in which one set is searched, in this order, whether or not they exist."""
    # A file that bears the set's name is meant for it wherever it lies; `train.npz` in a folder of data may be another's.
    telling = all(Path(file.path).name.startswith(entry.name) for file in entry.files)
    for root in search_path():
        for layout in (entry.folder, *entry.layouts):
            yield Place(root / layout, True)
        if root == named_dir():
            yield Place(root, telling)
    if entry.home:
        yield Place(Path(os.path.expanduser(entry.home)), True)


def shown(path: Path) -> str:
    """A path for a message: the home folder is written ``~``."""
    home, path = Path(os.path.expanduser("~")), path.absolute()
    return f"~/{path.relative_to(home).as_posix()}" if path.is_relative_to(home) else str(path)


def searched(entry: Card) -> str:
    """Where a set was looked for, in words: its files and the folders."""
    wanted = ", ".join(file.path for file in entry.files[:3]) + (", ..." if len(entry.files) > 3 else "")
    return (
        f"looked for {wanted} in {', '.join(dict.fromkeys(shown(place.folder) for place in places(entry)))}"
    )


def mistake() -> str | None:
    """What is wrong with ``RESNETBOOK_DATA`` itself, in words; None if it is unset or names a folder."""
    named = named_dir()
    if named is None or named.is_dir():
        return None
    return f"{VARIABLE} is {os.environ[VARIABLE]!r}, and there is no folder {shown(named)}"
