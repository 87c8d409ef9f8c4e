"""The book's one Sphinx extension: pages and drawings made from the map, search in two languages, a clean page.

It needs no torch: the map is data, API pages come from static analysis.
"""

from typing import Any

from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, Any]:
    """Register directives, search and handlers with Sphinx."""
    from resnetbook.sphinx_ext import cleanup, docstrings, launch, numbers, preview, records, sources
    from resnetbook.sphinx_ext.api import ApiDirective
    from resnetbook.sphinx_ext.directives import DIRECTIVES
    from resnetbook.sphinx_ext.search import BilingualSearch

    for name, directive in DIRECTIVES.items():
        app.add_directive(name, directive)
    app.add_directive("api", ApiDirective)
    app.add_search_language(BilingualSearch)
    app.config.html_search_language = "en"  # type: ignore[attr-defined]
    app.connect("autodoc-process-docstring", docstrings.process, priority=900)
    app.connect("config-inited", launch.prepare_theme, priority=100)
    app.connect("builder-inited", launch.remove_thebe, priority=1)
    app.connect("html-page-context", launch.add_launch_button, priority=900)
    app.connect("html-page-context", preview.add)
    app.connect("build-finished", launch.write_index)
    app.connect("build-finished", records.copy)
    app.connect("write-started", numbers.restart_on_each_page)
    app.connect("doctree-resolved", cleanup.strip_repeated_ids)
    app.connect("html-page-context", cleanup.plain_citation_list)
    app.connect("html-page-context", sources.add_links)
    app.connect("doctree-resolved", cleanup.open_inner_details)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
