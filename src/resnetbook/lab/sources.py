"""The code of a class or function on a page: whole, in colours, line by line as it stands in its file.

Notebooks reach this through `lab.figures`. The book colours it by its theme and links it to the API pages and to the
repository (`sphinx_ext/sources.py`); elsewhere it is a light card, as the figures are.
"""

from __future__ import annotations

import html
import inspect
import textwrap
from pathlib import Path
from typing import Any

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from resnetbook.lab.blocks import Block

__all__ = ["INKS", "source"]

# Colours outside the book, on the card of the figures; a class name of Pygments begins with these letters.
CARD, INK = "#fcfcfa", "#212125"
INKS = {
    "k": "#7a2a8c",  # keywords
    "s": "#1c6b35",  # strings
    "c": "#5a5f66",  # comments
    "m": "#8a4200",  # numbers
    "nf": "#0f578d",  # functions where they are defined
    "fm": "#0f578d",  # and __init__
    "nc": "#0f578d",  # classes
    "nd": "#8a4200",  # decorators
    "nb": "#35607d",  # built-in names
    "bp": "#35607d",  # self
}
_OUTSIDE = ".rb-source:not(.bd-article *)"
_STYLE = (
    "<style>.rb-source pre{overflow-x:auto;white-space:pre}"
    "@media print{.rb-source pre{white-space:pre-wrap;overflow-wrap:anywhere;overflow:visible}}"
    f"{_OUTSIDE} pre{{background:{CARD};color:{INK};padding:.8em;border-radius:4px;line-height:1.4;margin:0}}"
    + "".join(f"{_OUTSIDE} pre span[class^={key}]{{color:{ink}}}" for key, ink in INKS.items())
    + "</style>"
)


def source(*objects: Any) -> Block:
    """Show the whole source of classes and functions, with syntax colours.

    In a terminal each is one line: what it is, its file, the number of its lines.

    Args:
        *objects: classes, functions or methods, shown one after the other.

    Raises:
        ValueError: nothing is given; or one is neither class nor function, or has no source in a file (a built-in, or
            a class that this notebook defines).
    """
    if not objects:
        raise ValueError("objects: none, expected at least one class or function")
    shown = [_one(found) for found in objects]
    return Block(
        f'{_STYLE}<div class="rb-source">{"".join(markup for markup, _ in shown)}</div>',
        "\n".join(text for _, text in shown),
    )


def _one(found: Any) -> tuple[str, str]:
    """Return one object as markup and as a line of text."""
    if not (inspect.isclass(found) or inspect.isroutine(found)):
        raise ValueError(f"objects: {type(found).__name__} {found!r:.60}, expected a class or a function")
    found = inspect.unwrap(found)
    name = getattr(found, "__qualname__", repr(found))
    try:
        code = textwrap.dedent(inspect.getsource(found)).rstrip("\n")
        place = _place(found)
    except (OSError, TypeError) as error:
        raise ValueError(
            f"objects: {name} has no source, expected a class or function that stands in a file"
        ) from error
    kind = "class" if inspect.isclass(found) else "function"
    count = code.count("\n") + 1
    lines = f"{count} line{'s' if count > 1 else ''}"
    colours = highlight(code, PythonLexer(stripnl=False), HtmlFormatter(nowrap=True)).rstrip("\n")
    dotted = html.escape(f"{found.__module__}.{name}")
    return (
        f'<p class="rb-where" data-object="{dotted}"><code>{html.escape(name)}</code> in '
        f"<code>{html.escape(place)}</code>, {lines}</p>"
        f'<div class="highlight"><pre tabindex="0" role="region" aria-label="Source of {html.escape(name)}">'
        f"<span></span>{colours}</pre></div>",
        f"{kind} {name} in {place}, {lines}",
    )


def _place(found: Any) -> str:
    """Return the file from its package on, or the words for a cell of a notebook: never a path of this machine."""
    if found.__module__ == "__main__":
        return "this notebook"
    file = Path(inspect.getfile(found))
    depth = len(found.__module__.split(".")) + (file.name == "__init__.py")
    return "/".join(file.parts[-depth:])
