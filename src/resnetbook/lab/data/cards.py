"""What the book knows of each data set: origin, licence, attribution, files and their sums."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files as package_files
from typing import Any, Literal

from resnetbook._paths import data_dir


@dataclass(frozen=True)
class DataFile:
    """Files of a set that match one pattern.

    Attributes:
        path: pattern relative to the set's folder, e.g. ``images/*.png``.
        count: how many files match.
        sha256: of the file; for a pattern with ``*``, of the sorted lines ``"<sha256>  <path>\\n"``.
        of: ``"bytes"``, or ``"pixels"`` when the sum is taken over the decoded arrays.
    """

    path: str
    count: int
    sha256: str
    of: Literal["bytes", "pixels"] = "bytes"


@dataclass(frozen=True)
class Card:
    """One data set. `megabytes` is its size on disk; `printable` says whether single figures may be shown.

    `fetch` says how the original source is read (see `resnetbook.lab.data.files.fetch`).
    """

    name: str
    title: str
    megabytes: float
    licence: str
    source: str
    attribution: str
    citation: str
    medical: bool
    printable: bool
    folder: str
    files: tuple[DataFile, ...]
    fetch: Mapping[str, Any]
    sha256: str

    @property
    def fetchable(self) -> bool:
        """Whether `fetch` can get this set from its original source."""
        return self.fetch["kind"] != "none"

    @property
    def text(self) -> str:
        """The card in words (Markdown): shapes, split, traps.

        Raises:
            FileNotFoundError: the package was installed without its cards.
        """
        name = self.name.removesuffix("_64")
        return (data_dir() / "cards" / f"{name}.md").read_text(encoding="utf-8")


def _combined(entries: tuple[DataFile, ...]) -> str:
    """One sum for a set: the file's own, or that of all lines together."""
    if len(entries) == 1:
        return entries[0].sha256
    lines = "".join(f"{entry.sha256}  {entry.path}\n" for entry in entries)
    return hashlib.sha256(lines.encode()).hexdigest()


@cache
def cards() -> tuple[Card, ...]:
    """All sets that the loaders know, in the order of the card file."""
    table = tomllib.loads(package_files(__package__).joinpath("sets.toml").read_text(encoding="utf-8"))
    found = []
    for name, row in table.items():
        entries = tuple(DataFile(**entry) for entry in row.pop("files"))
        row.setdefault("sha256", _combined(entries))
        found.append(Card(name=name, files=entries, **row))
    return tuple(found)


def card(name: str) -> Card:
    """Return the card of one set.

    Raises:
        ValueError: there is no set of that name.
    """
    for entry in cards():
        if entry.name == name:
            return entry
    raise ValueError(f"name={name!r}: expected one of {', '.join(entry.name for entry in cards())}")


def attribution(name: str) -> str:
    """The line that has to stand under a figure that shows images of the set `name`.

    Raises:
        ValueError: there is no set of that name.
    """
    return card(name).attribution
