"""Whether the files in a folder are those that a card describes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

from resnetbook._content import foreign
from resnetbook.lab.data._card import Card, DataFile


def file_sum(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _sum(path: Path, entry: DataFile) -> str:
    if entry.of == "bytes":
        return file_sum(path, entry.published[0])
    pixels = np.asarray(Image.open(path))
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()


def matching(folder: Path, entry: DataFile) -> list[Path]:
    return sorted(folder.glob(entry.path), key=lambda path: path.relative_to(folder).as_posix())


def _digest(folder: Path, entry: DataFile) -> str:
    paths = matching(folder, entry)
    if "*" not in entry.path:
        return _sum(paths[0], entry)
    lines = "".join(f"{_sum(path, entry)}  {path.relative_to(folder).as_posix()}\n" for path in paths)
    return hashlib.sha256(lines.encode()).hexdigest()


def problem(folder: Path, entry: Card) -> str | None:
    """None when every file is there with its known sum; else what is wrong, in words."""
    for part in entry.files:
        there = len(matching(folder, part))
        if there != part.count:
            return f"is incomplete ({there} of {part.count} files {part.path})"
    for part in entry.files:
        algorithm, published = part.published
        try:
            found = _digest(folder, part)
            is_other = (
                foreign(matching(folder, part)[0]) if found != published and "*" not in part.path else None
            )
        except OSError as error:  # a folder of that name, no right to read it, an image that is none
            return f"cannot be read ({part.path}: {error})"
        if found != published:
            name = {"sha256": "SHA-256", "md5": "MD5"}[algorithm]
            seen = f"; it is {is_other}" if is_other else f": {found[:8]}..., published {published[:8]}..."
            return f"is not as published (the {name} of {part.path} differs{seen})"
    return None
