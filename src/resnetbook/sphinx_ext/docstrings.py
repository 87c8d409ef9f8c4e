"""Docstrings to reStructuredText, so that a sign in a formula never breaks the build.

The package's docstrings are plain text with Google's section names and `code` in single backquotes. Sphinx would read a
`|W|` as a substitution and `*` as emphasis; here everything but code is escaped, and indented blocks stay as typed.
"""

import re
from collections.abc import Iterable

_SECTIONS = {
    "args:": "Arguments",
    "arguments:": "Arguments",
    "returns:": "Returns",
    "yields:": "Yields",
    "raises:": "Raises",
    "attributes:": "Attributes",
    "example:": "Example",
    "examples:": "Example",
    "note:": "Note",
    "notes:": "Note",
}
_CODE = re.compile(r"``(.+?)``|`([^`]+?)`")
_ENTRY = re.compile(r"^\*{0,2}([\w., ]+?)(?: \([^)]*\))?: (.*)$")


def escape(text: str) -> str:
    """Return `text` as literal reStructuredText, code in single or double backquotes kept as code."""
    parts = []
    last = 0
    for match in _CODE.finditer(text):
        parts.append(re.sub(r"([\\*|_`])", r"\\\1", text[last : match.start()]))
        code = (match.group(1) or match.group(2)).strip()
        parts.append(f"\\ ``{code}``\\ " if code else "")
        last = match.end()
    parts.append(re.sub(r"([\\*|_`])", r"\\\1", text[last:]))
    return "".join(parts).strip()


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _blocks(lines: list[str]) -> list[list[str]]:
    """Cut lines at blank ones and where the indentation of an unindented paragraph changes."""
    blocks: list[list[str]] = [[]]
    for line in lines:
        if not line.strip():
            blocks.append([])
            continue
        block = blocks[-1]
        starts_section = line.strip().lower() in _SECTIONS and _indent(line) == 0
        if (
            block
            and (starts_section or (_indent(block[0]) == 0) != (_indent(line) == 0))
            and not _is_list(block)
        ):
            blocks.append([])
        blocks[-1].append(line)
    return [block for block in blocks if block]


def _is_list(block: list[str]) -> bool:
    return block[0].lstrip().startswith(("- ", "* "))


def _list(block: list[str]) -> list[str]:
    items: list[str] = []
    for line in block:
        text = line.strip()
        if text.startswith(("- ", "* ")):
            items.append(text[2:])
        elif items:
            items[-1] += " " + text
    return [f"- {escape(item)}" for item in items]


def _section(title: str, block: list[str]) -> list[str]:
    """One bold title, then one list item for each entry of an indented block."""
    if title == "Example":
        return [f"**{title}**", "", ".. code-block:: text", "", *("    " + line.strip() for line in block)]
    base = min(_indent(line) for line in block)
    entries: list[str] = []
    for line in block:
        if _indent(line) == base or not entries:
            entries.append(line.strip())
        else:
            entries[-1] += " " + line.strip()
    items = []
    for entry in entries:
        match = _ENTRY.match(entry) if title in {"Arguments", "Raises", "Attributes"} else None
        items.append(f"- ``{match.group(1)}``: {escape(match.group(2))}" if match else f"- {escape(entry)}")
    return [f"**{title}**", "", *items]


def to_rst(lines: Iterable[str]) -> list[str]:
    """Return a docstring's lines as reStructuredText that raises no warning."""
    blocks = _blocks(list(lines))
    out: list[str] = []
    waiting = ""
    for block in blocks:
        head = block[0].strip().lower()
        if _indent(block[0]) == 0 and head in _SECTIONS and len(block) == 1:
            waiting = _SECTIONS[head]
            continue
        if _indent(block[0]) > 0 and waiting:
            out += _section(waiting, block)
        elif _is_list(block):
            out += _list(block)
        elif _indent(block[0]) > 0:  # a formula or a table of the docstring: as it was typed
            base = min(_indent(line) for line in block)
            out += [".. code-block:: text", "", *("    " + line[base:] for line in block)]
        else:
            out.append(escape(" ".join(line.strip() for line in block)))
        if _indent(block[0]) == 0:
            waiting = ""
        out.append("")
    return out


def process(app: object, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Handle `autodoc-process-docstring`: replace the lines in place."""
    lines[:] = to_rst(lines)
