"""API pages by static analysis: one section for each public module of a package. Nothing is imported."""

from collections.abc import Sequence
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from resnetbook.sphinx_ext.html import slug
from resnetbook.sphinx_ext.links import autoapi_objects


def shown(found: Any, exported: Sequence[str] = ()) -> bool:
    """Whether an object belongs on the page: public, documented, and at home in its module or class.

    What a private module defines has no page of its own: it is at home where it is `exported`, in a module's `__all__`.
    What a class inherits is left out: it would depend on which libraries the machine that builds the book has.
    """
    foreign = getattr(found, "inherited", False)
    if getattr(found, "imported", False):
        private = any(part.startswith("_") for part in found.obj["original_path"].split("."))
        foreign = foreign or not private or found.name not in exported
    return not found.name.startswith("_") and bool(found.docstring) and not foreign


def listing(found: Any, module: str, exported: Sequence[str] = ()) -> list[str]:
    """Return the directives for one object of a module, its methods in the order of the source."""
    kinds = {"class": "class", "exception": "exception", "function": "function", "data": "data"}
    if found.type not in kinds or not shown(found, exported):
        return []
    lines = [f".. autoapi{kinds[found.type]}:: {module}.{found.name}"]
    children = getattr(found, "children", [])
    methods = [child.name for child in children if shown(child, [child.name])]
    if methods:
        lines += [f"   :members: {', '.join(methods)}", "   :member-order: bysource"]
    return [*lines, ""]


class ApiDirective(SphinxDirective):
    """`{api} resnetbook.lab`: the public modules below a package, in alphabetical order, the package itself first."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return one section for each module."""
        package = self.arguments[0]
        known = autoapi_objects(self.env)
        names = [
            name
            for name, found in known.items()
            if found.type in ("module", "package")
            and (name == package or name.startswith(package + "."))
            and not any(part.startswith("_") for part in name.split("."))
        ]
        if not names:
            raise self.error(f"package {package!r} is unknown, expected one below {self.config.autoapi_dirs}")
        return [self.section(name) for name in sorted(names)]

    def section(self, name: str) -> nodes.section:
        """Return the section of one module."""
        found = autoapi_objects(self.env)[name]
        path = found.obj.get("file_path")
        for file in (__file__, path):
            if file:
                self.env.note_dependency(file)
        section = nodes.section(ids=[slug(name) + "-module"])
        section += nodes.title("", "", nodes.literal(name, name))
        body = nodes.Element()
        lines = [f".. autoapimodule:: {name}", ""]
        for child in found.children if found.type == "module" else []:
            lines += listing(child, name, found.all or ())
        self.parse_rst(lines, body)
        section += body.children
        return section

    def parse_rst(self, lines: list[str], node: nodes.Element) -> None:
        """Parse reStructuredText into `node`, whatever markup the page is written in."""
        content = StringList(["```{eval-rst}", *lines, "```"], source=self.env.docname)
        self.state.nested_parse(content, 0, node)
