"""Mend what other extensions leave on a page: repeated ids, solutions folded twice."""

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

_REPEATED = {"exercise-content", "solution-content"}
_DETAILS = re.compile(r"<details(?![^>]*\bopen\b)")


def plain_citation_list(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Take the role "list" from the bibliography: its entries are not list items, which screen readers stumble over."""
    if "body" in context:
        context["body"] = context["body"].replace(
            '<div role="list" class="citation-list">', '<div class="citation-list">'
        )


def _is_solution(node: nodes.Node) -> bool:
    return type(node).__name__ in {"solution_node", "solution_start_node"}


def strip_repeated_ids(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Remove the ids that sphinx-exercise repeats for each exercise of a page."""
    for section in doctree.findall(nodes.section):
        section["ids"] = [name for name in section["ids"] if name not in _REPEATED]


def open_inner_details(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Open the `<details>` of a solution: the book folds the whole solution already, other viewers do not."""
    for node in doctree.findall(_is_solution):
        for raw in node.findall(nodes.raw):
            if raw.get("format") == "html" and _DETAILS.search(raw.astext()):
                text = _DETAILS.sub("<details open", raw.astext(), count=1)
                raw.children = [nodes.Text(text)]
                raw.rawsource = text
