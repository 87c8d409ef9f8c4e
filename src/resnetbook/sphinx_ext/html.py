"""Small pure functions that turn plain text into HTML or Markdown."""

import html
import re
from collections.abc import Iterable

_CODE = re.compile(r"`([^`]+)`")


def inline(text: str) -> str:
    """Return text as HTML: escaped, `code` and **strong** marked up."""
    text = html.escape(text, quote=False)
    text = _CODE.sub(r"<code>\1</code>", text)
    return re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", text)


def attribute(text: str) -> str:
    """Return text escaped for an attribute's value."""
    return html.escape(text, quote=True)


def link(text: str, url: str | None) -> str:
    """Return `text` (HTML) as a link, or as it is where there is no address."""
    return f'<a href="{attribute(url)}">{text}</a>' if url else text


def markdown(text: str) -> str:
    """Return plain text as Markdown that means just this text, on one line; code in backquotes stays code."""
    parts = re.split(r"(`[^`]+`)", " ".join(text.split()))
    return "".join(
        part if part.startswith("`") else re.sub(r"([\\*_<>\[\]$|{}#~])", r"\\\1", part) for part in parts
    )


def table(head: Iterable[str], rows: Iterable[Iterable[str]], *, label: str, classes: str = "") -> str:
    """Return an HTML table in a box of its own that scrolls sideways, by keyboard too.

    Args:
        head: column titles, HTML.
        rows: cells, HTML; the first of each row is its heading.
        label: what the table shows, for screen readers.
        classes: class names of the table.
    """
    titles = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = ""
    for first, *rest in rows:
        cells = "".join(f"<td>{cell}</td>" for cell in rest)
        body += f'<tr><th scope="row">{first}</th>{cells}</tr>'
    name = attribute(label)
    return (
        f'<div class="rb-scroll" role="region" aria-label="{name}" tabindex="0">'
        f'<table class="table rb-table {classes}"><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def slug(name: str) -> str:
    """Return `name` as part of an id: lower case letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
