"""Terms of `book/words_and_symbols.md` in a chapter: each is linked in the paragraph where it first stands, or before.

`python tools/words.py NOTEBOOK…` names the terms that are not; with `--write` it puts the links in. A term is found by its
heading or a word behind "also:", singular or plural, in running text: not in headings, tables, code, formulas, links, options
and solutions, and not from the exercises on.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from prose import Paragraph, paragraphs

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "book" / "words_and_symbols.md"
_LINKED = re.compile(rf"{PAGE.name.replace('.', '[.]')}#(.+)$")
_END = ("Exercises", "Self-check", "Summary", "References")


@dataclass(frozen=True)
class Term:
    """An entry of the page: its anchor, its Chinese name, and the words by which it is found."""

    anchor: str
    chinese: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class Unlinked:
    """A first use without a link: the paragraph, and where in it."""

    term: Term
    paragraph: Paragraph
    start: int
    end: int

    def __str__(self) -> str:
        word = self.paragraph.text[self.start : self.end]
        around = self.paragraph.source[max(0, self.start - 30) : self.end + 20].replace("\n", " ")
        return f"cell {self.paragraph.cell}: …{around}…: link it, [{word}]({PAGE.name}#{self.term.anchor})"


def slug(heading: str) -> str:
    """Return the anchor that the book gives to a heading."""
    return re.sub(r"[^\w-]", "", heading.strip().lower().replace(" ", "-"))


def terms(page: str | None = None) -> list[Term]:
    """Return the entries of the page: headings of the third level, each with a line below that begins with its Chinese name.

    Behind it may stand `· also: a, b`, further words; or `· as in: a, b`, where the heading alone is too common to be sought.

    Raises:
        ValueError: an entry has no such line.
    """
    text = PAGE.read_text("utf-8") if page is None else page
    found = []
    for heading, line in re.findall(r"^### +(.+)\n+(.*)$", text, re.M):
        chinese, _, more = line.partition(" · ")
        kind, _, also = more.partition(": ")
        if not re.search(r"[\u3400-\u9fff]", chinese):
            raise ValueError(f"{heading}: {line[:40]!r} below it, expected its Chinese name")
        if more and kind not in ("also", "as in"):
            raise ValueError(
                f"{heading}: {more[:40]!r} behind its Chinese name, expected 'also: ' or 'as in: '"
            )
        sought = [heading] if kind != "as in" else []
        words = tuple(word.strip() for word in (*sought, *also.split(",")) if word.strip())
        found.append(Term(slug(heading), chinese, words))
    return found


def _pattern(known: list[Term]) -> tuple[re.Pattern[str], dict[str, Term]]:
    """Return one pattern for all words, the longest first, so that a part of a longer term is not a term."""
    owner = {word.lower(): term for term in known for word in term.words}
    words = "|".join(re.escape(word).replace(r"\ ", r"\s+") for word in sorted(owner, key=len, reverse=True))
    return re.compile(rf"(?<![\w-])({words})(?:s|es)?(?![\w-])", re.I), owner


def unlinked(text: list[Paragraph], known: list[Term]) -> list[Unlinked]:
    """Return the first use of each term that is not linked in its paragraph or before."""
    pattern, owner = _pattern(known)
    done: set[str] = set()
    found = []
    for each in text:
        if each.section.startswith(_END):
            break
        if each.folded in ("about", "option", "solution"):
            continue
        done |= {match[1] for _, target in each.links if (match := _LINKED.search(target))}
        if each.kind != "text":
            continue
        for match in pattern.finditer(each.text):
            term = owner[re.sub(r"\s+", " ", match[1]).lower()]
            if term.anchor not in done:
                done.add(term.anchor)
                found.append(Unlinked(term, each, *match.span()))
    return found


def astray(text: list[Paragraph], known: list[Term]) -> list[str]:
    """Return a complaint for each link to an entry that the page does not have."""
    anchors = [term.anchor for term in known] + ["symbols"]
    lost = [
        (each.cell, match[1])
        for each in text
        for _, target in each.links
        if (match := _LINKED.search(target)) and match[1] not in anchors
    ]
    return [
        f"cell {cell}: #{name} is no entry; nearest: {', '.join(difflib.get_close_matches(name, anchors, 2, 0.4)) or 'none'}"
        for cell, name in lost
    ]


def write(path: Path, known: list[Term]) -> int:
    """Put the missing links into a notebook's file; ids and outputs stay. Return how many."""
    notebook = json.loads(path.read_text("utf-8"))
    missing = unlinked(paragraphs(notebook), known)
    target = os.path.relpath(PAGE, path.resolve().parent).replace(os.sep, "/")
    # From the last to the first, so that places before stay right.
    for each in sorted(
        missing, key=lambda found: (found.paragraph.cell, found.paragraph.start + found.start)
    )[::-1]:
        cell = notebook["cells"][each.paragraph.cell]
        source, place = "".join(cell["source"]), each.paragraph.start
        start, end = place + each.start, place + each.end
        linked = f"{source[:start]}[{source[start:end]}]({target}#{each.term.anchor}){source[end:]}"
        cell["source"] = linked.splitlines(keepends=True)
    if missing:
        path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return len(missing)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="+", type=Path)
    parser.add_argument("--write", action="store_true", help="put the links in")
    arguments = parser.parse_args()
    known, count = terms(), 0
    for path in arguments.notebooks:
        if arguments.write:
            print(f"{path}: {write(path, known)} links written")
        text = paragraphs(json.loads(path.read_text("utf-8")))
        complaints = [*map(str, unlinked(text, known)), *astray(text, known)]
        count += len(complaints)
        print("\n".join(f"{path}: {line}" for line in complaints) or f"{path}: every term is linked")
    return int(count > 0)


if __name__ == "__main__":
    sys.exit(main())
