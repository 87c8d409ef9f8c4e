"""The manner of a chapter (DESIGN section 2), as far as it can be counted: `python tools/manner.py NOTEBOOK…`.

Each rule takes a notebook and returns what it complains of. `tests/notebooks/test_manner.py` holds the rewritten chapters to
them, and shows for each rule a notebook that breaks it.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
import prose
import words

WIDTH = 88
LONG, SHORT = 3500, 2500  # visible words of a chapter of the principle, and of a network
HIDDEN = {"hide-input", "hide-cell", "remove-input", "remove-cell", "setup"}
CODE = re.compile(r"\b(?:C\d{2}|[EMA]\d{1,2})\b")
# What makes a cell an experiment: it trains, or reads a record. A verdict may be on a single layer, and needs no network.
EXPERIMENT = re.compile(r"\.backward\(|\btraining\.fit\(|\bresults\.read\(")
SHOWN = re.compile(r"\bsource\(")
RIGHT = re.compile(r"\s*(?:Yes|Right|Correct|Exactly)\b")
_BOOLEAN = re.compile(r"\[?\(?(?:True|False)(?:[,\s]+(?:True|False))*\)?\]?")
_OPTION = re.compile(r"<details[^>]*>\s*<summary>(.*?)</summary>(.*?)</details>", re.S)

Notebook = dict[str, Any]


def source(cell: dict[str, Any]) -> str:
    """Return a cell's source as one text."""
    return "".join(cell["source"])


def code(notebook: Notebook) -> list[tuple[int, dict[str, Any]]]:
    """Return the code cells with their numbers."""
    return [(n, cell) for n, cell in enumerate(notebook["cells"]) if cell["cell_type"] == "code"]


def visible(cell: dict[str, Any]) -> bool:
    """Whether the book shows a code cell's input open."""
    return not HIDDEN & set(cell["metadata"].get("tags", []))


def printed(output: dict[str, Any]) -> str:
    """Return the text of an output that is text alone."""
    if output["output_type"] == "stream":
        return "".join(output["text"])
    data = output.get("data", {})
    return "".join(data.get("text/plain", "")) if set(data) == {"text/plain"} else ""


def comments(notebook: Notebook) -> list[str]:
    """Markers of nbval stand in a cell's tags, not in its text."""
    found = [
        n for n, cell in enumerate(notebook["cells"]) if re.search(r"\bNBVAL_|PYTEST_VALIDATE", source(cell))
    ]
    return [f"cell {n}: a marker of nbval in the text: use the tag" for n in found]


def lines(notebook: Notebook) -> list[str]:
    """No visible line of code is longer than a page is wide; fenced code in the text counts too."""
    shown = [(n, source(cell)) for n, cell in code(notebook) if visible(cell)]
    for n, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == "markdown":
            shown += [
                (n, block) for block in re.findall(r"^```(?:python|py)\n(.*?)^```", source(cell), re.S | re.M)
            ]
    return [
        f"cell {n}: {len(line)} characters, at most {WIDTH}: {line[:60]}…"
        for n, text in shown
        for line in text.split("\n")
        if len(line) > WIDTH
    ]


def booleans(notebook: Notebook) -> list[str]:
    """A reader sees numbers. A cell that prints True and False alone, with labels or without, tells none."""
    found = []
    for n, cell in code(notebook):
        rows = [row for output in cell["outputs"] for row in printed(output).split("\n") if row.strip()]
        values = [re.split(r"[:=]\s+|\s{2,}", row.strip())[-1].strip() for row in rows]
        bare = [row for row in rows if _BOOLEAN.fullmatch(row.strip())]
        if rows and (bare or all(_BOOLEAN.fullmatch(value) for value in values)):
            found.append(f"cell {n}: prints only booleans: {(bare or rows)[0].strip()[:60]}")
    return found


def whole_class(text: str) -> bool:
    """Whether a piece of code defines a class with constructor and forward."""
    try:
        tree = ast.parse(re.sub(r"^\s*[%!].*$", "", text, flags=re.M))
    except SyntaxError:
        return False
    return any(
        {"__init__", "forward"} <= {part.name for part in node.body if isinstance(part, ast.FunctionDef)}
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    )


