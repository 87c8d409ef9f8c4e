"""Read the plain BibTeX that the book's bibliography uses: `@type{key, field = {value}, ...}` with balanced braces."""

from __future__ import annotations

import re
from collections.abc import Iterator

from resnetbook.survey.model import Reference

VENUES = ("journal", "booktitle", "publisher", "institution", "school", "howpublished")


def braced(text: str, start: int, where: str) -> int:
    """Return the index after the brace that closes the one at `start`.

    Raises:
        ValueError: it is never closed.
    """
    depth = 0
    for index in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if depth == 0:
            return index + 1
    raise ValueError(f"{where}: a brace is never closed")


def entries(text: str, where: str) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Yield (type, key, fields) of each entry.

    Raises:
        ValueError: an entry is malformed; names file and key.
    """
    for head in re.finditer(r"^@(\w+)\{([^,\s]+),", text, flags=re.MULTILINE):
        kind, key = head.group(1).lower(), head.group(2)
        end = braced(text, text.index("{", head.start()), f"{where}, {key}")
        body = text[head.end() : end - 1]
        found: dict[str, str] = {}
        position = 0
        while field := re.compile(r"\s*([\w-]+)\s*=\s*(?=\{)").match(body, position):
            name, open_brace = field.group(1).lower(), field.end()
            position = braced(body, open_brace, f"{where}, {key}, {name}")
            if name in found:
                raise ValueError(f"{where}, {key}: field {name!r} appears twice")
            found[name] = re.sub(r"\s+", " ", body[open_brace + 1 : position - 1]).strip()
            comma = re.compile(r"\s*,?").match(body, position)
            position = comma.end() if comma else position
        if body[position:].strip():
            raise ValueError(f"{where}, {key}: cannot read {body[position:].strip()[:40]!r}")
        yield kind, key, found


def plain(value: str) -> str:
    """Return a value without the braces that protect capitals, and without LaTeX's own escapes."""
    return re.sub(r"[{}]", "", value.replace(r"\&", "&").replace("--", "–").replace("~", " "))


def parse(text: str, where: str) -> tuple[Reference, ...]:
    """Return the entries of a bibliography in their order.

    Args:
        text: content of the file.
        where: its name, for messages.

    Raises:
        ValueError: an entry is malformed, or has no title, author or year.
    """
    result = []
    for kind, key, found in entries(text, where):
        for name in ("author", "title", "year"):
            if not found.get(name):
                raise ValueError(f"{where}, {key}: field {name!r} is missing")
        if not found["year"].isdigit():
            raise ValueError(f"{where}, {key}: year {found['year']!r}, expected four digits")
        result.append(
            Reference(
                id=key,
                kind=kind,
                authors=tuple(plain(name) for name in re.split(r"\s+and\s+", found["author"])),
                title=plain(found["title"]),
                chinese=plain(found.get("titleaddon", "")),
                venue=plain(next((found[name] for name in VENUES if name in found), "")),
                year=int(found["year"]),
                doi=found.get("doi", ""),
                arxiv=found.get("eprint", ""),
                url=found.get("url", ""),
                note=plain(found.get("note", "")),
            )
        )
    return tuple(result)
