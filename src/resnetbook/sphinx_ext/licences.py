"""The page "Data and licences": one row for each data set that the package loads, from the loaders' own tables.

The tables are read as files, since the loaders import torch and the book is built without it; a test holds every row
equal to the loaders' card.
"""

import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import resnetbook
from resnetbook.sphinx_ext import status
from resnetbook.sphinx_ext.html import inline, link, table
from resnetbook.sphinx_ext.links import Links

# What a licence asks of somebody who passes images of the set on, by the first words of its name; the first that fits.
ASKS = {
    "CC0": "Nothing. We name the source all the same.",
    "CC BY-SA": "Name the source, the licence and what you changed; pass what you made from it on under the same licence.",
    "CC BY-NC": "Name the source, the licence and what you changed; no commercial use.",
    "CC BY": "Name the source, the licence and what you changed.",
    "MIT": "Keep the copyright notice and the text of the licence.",
    "GPL-3.0": "The images come inside a repository under that licence; its readme allows research and teaching and asks "
    "that the source be named.",
    "research": "Research that is not commercial, and a citation.",
    "none stated": "No licence is stated, so no permission to pass images on is given. They are customarily used in research "
    "and teaching, with a citation.",
}


@dataclass(frozen=True)
class Terms:
    """What is known of a set's terms; the fields are those of `resnetbook.lab.data.Card`."""

    name: str
    title: str
    licence: str
    source: str
    attribution: str
    citation: str
    printable: bool


def asks(licence: str) -> str:
    """Return what a licence asks for, in a sentence.

    Raises:
        ValueError: nothing is known of a licence of that name.
    """
    for start, words in ASKS.items():
        if licence.startswith(start):
            return words
    raise ValueError(f"licence is {licence!r}; expected one that begins with {', '.join(ASKS)}")


def tables() -> list[Path]:
    """Return the loaders' two tables: sets of their own, and MedMNIST."""
    folder = Path(resnetbook.__file__).resolve().parent / "lab" / "data"
    return [folder / "sets.toml", folder / "medmnist.toml"]


def _medmnist(name: str, row: dict[str, Any], general: dict[str, Any]) -> Terms:
    size = min(int(each) for each in row["md5"])
    sides = " x ".join([str(size)] * (3 if name.endswith("3d") else 2))
    credit = " and ".join(filter(None, (general["credit"], row.get("credit", ""))))
    return Terms(
        name=name,
        title=f"{row['title']}, {sides}",
        licence=row["licence"],
        source=general["source"],
        attribution=f"{credit}, {row['licence']}",
        citation="; ".join(filter(None, (general["citation"], row.get("original", "")))),
        printable="NC" not in row["licence"],
    )


@cache
def terms() -> tuple[tuple[Terms, ...], tuple[Terms, ...]]:
    """Return the terms of the loaders' own sets, and those of MedMNIST, each in the order of its table."""
    own, medmnist = (tomllib.loads(path.read_text(encoding="utf-8")) for path in tables())
    general = medmnist.pop("general")
    return (
        tuple(
            Terms(name, *(row[key] for key in list(Terms.__annotations__)[1:])) for name, row in own.items()
        ),
        tuple(_medmnist(name, row, general) for name, row in medmnist.items()),
    )


def uses(root: Path) -> dict[str, list[str]]:
    """Return, for each set, the notebooks that load it, by the calls in their sources."""
    found: dict[str, list[str]] = {}
    names = [each.name for group in terms() for each in group]
    for path, page in status.notebooks(root):
        text = path.read_text(encoding="utf-8")
        for name in names:
            if re.search(rf'data\.(?:load\(\s*\\?["\']{name}\\?["\']|{name}\w*\()', text):
                found.setdefault(name, []).append(page)
    return found


def recorded() -> dict[str, int]:
    """Return how many records of experiments rest on each set."""
    records = (json.loads(path.read_text(encoding="utf-8")) for path in status.records())
    return Counter(
        str(record["data"]["name"]) for record in records if (record.get("data") or {}).get("name")
    )


def row(
    entry: Terms, pages: Iterable[str], records: int, titles: dict[str, str], links: Links
) -> tuple[str, ...]:
    """Return the cells of one set."""
    shown = "" if entry.printable else " <strong>The book shows no image of it.</strong>"
    places = [link(inline(titles.get(page, page)), links.page(page)) for page in pages]
    places += [f"{records} record{'s' if records > 1 else ''}"] if records else []
    return (
        f"{inline(entry.title)}<br><code>{entry.name}</code>",
        f"{inline(entry.licence)}.<br>{inline(asks(entry.licence))}{shown}",
        f'{inline(entry.attribution)}.<br><span class="rb-note">Cite: {inline(entry.citation)}.</span>',
        f'<span class="rb-note">{inline(entry.source)}.</span>',
        ", ".join(places) or "not used yet",
    )


def page(root: Path, links: Links) -> str:
    """Return both tables as HTML."""
    used, records = uses(root), recorded()
    titles = {
        name: status.title_of(json.loads(path.read_text(encoding="utf-8")), path.stem)
        for path, name in status.notebooks(root)
    }
    head = ("Set", "Licence, and what it asks for", "Whom to name", "Where it comes from", "In this book")
    parts = []
    for group, label in zip(
        terms(), ("Sets with a loader of their own", "The 18 sets of MedMNIST"), strict=True
    ):
        rows = [
            row(each, used.get(each.name, []), records.get(each.name, 0), titles, links) for each in group
        ]
        parts.append(
            f'<p class="rb-caption">{label}</p>' + table(head, rows, label=label, classes="rb-licences")
        )
    return "\n".join(parts)
