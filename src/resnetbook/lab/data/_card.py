"""The shape of a card: what is known of one data set and of its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from resnetbook._paths import data_dir


@dataclass(frozen=True)
class DataFile:
    """Files of a set that match one pattern, with the sum that their source or we have published.

    Attributes:
        path: pattern relative to the set's folder, e.g. ``images/*.png``.
        count: how many files match.
        sha256: of the file; for a pattern with ``*``, of the sorted lines ``"<sha256>  <path>\\n"``. Empty where the
            source publishes an MD5 alone.
        of: ``"bytes"``, or ``"pixels"`` when the sum is taken over the decoded arrays.
        md5: of one file, where there is no `sha256`.
    """

    path: str
    count: int
    sha256: str = ""
    of: Literal["bytes", "pixels"] = "bytes"
    md5: str = ""

    @property
    def published(self) -> tuple[str, str]:
        """Name of the algorithm as hashlib has it, and the sum."""
        return ("sha256", self.sha256) if self.sha256 else ("md5", self.md5)


@dataclass(frozen=True)
class Card:
    """One data set. `printable` says whether single figures may be shown.

    Attributes:
        megabytes: size on disk, or, unless `measured`, that of the arrays before compression, which it cannot exceed.
        folder: where it lies below a folder of data; `layouts` are other places below it, as other packages keep them.
        home: a place of its own outside any folder of data, e.g. ``~/.medmnist``.
        fetch: how the original source is read (see `resnetbook.lab.data.files.fetch`).
        sha256: of the file, or of the lines of all files together; empty where the source publishes MD5 sums alone.
        sizes: sides in pixels or voxels that are published, each in a file of its own; empty for other sets.
        words: the card as text where no file has it.
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
    measured: bool = True
    layouts: tuple[str, ...] = ()
    home: str = ""
    sizes: tuple[int, ...] = ()
    words: str = ""

    @property
    def fetchable(self) -> bool:
        """Whether `fetch` can get this set from its original source."""
        return self.fetch["kind"] != "none"

    @property
    def on_disk(self) -> str:
        """Its size on disk in words; "at most" where only the size before compression is known."""
        return f"{'' if self.measured else 'at most '}{self.megabytes:g} MB"

    @property
    def text(self) -> str:
        """The card in words (Markdown): shapes, split, traps.

        Raises:
            FileNotFoundError: the package was installed without its cards.
        """
        if self.words:
            return self.words
        name = self.name.rpartition("_")[0] if self.name.rpartition("_")[2].isdigit() else self.name
        return (data_dir() / "cards" / f"{name}.md").read_text(encoding="utf-8")
