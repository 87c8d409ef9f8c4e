"""Read a table of a TOML file into a frozen dataclass; every error names file, row and key."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def folder() -> Path:
    """Return the folder with the data files."""
    return Path(__file__).resolve().parent / "data"


def read_toml(name: str) -> dict[str, Any]:
    """Return the content of one data file.

    Raises:
        ValueError: it is not valid TOML; the message names the file.
    """
    path = folder() / f"{name}.toml"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path.name}: not valid TOML: {error}") from error


def build(kind: type[T], row: Mapping[str, Any], where: str) -> T:
    """Make a dataclass from a table; lists become tuples.

    Raises:
        ValueError: a key is unknown, missing or of another type than text, number or list; names file, row and key.
    """
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(row) - known)
    if unknown:
        raise ValueError(f"{where}: unknown key {unknown[0]!r}, expected one of {sorted(known)}")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(f"{where}: {error}") from error


def unique(rows: Iterable[T], where: str) -> tuple[T, ...]:
    """Return the rows as a tuple, after checking that no `.id` appears twice.

    Raises:
        ValueError: an id is repeated.
    """
    result = tuple(rows)
    seen: set[str] = set()
    for row in result:
        name = row.id  # type: ignore[attr-defined]
        if name in seen:
            raise ValueError(f"{where}: id {name!r} appears twice")
        seen.add(name)
    return result
