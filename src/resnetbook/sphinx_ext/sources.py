"""Links of the code that a chapter shows (`lab.sources`): to its place on the API pages and in the repository.

They are made at the build and not stored in the notebook, where they would lead nowhere and grow old.
"""

import re
from typing import Any

from sphinx.application import Sphinx

from resnetbook.sphinx_ext.api import shown
from resnetbook.sphinx_ext.html import link
from resnetbook.sphinx_ext.links import Links, autoapi_objects

_PLACE = re.compile(r'(<p class="rb-where" data-object="([\w.]+)">)(<code>.*?</code>) in (<code>.*?</code>)')


def _private(dotted: str) -> bool:
    return any(part.startswith("_") for part in dotted.split("."))


def exported(known: dict[str, Any], dotted: str) -> str:
    """Return where a public module hands on what a private one defines; the path itself where none does."""
    for name, found in known.items():
        if getattr(found, "imported", False) and found.obj.get("original_path") == dotted:
            module = known.get(name.rpartition(".")[0])
            if not _private(name) and shown(found, getattr(module, "all", None) or ()):
                return name
    return dotted


def documented(known: dict[str, Any], dotted: str) -> str:
    """Return the dotted path itself where the API pages show it, else of the nearest thing around it that they show."""
    while "." in dotted:
        place = exported(known, dotted) if _private(dotted) else dotted
        found = known.get(place)
        kept = found is not None and (place != dotted or found.type in ("module", "package") or shown(found))
        if kept and not _private(place):
            return place
        dotted = dotted.rpartition(".")[0]
    return dotted


def repository_file(options: dict[str, Any], known: dict[str, Any], dotted: str) -> str | None:
    """Return the address of an object's lines in the repository, None where there is no repository or no such object."""
    base, found = options.get("repository_url"), known.get(dotted)
    module = dotted
    while module and getattr(known.get(module), "type", "") not in ("module", "package"):
        module = module.rpartition(".")[0]
    if not base or found is None or not module:
        return None
    path = module.replace(".", "/") + ("/__init__.py" if known[module].type == "package" else ".py")
    lines = f"#L{found.obj['from_line_no']}-L{found.obj['to_line_no']}" if found is not known[module] else ""
    return f"{base}/blob/{options.get('repository_branch') or 'main'}/src/{path}{lines}"


def add_links(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Handle `html-page-context`: make the names and files above shown code links."""
    known, links = autoapi_objects(app.env), Links(app.env, pagename)

    def linked(match: re.Match[str]) -> str:
        head, dotted, name, file = match.groups()
        place = repository_file(app.config.html_theme_options, known, dotted)
        return f"{head}{link(name, links.code(documented(known, dotted)))} in {link(file, place)}"

    if "body" in context:
        context["body"] = _PLACE.sub(linked, context["body"])
