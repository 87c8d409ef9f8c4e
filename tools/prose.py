"""What a reader sees of a chapter's Markdown: running text apart from code, formulas, links and what is folded.

Everything else is blanked out, character for character, so that a place in the text is a place in the source.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

ABOUT = "About this page"
_FENCE = re.compile(r"^(?P<sign>`{3,}|:{3,})(?:\{(?P<name>[\w:-]+)\})?(?P<rest>.*)$")
_SOLUTION = {"solution-start": True, "solution-end": False}
# Directives whose content is not running text.
_SILENT = {"bibliography", "math", "code-block", "code-cell", "figure", "image", "raw", "mermaid"}
_LINK = re.compile(r"!?\[(?P<text>(?:[^\[\]]|\[[^\]]*\])*)\]\((?P<target>[^()\s]*(?:\([^()]*\))?[^()\s]*)\)")
_INLINE = [
    re.compile(r"\$\$.*?\$\$(?:\s*\([\w-]+\))?", re.S),
    re.compile(r"(?:\{[\w:+-]+\})?(`+)(?!`).+?(?<!`)\1(?!`)", re.S),  # code, and roles
    re.compile(r"(?<![\\$])\$(?!\s)[^$]+?(?<!\s)\$"),
    re.compile(r"<summary>.*?</summary>", re.S),
    re.compile(r"<!--.*?-->", re.S),
    re.compile(r"</?[a-zA-Z][^<>]*>"),
]


@dataclass
class Paragraph:
    """Lines of running text between blank ones.

    Attributes:
        cell: number of the cell in the notebook.
        start: where the paragraph begins in the cell's source.
        text: the text, with everything but words blanked out.
        source: the same stretch of the source.
        links: (place in the text, target) of each link; a link's own words are blanked out.
        folded: "", or what it is folded under: "about", "option", "solution", "further".
        section: the last heading of the second level.
        kind: "text", "heading" or "table".
    """

    cell: int
    start: int
    text: str
    source: str
    links: list[tuple[int, str]] = field(default_factory=list)
    folded: str = ""
    section: str = ""
    kind: str = "text"

    @property
    def words(self) -> int:
        """Count the words, those of links included; a formula or a piece of code is one."""
        shown = re.sub(r"\{cite:?\w*\}`[^`]*`", "", self.source)
        shown = _LINK.sub(lambda m: m["text"], shown)
        for pattern in _INLINE:
            shown = pattern.sub(lambda m: " " if m[0].startswith("<") else " x ", shown)
        return len(re.findall(r"[^\W_][\w'’-]*", shown))


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def _masked(text: str) -> tuple[str, list[tuple[int, str]]]:
    """Blank out formulas, code, roles, tags and links; return what is left, and the links with their places."""
    for pattern in _INLINE[:2]:
        text = pattern.sub(lambda m: _blank(m[0]), text)
    links = [(match.start(), match["target"]) for match in _LINK.finditer(text)]
    text = _LINK.sub(lambda m: _blank(m[0]), text)
    for pattern in _INLINE[2:]:
        text = pattern.sub(lambda m: _blank(m[0]), text)
    return text, links


class _Reader:
    """Goes through the lines of all cells; remembers what is open."""

    def __init__(self) -> None:
        self.fences: list[tuple[str, str, str]] = []  # sign, name of the directive, argument
        self.details, self.solution, self.formula, self.section = 0, False, False, ""
        self.found: list[Paragraph] = []
        self.lines: list[str] = []
        self.start = 0

    def folded(self) -> str:
        if self.solution:
            return "solution"
        if any(name == "dropdown" and argument.startswith(ABOUT) for _, name, argument in self.fences):
            return "about"
        if self.details:
            return "option"
        return "further" if any(name == "dropdown" for _, name, _ in self.fences) else ""

    def silent(self) -> bool:
        return bool(self.fences) and (not self.fences[-1][1] or self.fences[-1][1] in _SILENT)

    def flush(self, cell: int) -> None:
        source = "".join(self.lines)
        if source.strip():
            text, links = _masked(source)
            kind = "table" if source.lstrip().startswith("|") else "text"
            self.found.append(
                Paragraph(cell, self.start, text, source, links, self.folded(), self.section, kind)
            )
        self.lines = []

    def fence(self, line: str, cell: int) -> bool:
        """Open or close a fence; return whether the line is one."""
        match = _FENCE.match(line.rstrip())
        if not match:
            return False
        sign, name, rest = match["sign"], match["name"] or "", match["rest"].strip()
        self.flush(cell)
        if self.fences and not name and not rest and sign.startswith(self.fences[-1][0]):
            self.fences.pop()
        elif not self.silent():
            self.fences.append((sign, name, rest))
            self.solution = _SOLUTION.get(name, self.solution)
        return True

    def line(self, line: str, cell: int, place: int) -> None:
        if self.fence(line, cell):
            return
        option = bool(self.fences) and re.match(r":[\w-]+:", line) is not None
        if self.silent() or option or not line.strip() or re.match(r"\([\w-]+\)=\s*$", line):
            self.flush(cell)
            return
        heading = re.match(r"(#{1,6}) +(.*)", line)
        if heading:
            self.flush(cell)
            if len(heading[1]) <= 2:
                self.section = heading[2].strip()
            text, links = _masked(line)
            self.found.append(
                Paragraph(cell, place, text, line, links, self.folded(), self.section, "heading")
            )
            return
        if line.count("$$") % 2:
            self.flush(cell)
            self.formula = not self.formula
            return
        if self.formula:
            return
        opened, closed = line.count("<details"), line.count("</details>")
        if opened or closed:
            self.flush(cell)
            self.details += opened - closed
        if not self.lines:
            self.start = place
        self.lines.append(line)
        if opened or closed:
            self.flush(cell)


def paragraphs(notebook: dict[str, Any]) -> list[Paragraph]:
    """Return the paragraphs of a notebook's Markdown cells, in order; headings are paragraphs of their own."""
    reader = _Reader()
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == "markdown":
            place = 0
            for line in "".join(cell["source"]).splitlines(keepends=True):
                reader.line(line, number, place)
                place += len(line)
            reader.flush(number)
    return reader.found
