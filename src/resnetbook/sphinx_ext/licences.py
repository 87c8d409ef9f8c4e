"""The page "Data and licences": each data set that the package loads, with its terms, from the loaders' own tables.

The tables are read as files, since the loaders import torch and the book is built without it; a test holds each of them equal
to the loaders' card.
"""

import json
import re
import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import resnetbook
from resnetbook.sphinx_ext import status
from resnetbook.sphinx_ext.html import inline, link, slug
from resnetbook.sphinx_ext.links import Links

FEW = 4  # notebooks that are named one by one
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


def recorded() -> Counter[str]:
    """Return how many records of experiments rest on each set."""
    records = (json.loads(path.read_text(encoding="utf-8")) for path in status.records())
    return Counter(
        str(record["data"]["name"]) for record in records if (record.get("data") or {}).get("name")
    )


def places(pages: Sequence[str], records: int, titles: dict[str, str], links: Links) -> str:
    """Return where the book uses a set, HTML: its notebooks by name as long as they are few, and how many records."""
    found = [link(inline(titles[page]), links.page(page)) for page in pages]
    if len(found) > FEW:
        found = [f"{len(found)} notebooks"]
    if records:
        found.append(f"{records} record{'s' if records > 1 else ''}")
    return "; ".join(found) or "not used yet"


def card(entry: Terms, used: str) -> str:
    """Return one set as HTML."""
    shown = "" if entry.printable else " <strong>The book shows no image of it.</strong>"
    fields = (
        ("Licence", f"{inline(entry.licence)}. {inline(asks(entry.licence))}{shown}"),
        ("Line to print", inline(entry.attribution)),
        ("To cite", inline(entry.citation)),
        ("Source", inline(entry.source)),
        ("In this book", used),
    )
    items = "".join(f"<dt>{name}</dt><dd>{words}</dd>" for name, words in fields)
    anchor = f"set-{slug(entry.name)}"
    return (
        f'<article class="rb-card" id="{anchor}"><p class="rb-head"><strong>{inline(entry.title)}</strong> '
        f"<code>{entry.name}</code></p><dl>{items}</dl></article>"
    )


def page(root: Path, links: Links) -> str:
    """Return all sets as HTML; those of MedMNIST are folded."""
    used, records = uses(root), recorded()
    titles = {
        name: status.title_of(json.loads(path.read_text(encoding="utf-8")), path.stem)
        for path, name in status.notebooks(root)
    }
    own, medmnist = (
        "".join(
            card(each, places(used.get(each.name, []), records[each.name], titles, links)) for each in group
        )
        for group in terms()
    )
    head = f"<summary><strong>The {len(terms()[1])} sets of MedMNIST</strong></summary>"
    return f'{own}<details class="rb-group">{head}{medmnist}</details>'
