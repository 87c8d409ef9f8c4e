"""What stands in a page's header, and no host but the book's own.

With a repository's address in `_config.yml` the theme links each notebook to Colab. Without one the same button leads
to the page that explains the upload. The loader of thebe, which names another host on every page, is taken out.
"""

from typing import Any
from urllib.parse import urlsplit

from sphinx.application import Sphinx
from sphinx.config import Config

from resnetbook.sphinx_ext import preview

COLAB_PAGE = "book/colab"


# The hosts that the theme can link to, and what it offers there: Colab opens notebooks from GitHub alone.
BUTTONS = {
    "github": ("use_repository_button", "use_edit_page_button", "use_issues_button"),
    "gitlab": ("use_repository_button", "use_edit_page_button", "use_issues_button"),
    "bitbucket": ("use_repository_button", "use_edit_page_button"),
}


def host_of(url: str) -> str:
    """Return which of `BUTTONS` a repository's address belongs to, "" for another host or none."""
    return next((name for name in BUTTONS if name in urlsplit(url).netloc), "")


def prepare_theme(app: Sphinx, config: Config) -> None:
    """Show the links to the repository that work there: its page, "suggest an edit", "open an issue", Colab.

    Without a repository, or at a host that the theme does not know, no button would lead anywhere, so none is shown.
    """
    options = config.html_theme_options
    host = host_of(options.get("repository_url") or "")
    for name in {button for buttons in BUTTONS.values() for button in buttons}:
        options[name] = name in BUTTONS.get(host, ())
    if host != "github":
        options.pop("launch_buttons", None)
    if not host:
        for name in ("repository_url", "path_to_docs"):
            options.pop(name, None)


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
    """Lead from a notebook's header to the page about Colab where no button opens it there."""
    if app.config.html_theme_options.get("launch_buttons") or COLAB_PAGE not in app.env.found_docs:
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
{tags}
<link rel="icon" href="_static/favicon.svg"><meta http-equiv="refresh" content="0; url={url}"></head>
<body><main><h1>{title}</h1><p><a href="{url}">Open the book</a></p></main></body></html>
"""


def write_index(app: Sphinx, exception: Exception | None) -> None:
    """Write `index.html`, which leads to the landing page and shows its preview where the bare address is shared."""
    if exception is None and app.builder.format == "html":
        title, root = app.config.html_title, app.config.root_doc
        description = preview.shorten(preview.paragraph(app.env.get_doctree(root)))
        tags = preview.tags(title, description, title, preview.address(app, ""))
        text = INDEX.format(title=title, tags=tags, url=app.builder.get_target_uri(root))
        (app.outdir / "index.html").write_text(text, encoding="utf-8")