def classes(notebook: Notebook) -> list[str]:
    """A whole class stands on the page, open, before the first experiment."""
    for n, cell in code(notebook):
        text = source(cell)
        if visible(cell) and whole_class(text):
            return []
        # The cell of `figures.source` may be folded: what it shows is its output.
        if SHOWN.search(text) and any(
            re.search(r'class="k">class<', "".join(output.get("data", {}).get("text/html", "")))
            for output in cell["outputs"]
        ):
            return []
        if EXPERIMENT.search(text):
            return [f"cell {n}: an experiment before any whole class was shown"]
    return []


def moving(notebook: Notebook) -> list[str]:
    """At least one figure can be changed by whoever has a kernel, and stands on the page for those who have none."""
    found, shown = [], False
    for n, cell in code(notebook):
        data = [output.get("data", {}) for output in cell["outputs"]]
        if any("application/vnd.jupyter.widget-view+json" in kinds for kinds in data):
            found.append(f"cell {n}: a widget is stored whose model is gone: execute it by tools/execute.py")
        pages = ["".join(kinds.get("text/html", "")) for kinds in data]
        shown |= re.search(r"\blive\(", source(cell)) is not None and any(
            "resnetbook-panels" in p for p in pages
        )
    return found if shown else [*found, "no figure of widgets.live with its prepared panels"]


def links(notebook: Notebook) -> list[str]:
    """Each term of "Words and symbols" is linked where it first stands, and each link leads to an entry."""
    text, known = prose.paragraphs(notebook), words.terms()
    return [*map(str, words.unlinked(text, known)), *words.astray(text, known)]


def codes(notebook: Notebook) -> list[str]:
    """Codes of claims, errata, misconceptions and readings stand in links, cards and "About this page" alone."""
    found = [
        (each.cell, match[0])
        for each in prose.paragraphs(notebook)
        if each.folded != "about"
        for match in CODE.finditer(each.text)
    ]
    for n, cell in enumerate(notebook["cells"]):
        summaries = (
            re.findall(r"<summary>(.*?)</summary>", source(cell), re.S)
            if cell["cell_type"] == "markdown"
            else []
        )
        captions = json.dumps(cell["metadata"].get("mystnb", {}))
        texts = [*summaries, captions, *(printed(output) for output in cell.get("outputs", []))]
        found += [(n, match) for text in texts for match in CODE.findall(text)]
    return [f"cell {n}: the code {name} outside a link" for n, name in found]


def length(notebook: Notebook, most: int = SHORT) -> list[str]:
    """Visible words: what is folded, and the list of references, does not count."""
    count = sum(
        each.words
        for each in prose.paragraphs(notebook)
        if not each.folded and not each.section.startswith("References")
    )
    return [f"{count} visible words, at most {most}"] if count > most else []


def options(notebook: Notebook) -> list[list[bool]]:
    """Return, for each question with several options, which of them are right: their text begins with Yes or Right."""
    found = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            groups: list[list[bool]] = []
            end = None
            for match in _OPTION.finditer(source(cell)):
                if end is None or source(cell)[end : match.start()].strip():
                    groups.append([])
                groups[-1].append(RIGHT.match(match[2]) is not None)
                end = match.end()
            found += [group for group in groups if len(group) > 1]
    return found


def answers(notebook: Notebook) -> list[str]:
    """Every question has a right answer that says so: its text begins with Yes or Right."""
    found = options(notebook)
    silent = sum(not any(group) for group in found)
    return (
        [f"{silent} of {len(found)} questions have no option that begins with Yes or Right"] if silent else []
    )


RULES = (comments, lines, booleans, classes, moving, links, codes, answers)


def limit(path: Path) -> int:
    """Return the number of visible words that a chapter may have."""
    return LONG if path.parent.name in ("1_introduction", "2_principle") else SHORT


def main() -> int:
    """Command line: what each rule complains of, and the share of questions whose first option is right."""
    count = 0
    for path in map(Path, sys.argv[1:]):
        notebook = json.loads(path.read_text("utf-8"))
        complaints = [f"{rule.__name__}: {each}" for rule in RULES for each in rule(notebook)]
        complaints += [f"length: {each}" for each in length(notebook, limit(path.resolve()))]
        found = options(notebook)
        print(
            f"{path}: {len(complaints)} complaints; first option right in {sum(g[0] for g in found)} of {len(found)}"
        )
        print("\n".join(f"  {line}" for line in complaints), end="\n" if complaints else "")
        count += len(complaints)
    return int(count > 0)


if __name__ == "__main__":
    sys.exit(main())
