"""The marks around what a student must not see: BEGIN and END of solutions, hidden tests and mark schemes.

nbgrader looks for the words in capitals anywhere in a line, so every style of comment serves. A line whose comment
holds the words in another case or spacing is read as a mark too: what nbgrader would let through was meant all the same.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["HIDDEN", "SCHEME", "SOLUTION", "Region", "cut", "holds_mark", "regions", "stub_of"]

SOLUTION, HIDDEN, SCHEME = "SOLUTION", "HIDDEN TESTS", "MARK SCHEME"
STUB = "...  # your answer"

_WORDS = r"(BEGIN|END)[\s_-]*(?:(SOLUTION)S?|(HIDDEN[\s_-]*TEST)S?|(MARK(?:ING)?[\s_-]*SCHEME)S?)"
_EXACT = re.compile(r"(BEGIN|END)\s+(?:(SOLUTION)|(HIDDEN\s+TEST)|(MARK\s+SCHEME))")
_ALONE = re.compile(rf"[\W_]*{_WORDS}[\W_]*", re.IGNORECASE)
_COMMENT = re.compile(rf"(?:#|//|/\*|<!|--|%|;|\"\"\"|''')[\W_]*(?<!\w-){_WORDS}(?![^\W_])", re.IGNORECASE)


@dataclass(frozen=True)
class Region:
    """What stands between two marks: its kind, and the first and last line, the marks included."""

    kind: str
    first: int
    last: int


def _marks(line: str) -> Iterator[tuple[str, str]]:
    """Give ("BEGIN" or "END", kind) for each mark in a line."""
    if not line.isascii():  # full-width letters, invisible signs, spaces that do not break
        line = unicodedata.normalize("NFKC", "".join(s for s in line if unicodedata.category(s) != "Cf"))
    exact = list(_EXACT.finditer(line))
    found = exact or [m for m in (_ALONE.fullmatch(line), _COMMENT.search(line)) if m][:1]
    for match in found:
        yield match[1].upper(), SOLUTION if match[2] else HIDDEN if match[3] else SCHEME


def regions(source: str) -> list[Region]:
    """Find the marked regions of a cell.

    Raises:
        ValueError: a mark has no partner, stands inside another region, or shares its line with another mark.
    """
    found: list[Region] = []
    opened: tuple[str, int] | None = None
    for number, line in enumerate(source.split("\n")):
        marks = list(_marks(line))
        if len(marks) > 1:
            raise ValueError(f"two marks stand in line {number + 1}: each needs a line of its own")
        for word, kind in marks:
            if word == "BEGIN":
                if opened:
                    raise ValueError(
                        f"### BEGIN {kind} stands inside a region that ### BEGIN {opened[0]} opened"
                    )
                opened = kind, number
            else:
                if opened is None or opened[0] != kind:
                    raise ValueError(f"### END {kind} without ### BEGIN {kind}")
                found.append(Region(kind, opened[1], number))
                opened = None
    if opened:
        raise ValueError(f"### BEGIN {opened[0]} without ### END {opened[0]}")
    return found


def holds_mark(text: str) -> bool:
    """Tell whether a mark stands anywhere in a text."""
    return any(True for line in text.splitlines() for _ in _marks(line))


def cut(source: str, kind: str, instead: str | None = None) -> str:
    """Remove every region of a kind; `instead` takes its place, indented as the region's first line is.

    Raises:
        ValueError: as `regions`.
    """
    lines = source.split("\n")
    for region in reversed([found for found in regions(source) if found.kind == kind]):
        inside = [line for line in lines[region.first + 1 : region.last] if line.strip()]
        first = inside[0] if inside else lines[region.first]
        indent = first[: len(first) - len(first.lstrip())]
        lines[region.first : region.last + 1] = [] if instead is None else [indent + instead]
    return "\n".join(lines)


def stub_of(source: str) -> str:
    """Replace each solution region by one line, `...`, indented as the region is.

    Raises:
        ValueError: there is no region, or its marks do not come in pairs.
    """
    if not any(region.kind == SOLUTION for region in regions(source)):
        raise ValueError("no ### BEGIN SOLUTION in a solution cell")
    return cut(source, SOLUTION, STUB)
