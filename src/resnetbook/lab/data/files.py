"""Where a data set lies, whether it is the right one, and how it is fetched from its source.

Search order: the folder named by the environment variable ``RESNETBOOK_DATA``, then the user's cache
(``$XDG_CACHE_HOME/resnetbook``, else ``~/.cache/resnetbook``). The network is used by `fetch` alone.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import urllib.request
import zipfile
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from resnetbook.lab.data.cards import Card, DataFile, card

_checked: set[tuple[str, Path]] = set()


class DataMissing(FileNotFoundError):
    """A data set is not here, or not as published. The message is one sentence that says what to do."""


def _explain(entry: Card, problem: str) -> str:
    if entry.fetchable:
        remedy = f"run `resnetbook data fetch {entry.name}` or set RESNETBOOK_DATA to a folder that holds it"
    else:
        remedy = (
            f"set RESNETBOOK_DATA to a folder that holds it (it cannot be fetched: {entry.fetch['reason']})"
        )
    return (
        f"data set {entry.name!r} ({entry.megabytes:g} MB, licence: {entry.licence}, "
        f"source: {entry.source}) {problem}: {remedy}"
    )


def cache_dir() -> Path:
    """The user's cache of this book: ``$XDG_CACHE_HOME/resnetbook``, else ``~/.cache/resnetbook``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "resnetbook"


def search_path() -> tuple[Path, ...]:
    """The folders that are searched, in this order."""
    named = os.environ.get("RESNETBOOK_DATA")
    return ((Path(named),) if named else ()) + (cache_dir(),)


def _sum(path: Path, entry: DataFile) -> str:
    if entry.of == "bytes":
        return hashlib.sha256(path.read_bytes()).hexdigest()
    pixels = np.asarray(Image.open(path))
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()


def _matching(folder: Path, entry: DataFile) -> list[Path]:
    return sorted(folder.glob(entry.path), key=lambda path: path.relative_to(folder).as_posix())


def _digest(folder: Path, entry: DataFile) -> str:
    paths = _matching(folder, entry)
    if "*" not in entry.path:
        return _sum(paths[0], entry)
    lines = "".join(f"{_sum(path, entry)}  {path.relative_to(folder).as_posix()}\n" for path in paths)
    return hashlib.sha256(lines.encode()).hexdigest()


def _problem(folder: Path, entry: Card) -> str | None:
    """None when every file is there with its known sum; else what is wrong, in words."""
    for part in entry.files:
        there = len(_matching(folder, part))
        if there != part.count:
            return f"is incomplete ({there} of {part.count} files {part.path})"
    for part in entry.files:
        if _digest(folder, part) != part.sha256:
            return f"is not as published (the SHA-256 of {part.path} differs)"
    return None


def find(name: str, *, download: bool = False) -> Path:
    """Return the folder that holds the set, after its sums were checked (once per process).

    A damaged copy is an error, and no other set is ever put in its place.

    Args:
        name: a name of `cards()`.
        download: fetch the set from its original source when it is nowhere here.

    Raises:
        ValueError: there is no set of that name.
        DataMissing: the set is nowhere, or incomplete, or not as published.
    """
    entry = card(name)
    if not entry.files:
        raise ValueError(f"name={name!r}: expected a set made of files ({entry.fetch['reason']})")
    for root in search_path():
        folder = root / entry.folder
        if not any(_matching(folder, part) for part in entry.files):
            continue
        if (name, folder) not in _checked:
            problem = _problem(folder, entry)
            if problem:
                raise DataMissing(_explain(entry, problem))
            _checked.add((name, folder))
        return folder
    if download:
        return fetch(name)
    raise DataMissing(_explain(entry, "is not on this machine"))


def available(name: str) -> bool:
    """Whether `find` would succeed without the network.

    Raises:
        ValueError: there is no set of that name.
    """
    if not card(name).files:
        return True
    try:
        find(name)
    except DataMissing:
        return False
    return True


def _members(archive: zipfile.ZipFile, take: list[list[str]]) -> Iterator[tuple[str, Path]]:
    """Pairs (member, relative target) of the files wanted; the archive's top folder is ignored."""
    for member in archive.namelist():
        inside = PurePosixPath(*PurePosixPath(member).parts[1:])
        for pattern, target in take:
            if inside.parent == PurePosixPath(pattern).parent and fnmatchcase(str(inside), pattern):
                yield member, Path(target) / inside.name


def _wbc(folder: Path) -> None:
    """Bring the original layout of `wbc` into ours: BMP to PNG without loss, class names into the table."""
    for path in sorted((folder / "images").glob("*.bmp")):
        Image.open(path).save(path.with_suffix(".png"))
        path.unlink()
    source = folder / "Class Labels of Dataset 1.csv"
    names = ("neutrophil", "lymphocyte", "monocyte", "eosinophil", "basophil")
    rows = [line.split(",") for line in source.read_text(encoding="utf-8").split()[1:] if "," in line]
    rows = [row for row in rows if row[0].isdigit()]
    lines = [f"{int(image):03d},{label},{names[int(label) - 1]}" for image, label in rows]
    (folder / "labels.csv").write_text("\n".join(["image,label,class", *lines]) + "\n", encoding="utf-8")
    source.unlink()


def _download(url: str, target: Path) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "resnetbook"})
    with urllib.request.urlopen(request, timeout=60) as answer, target.open("wb") as out:
        shutil.copyfileobj(answer, out)


def fetch(name: str) -> Path:
    """Fetch a set from its original source into the user's cache; the only function that uses the network.

    The files are checked before they take their place, and each takes it by a rename, so a broken
    transfer leaves nothing that looks like the set.

    Returns:
        the folder that holds the set.

    Raises:
        ValueError: there is no set of that name.
        DataMissing: the set has no source that can be fetched, the transfer failed, or a sum differs.
    """
    entry = card(name)
    if not entry.fetchable:
        raise DataMissing(_explain(entry, "has no source to fetch from"))
    cache_dir().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_dir(), prefix=".fetch-") as scratch:
        folder = Path(scratch) / "set"
        folder.mkdir()
        try:
            if entry.fetch["kind"] == "file":
                _download(entry.fetch["url"], folder / entry.files[0].path)
            else:
                _download(entry.fetch["url"], Path(scratch) / "archive.zip")
                with zipfile.ZipFile(Path(scratch) / "archive.zip") as archive:
                    for member, target in _members(archive, entry.fetch["take"]):
                        (folder / target).parent.mkdir(parents=True, exist_ok=True)
                        (folder / target).write_bytes(archive.read(member))
            if name == "wbc":
                _wbc(folder)
        except (OSError, zipfile.BadZipFile, ValueError) as error:
            raise DataMissing(_explain(entry, f"could not be fetched ({error})")) from error
        problem = _problem(folder, entry)
        if problem:
            raise DataMissing(_explain(entry, f"was fetched but {problem}"))
        home = cache_dir() / entry.folder
        for part in entry.files:
            for path in _matching(folder, part):
                target = home / path.relative_to(folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                path.replace(target)
    _checked.add((name, home))
    return home
