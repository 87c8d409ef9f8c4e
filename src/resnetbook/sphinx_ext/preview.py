"""What a search engine and a link's preview show of a page: its title and the first sentences of its first paragraph.

sphinxext-opengraph is not used: without an address of the site it writes a relative `og:url`, and its descriptions break
off inside a word and hold LaTeX. Nothing absolute stands here while `html_baseurl` is empty.
"""

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from resnetbook.sphinx_ext.html import attribute

LONGEST = 200  # characters of a description; previews cut what is longer
SHORTEST = 40  # a paragraph below this is a label, not a description
# The first line of a chapter says which part of the survey it follows: true, and no description.
_PLACE = re.compile(r"^Survey, sections? \d")
_SIGNS = {
    "times": "×", "cdot": "·", "sum": "Σ", "sqrt": "√", "le": "≤", "leq": "≤", "ge": "≥", "geq": "≥", "approx": "≈",
    "to": "→", "partial": "∂", "alpha": "α", "mathcal": "", "mathrm": "", "text": "", "left": "", "right": "",
}  # fmt: skip


def formula(latex: str) -> str:
    """Return a formula as plain text: known commands as signs, others by their names, without braces."""
    text = re.sub(r"\\([A-Za-z]+)", lambda match: _SIGNS.get(match[1], match[1]), latex)
    return " ".join(re.sub(r"[{}$]|\\[,;! ]", "", text).split())


def plain(node: nodes.Node) -> str:
    """Return the text of a node on one line, formulas in words; footnote marks and raw HTML are left out."""
    if isinstance(node, nodes.math):
        return formula(node.astext())
    if isinstance(node, nodes.raw | nodes.footnote_reference):
        return ""
    if isinstance(node, nodes.Text):
        return node.astext()
    return " ".join("".join(plain(child) for child in node.children).split("\n"))


def shorten(text: str, longest: int = LONGEST) -> str:
    """Return the first whole sentences of `text` that fit; where not even one does, its first words and an ellipsis."""
    text = " ".join(text.split())
    if len(text) <= longest:
        return text
    kept = ""
    for sentence in re.split(r"(?<=[.?!])\s+(?=[A-Z\"'\d])", text):
        if len(kept) + len(sentence) + 1 > longest:
            break
        kept = f"{kept} {sentence}".strip()
    if len(kept) >= SHORTEST:
        return kept
    return text[: longest - 1].rsplit(" ", 1)[0].rstrip(" ,;:(") + "…"


def paragraph(doctree: nodes.Node) -> str:
    """Return the first paragraph that describes a page, as plain text; "" where there is none.

    Boxes, tables, captions and lists are passed over; a block quote or a grid of the landing page is not.
    """
    passed = (nodes.Admonition, nodes.table, nodes.caption, nodes.list_item, nodes.sidebar)
    for node in doctree.findall(nodes.paragraph):
        above = node.parent
        while above is not None and not isinstance(above, passed):
            above = above.parent
        text = plain(node).strip()
        if above is None and len(text) >= SHORTEST and not _PLACE.match(text):
            return text
    return ""


def tags(title: str, description: str, site: str, url: str) -> str:
    """Return the tags of a page's head, HTML."""
    found = [("name", "description", description), ("property", "og:title", title)]
    found += [("property", "og:description", description), ("property", "og:type", "article")]
    found += [
        ("property", "og:site_name", site),
        ("property", "og:locale", "en_GB"),
        ("property", "og:url", url),
    ]
    found += [("name", "twitter:card", "summary")]
    return "\n".join(
        f'<meta {kind}="{name}" content="{attribute(content)}" />' for kind, name, content in found if content
    )


def address(app: Sphinx, path: str) -> str:
    """Return the absolute address of a file of the published book, "" while no `html_baseurl` is set."""
    base = app.config.html_baseurl
    return f"{base.rstrip('/')}/{path}" if base else ""


def add(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Add the tags to a page that has a source."""
    if doctree is None:
        return
    site = app.config.project or app.config.html_title
    title = re.sub(r"<[^>]+>", "", context.get("title", "")) or site
    url = address(app, app.builder.get_target_uri(pagename))
    description = shorten(paragraph(doctree))
    context["metatags"] = context.get("metatags", "") + "\n" + tags(title, description, site, url) + "\n"
