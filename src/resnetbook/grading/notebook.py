"""Read a submission: bytes in, cells out, whatever has happened to the file on its way.

nbformat is not used here: it repairs or raises, and a grader must do neither. What was repaired is noted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["MAX_BYTES", "MAX_FILE", "Cell", "Notebook", "Unreadable", "lean", "read"]

MAX_FILE = 128_000_000
"""Bytes that a file may have."""
MAX_BYTES = 10_000_000
"""Bytes that may remain of it without stored outputs and pictures."""
MAX_CELLS = 500
MAX_SOURCE = 100_000

# What a grader never reads. Possessive quantifiers: no step back, however long the string is.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|["\[\]{}]', re.DOTALL)
_COLON = re.compile(rb"\s*+:\s*+")
_UNREAD = {b'"outputs"': b"[]", b'"attachments"': b"{}", b'"widgets"': b"{}"}


class Unreadable(ValueError):
    """A submission from which no cell could be read; the message says why."""


@dataclass(frozen=True)
class Cell:
    """One cell: kind ("code", "markdown", ...), source with `\\n` line ends, nbformat id and metadata."""

    kind: str
    source: str
    id: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def grader(self) -> Mapping[str, Any]:
        """The cell's nbgrader metadata, empty where there are none."""
        found = self.metadata.get("nbgrader")
        return found if isinstance(found, dict) else {}

    @property
    def grade_id(self) -> str:
        """The cell's grader id, empty where it has none."""
        found = self.grader.get("grade_id")
        return found if isinstance(found, str) else ""

    @property
    def tags(self) -> tuple[str, ...]:
        """The cell's tags."""
        found = self.metadata.get("tags")
        return tuple(tag for tag in found if isinstance(tag, str)) if isinstance(found, list) else ()


@dataclass(frozen=True)
class Notebook:
    """The cells of a submission, its metadata, and what had to be repaired to read them."""

    cells: tuple[Cell, ...]
    notes: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def code(self) -> tuple[Cell, ...]:
        """The code cells, in order."""
        return tuple(cell for cell in self.cells if cell.kind == "code")


def read(data: bytes) -> Notebook:
    """Read the cells of a notebook from its bytes.

    Repaired, with a note: a byte order mark, UTF-16, other encodings, cells that are no cells, nbformat 3, a file
    that breaks off (all whole cells before the break are kept).

    Args:
        data: the file's content.

    Raises:
        Unreadable: the file is empty, over 10 MB without its outputs and pictures, no JSON from the start, or holds no
            cell.
    """
    data = lean(data)
    if len(data) > MAX_BYTES:
        raise Unreadable(
            f"the file has {len(data)} bytes without its outputs and pictures, the limit is {MAX_BYTES}"
        )
    if not data.strip():
        raise Unreadable("the file is empty")
    notes: list[str] = []
    text = _decode(data, notes)
    top: Any = None
    try:
        top = json.loads(text)
        raw = _raw_cells(top, notes)
    except (ValueError, RecursionError) as error:
        raw = list(_salvage(text))
        if not raw:
            raise Unreadable(f"not a notebook: {str(error)[:200]}") from None
        notes.append(f"the file is damaged ({str(error)[:120]}): {len(raw)} whole cells could be read")
    cells = [cell for cell in (_cell(item) for item in raw[:MAX_CELLS]) if cell is not None]
    if len(cells) < len(raw):
        notes.append(f"{len(raw) - len(cells)} entries were no readable cells")
    if not cells:
        raise Unreadable("the notebook holds no cell")
    metadata = top.get("metadata") if isinstance(top, dict) else None
    return Notebook(tuple(cells), tuple(notes), metadata if isinstance(metadata, dict) else {})


def lean(data: bytes) -> bytes:
    """A notebook's bytes without stored outputs, attached pictures and the state of widgets: no grader reads them.

    A string too long to be a line of an answer (a picture within a text) becomes null. What is no JSON stays as it is.
    """
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        thin = lean(data.decode("utf-16", errors="replace").encode())
        return thin.decode().encode("utf-16")
    parts: list[bytes] = []
    kept, place = 0, 0
    while len(parts) < 10 * MAX_CELLS and (match := _TOKEN.search(data, place)):
        place = match.end()
        if match[0] == b'"':
            break  # a string without an end: the file breaks off
        empty = _UNREAD.get(match[0])
        colon = _COLON.match(data, place) if empty else None
        if empty and colon and data[colon.end() : colon.end() + 1] == empty[:1]:
            end = _end(data, colon.end())
            if end is None:  # the file breaks off within: so does the cell
                parts.append(data[kept : colon.end()])
                kept = len(data)
                break
            parts += [data[kept : colon.end()], empty]
            kept = place = end
        elif len(match[0]) > 6 * MAX_SOURCE:
            parts += [data[kept : match.start()], b"null"]
            kept = place
    return b"".join([*parts, data[kept:]]) if parts else data


def _end(data: bytes, start: int) -> int | None:
    """The place behind the list or object that starts here."""
    depth = 0
    for match in _TOKEN.finditer(data, start):
        if match[0] in b"[{":
            depth += 1
        elif match[0] == b'"':
            return None
        elif match[0] in b"]}":
            depth -= 1
            if depth == 0:
                return match.end()
    return None


def _decode(data: bytes, notes: list[str]) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        notes.append("the file was in UTF-16")
        return data.decode("utf-16", errors="replace")
    if data.startswith(b"\xef\xbb\xbf"):
        notes.append("the file began with a byte order mark")
        data = data[3:]
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        notes.append("the file was not in UTF-8")
        return data.decode("latin-1")


def _raw_cells(top: Any, notes: list[str]) -> list[Any]:
    if isinstance(top, dict) and isinstance(top.get("cells"), list):
        return list(top["cells"])
    if isinstance(top, dict) and isinstance(top.get("worksheets"), list):
        notes.append("the notebook was in the old format 3")
        sheets = [sheet for sheet in top["worksheets"] if isinstance(sheet, dict)]
        return [c for sheet in sheets if isinstance(sheet.get("cells"), list) for c in sheet["cells"]]
    if isinstance(top, list):
        notes.append("the file was a bare list of cells")
        return top
    raise Unreadable("the file is JSON, but no notebook: it has no cells")


def _salvage(text: str) -> Iterator[Any]:
    """Give the whole cells of a text that breaks off or is damaged somewhere behind them."""
    start = text.find('"cells"')
    start = text.find("[", start) if start >= 0 else -1
    if start < 0:
        return
    decoder, place = json.JSONDecoder(), start + 1
    for _ in range(MAX_CELLS):
        while place < len(text) and text[place] in " \t\r\n,":
            place += 1
        try:
            item, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            return
        yield item


def _cell(item: Any) -> Cell | None:
    if not isinstance(item, dict) or not isinstance(item.get("cell_type"), str):
        return None
    source = item.get("source", item.get("input", ""))
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    if not isinstance(source, str) or len(source) > MAX_SOURCE:
        return None
    # A lone surrogate cannot be sent to a kernel, and no line of Python needs one.
    source = source.encode("utf-8", "replace").decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    metadata, name = item.get("metadata"), item.get("id")
    return Cell(
        kind=item["cell_type"],
        source=source,
        id=name if isinstance(name, str) else "",
        metadata=metadata if isinstance(metadata, dict) else {},
    )
