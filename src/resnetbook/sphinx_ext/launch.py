"""What stands in a page's header, and no host but the book's own.

With a repository's address in `_config.yml` the theme links each notebook to Colab. Without one the same button leads
to the page that explains the upload. The loader of thebe, which names another host on every page, is taken out.
"""

from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config

COLAB_PAGE = "book/colab"


def prepare_theme(app: Sphinx, config: Config) -> None:
    """Drop the theme's launch buttons while no repository is set: they would point nowhere."""
    options = config.html_theme_options
    if not options.get("repository_url"):
        for name in ("launch_buttons", "repository_url", "use_repository_button", "path_to_docs"):
            options.pop(name, None)
    else:
        options["use_repository_button"] = True


def remove_thebe(app: Sphinx) -> None:
    """Disconnect sphinx-thebe, which Jupyter Book always loads and this book never uses."""
    for event in (
        "env-before-read-docs",
        "env-updated",
        "doctree-resolved",
        "builder-inited",
        "html-page-context",
    ):
        listeners = app.events.listeners.get(event, [])
        for listener in list(listeners):
            if getattr(listener.handler, "__module__", "").split(".")[0] == "sphinx_thebe":
                listeners.remove(listener)


def add_launch_button(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Lead from a notebook's header to the page about Colab while there is no repository."""
    if app.config.html_theme_options.get("repository_url") or COLAB_PAGE not in app.env.found_docs:
        return
    if not str(app.env.doc2path(pagename)).endswith(".ipynb") or "header_buttons" not in context:
        return
    context["header_buttons"].insert(
        0,
        {
            "type": "link",
            "url": context["pathto"](COLAB_PAGE),
            "text": "Open in Colab",
            "tooltip": "How to open this notebook in Colab",
            "icon": "fas fa-rocket",
            "label": "colab-page-button",
        },
    )


INDEX = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="_static/favicon.svg"><meta http-equiv="refresh" content="0; url={url}"></head>
<body><main><h1>{title}</h1><p><a href="{url}">Open the book</a></p></main></body></html>
"""


def write_index(app: Sphinx, exception: Exception | None) -> None:
    """Write `index.html`, which leads to the landing page."""
    if exception is None and app.builder.format == "html":
        path = app.outdir / "index.html"
        path.write_text(
            INDEX.format(title=app.config.html_title, url=app.builder.get_target_uri(app.config.root_doc)),
            encoding="utf-8",
        )
