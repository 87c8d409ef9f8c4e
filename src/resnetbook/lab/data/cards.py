"""What the book knows of each data set: origin, licence, attribution, files and their sums."""

from __future__ import annotations

import hashlib
import tomllib
from functools import cache
from importlib.resources import files as package_files

from resnetbook.lab.data import medmnist_facts
from resnetbook.lab.data._card import Card, DataFile

__all__ = ["Card", "DataFile", "attribution", "card", "cards"]


def _combined(entries: tuple[DataFile, ...]) -> str:
    """One sum for a set: the file's own, or that of all lines together; empty where one is not known."""
    if len(entries) == 1 or not all(entry.sha256 for entry in entries):
        return entries[0].sha256
    lines = "".join(f"{entry.sha256}  {entry.path}\n" for entry in entries)
    return hashlib.sha256(lines.encode()).hexdigest()


@cache
def cards() -> tuple[Card, ...]:
    """All sets that the loaders know: those of the card file in its order, then MedMNIST at its first size."""
    table = tomllib.loads(package_files(__package__).joinpath("sets.toml").read_text(encoding="utf-8"))
    found = []
    for name, row in table.items():
        entries = tuple(DataFile(**entry) for entry in row.pop("files"))
        row.setdefault("sha256", _combined(entries))
        row["layouts"] = tuple(row.get("layouts", ()))
        found.append(Card(name=name, files=entries, **row))
    return (
        *found,
        *(medmnist_facts.card(entry, min(entry.md5)) for entry in medmnist_facts.facts().values()),
    )


@cache
def _larger() -> dict[str, Card]:
    """The files of MedMNIST beyond the first size, e.g. ``bloodmnist_64``."""
    every = (
        medmnist_facts.card(entry, size) for entry in medmnist_facts.facts().values() for size in entry.md5
    )
    return {entry.name: entry for entry in every}


def card(name: str) -> Card:
    """Return the card of one set; ``bloodmnist_64`` is BloodMNIST's file of 64 pixels.

    Raises:
        ValueError: there is no set of that name.
    """
    for entry in cards():
        if entry.name == name:
            return entry
    if name in _larger():
        return _larger()[name]
    raise ValueError(f"name={name!r}: expected one of {', '.join(entry.name for entry in cards())}")


def attribution(name: str) -> str:
    """The line that has to stand under a figure that shows images of the set `name`.

    Raises:
        ValueError: there is no set of that name.
    """
    return card(name).attribution
