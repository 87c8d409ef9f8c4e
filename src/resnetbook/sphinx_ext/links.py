"""Addresses inside the book: from the map's names to pages and anchors."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sphinx.environment import BuildEnvironment

from resnetbook.sphinx_ext.html import slug

RECORDS = "records"  # folder of the built book
NETWORK_ANCHOR = "networks-in-this-page"
API_PAGES = (
    "principle",
    "lab",
    "experiments",
    "survey",
    "grading",
    "timeline",
    "structure",
    "medical",
    "outlook",
)


def method_anchor(name: str) -> str:
    """Return the id of a method's row on the survey map."""
    return f"method-{slug(name)}"


def claim_anchor(name: str) -> str:
    """Return the id of a claim on the ledger."""
    return f"claim-{slug(name)}"


def erratum_anchor(name: str) -> str:
    """Return the id of an entry on the page of errata."""
    return f"erratum-{slug(name)}"


def autoapi_objects(env: BuildEnvironment) -> dict[str, Any]:
    """Return what static analysis found, by dotted path."""
    found: dict[str, Any] = getattr(env, "autoapi_all_objects", {})
    return found


@dataclass
class Links:
    """Addresses relative to one page.

    Attributes:
        env: Sphinx's environment.
        docname: the page that holds the links.
    """

    env: BuildEnvironment
    docname: str

    def page(self, target: str, anchor: str = "") -> str | None:
        """Return the address of a page of the book, None where the book has no such page."""
        if target not in self.env.found_docs:
            return None
        if target == self.docname:
            return f"#{anchor}"
        url = self.env.app.builder.get_relative_uri(self.docname, target)
        return f"{url}#{anchor}" if anchor else url

    def notebook(self, where: str | None) -> str | None:
        """Return the address of `folder/name#anchor` under chapters/."""
        if not where:
            return None
        name, _, anchor = where.partition("#")
        return self.page(f"chapters/{name}", anchor)

    def method(self, name: str) -> str | None:
        """Return the address of a method's row on the survey map."""
        return self.page("book/survey_map", method_anchor(name))

    def claim(self, name: str) -> str | None:
        """Return the address of a claim on the ledger."""
        return self.page("book/claims_ledger", claim_anchor(name))

    def api_page(self, dotted: str) -> str | None:
        """Return the name of the API page that documents a dotted path."""
        parts = dotted.split(".")
        if len(parts) < 2 or parts[1] not in API_PAGES:
            return None
        return f"book/api_{parts[1]}"

    def code(self, dotted: str | None) -> str | None:
        """Return the address of an object, or of its module, on the API pages."""
        if not dotted:
            return None
        page = self.api_page(dotted)
        known = autoapi_objects(self.env)
        if page is None or dotted not in known:
            return None
        kind = known[dotted].type
        anchor = f"module-{dotted}" if kind in ("module", "package") else dotted
        return self.page(page, anchor)

    def record(self, name: str) -> str:
        """Return the address of a record's file, which the build puts beside the pages."""
        return "../" * self.docname.count("/") + f"{RECORDS}/{name}"

    def experiment(self, name: str) -> str | None:
        """Return the address of an experiment's module on the API pages; None where there is none of this name."""
        known = autoapi_objects(self.env)
        found = [
            each
            for each in known
            if each.startswith("resnetbook.experiments.") and each.split(".")[3:] == [name]
        ]
        return self.code(found[0]) if found else None

    @property
    def network(self) -> str | None:
        """Return the address of the networks that a reader draws for, None where no chapter holds them."""
        for docname in sorted(self.env.found_docs):
            if docname.startswith("chapters/"):
                text = Path(self.env.doc2path(docname)).read_text("utf-8")
                if re.search(r"```+\{network\}( full)?\s*(\\n|$)", text, re.M):
                    return self.page(docname, NETWORK_ANCHOR)
        return None

    @cached_property
    def verdict_pages(self) -> dict[str, list[str]]:
        """Return, for each claim, the notebooks that show its verdict (by the calls in their sources)."""
        found: dict[str, list[str]] = {}
        for docname in sorted(self.env.found_docs):
            if docname.startswith("chapters/"):
                path = Path(self.env.doc2path(docname))
                for name in dict.fromkeys(
                    re.findall(r"verdict\(\s*\\?[\"']([CA]\d+)", path.read_text("utf-8"))
                ):
                    found.setdefault(name, []).append(docname)
        return found
