"""The book's own directives. Each makes plain Markdown (HTML where Markdown has no form) and has it parsed in place."""

from collections.abc import Iterable
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from resnetbook import survey
from resnetbook._paths import data_dir
from resnetbook.sphinx_ext import (
    cite,
    errata,
    figures,
    ledger,
    licences,
    network,
    status,
    survey_map,
    verdict_page,
)
from resnetbook.sphinx_ext.links import NETWORK_ANCHOR, Links, claim_anchor, erratum_anchor, method_anchor


class MapDirective(SphinxDirective):
    """What all of them share: links from this page, parsing, and the files that a page depends on."""

    has_content = False

    @property
    def links(self) -> Links:
        """Return the addresses as seen from this page."""
        return Links(self.env, self.env.docname)

    def depend_on(self, paths: Iterable[Path]) -> None:
        """Have the page built again when one of these files changes."""
        for path in paths:
            self.env.note_dependency(str(path))

    def depend_on_map(self) -> None:
        """Have the page built again when the map or its drawing changes."""
        self.depend_on(sorted((Path(survey.__file__).parent).rglob("*.*ml")))
        self.depend_on(sorted((Path(survey.__file__).parent).glob("*.py")))
        self.depend_on(sorted(Path(__file__).parent.glob("*.py")))

    def name_anchors(self, anchors: Iterable[tuple[str, str]]) -> None:
        """Make ids inside raw HTML known to the book: `[C03](#claim-c03)` then works on every page."""
        standard = self.env.domains["std"]
        for anchor, title in anchors:
            standard.anonlabels[anchor] = (self.env.docname, anchor)  # type: ignore[attr-defined]
            standard.labels[anchor] = (self.env.docname, anchor, title)  # type: ignore[attr-defined]

    def markdown(self, text: str) -> list[nodes.Node]:
        """Return the nodes of some Markdown."""
        node = nodes.Element()
        self.state.nested_parse(StringList(text.splitlines(), source=self.env.docname), 0, node)
        return node.children

    def html(self, text: str) -> list[nodes.Node]:
        """Return HTML as it is."""
        return [nodes.raw("", text, format="html")]


class SurveyMap(MapDirective):
    """`{survey-map} 4.1`: the methods of a section; without a section, how many are built."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table, or the sentence."""
        self.depend_on_map()
        if not self.arguments:
            return self.markdown(survey_map.summary(survey.methods()))
        rows = [each for each in survey.methods() if survey_map.in_section(each, self.arguments[0])]
        if not rows:
            raise self.error(f"section {self.arguments[0]!r} has no methods")
        self.name_anchors((method_anchor(each.id), each.english) for each in rows)
        return self.markdown(survey_map.table(rows, self.links))


class ClaimsLedger(MapDirective):
    """`{claims-ledger}`: totals and all claims with their verdicts, computed while the book is built."""

    def run(self) -> list[nodes.Node]:
        """Return the ledger."""
        self.depend_on_map()
        self.depend_on(status.records())
        self.depend_on([data_dir() / "results"])
        self.depend_on(path for path, _ in status.notebooks(Path(self.env.srcdir)))
        self.name_anchors((claim_anchor(each.id), each.id) for each in survey.claims())
        return self.html(ledger.ledger(self.links))


class VerdictSlider(MapDirective):
    """`{verdict-slider}`: from mean, spread, seeds and margin to a word."""

    def run(self) -> list[nodes.Node]:
        """Return the slider with its prepared picture."""
        self.depend_on_map()
        return self.html(verdict_page.slider())


class VerdictFlags(MapDirective):
    """`{verdict-flags}`: what each flag means."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        self.depend_on_map()
        return self.html(verdict_page.flags())


class LedgerHistory(MapDirective):
    """`{ledger-history}`: the verdicts of versions 1 and 2 side by side."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        self.depend_on_map()
        self.depend_on([*status.records(), data_dir() / "results"])
        return self.html(verdict_page.history(self.links))


class LedgerChanges(MapDirective):
    """`{ledger-changes}`: what was changed after registration."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        self.depend_on_map()
        return self.html(verdict_page.changes(self.links))


class Errata(MapDirective):
    """`{errata}`: where the survey's text does not hold."""

    def run(self) -> list[nodes.Node]:
        """Return the list."""
        self.depend_on_map()
        self.name_anchors((erratum_anchor(each.id), each.id) for each in survey.errata())
        return self.html(errata.errata_page(survey.errata(), self.links))


class SurveyGlossary(MapDirective):
    """`{survey-glossary}`: terms in English and Chinese, as targets of the role `term`."""

    def run(self) -> list[nodes.Node]:
        """Return the glossary."""
        self.depend_on_map()
        return self.markdown(errata.glossary(survey.glossary()))


class Status(MapDirective):
    """`{status}`: what ran, when, for how long, with which versions."""

    def run(self) -> list[nodes.Node]:
        """Return the tables."""
        root = Path(self.env.srcdir)
        self.depend_on(path for path, _ in status.notebooks(root))
        self.depend_on([*status.records(), data_dir() / "results"])
        return self.html(status.page(root, self.links))


class DataLicences(MapDirective):
    """`{data-licences}`: each data set with its terms, and where the book uses it."""

    def run(self) -> list[nodes.Node]:
        """Return one card a set."""
        root = Path(self.env.srcdir)
        self.depend_on([*licences.tables(), *status.records(), data_dir() / "results"])
        self.depend_on(path for path, _ in status.notebooks(root))
        return self.html(licences.page(root, self.links))


class HowToCite(MapDirective):
    """`{how-to-cite}`: the book and the survey, in a sentence and as BibTeX."""

    def run(self) -> list[nodes.Node]:
        """Return the sentence and the entries."""
        root = Path(self.env.srcdir)
        self.depend_on([root / "CITATION.cff", cite.bibliography()])
        return self.markdown(cite.page(root))


class SurveyFigure(MapDirective):
    """`{survey-figure} 3`: one of the survey's figures, drawn anew with links into the book."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the figure."""
        self.depend_on_map()
        try:
            content = figures.figure(self.arguments[0], self.links)
        except ValueError as error:
            raise self.error(str(error)) from error
        name = f"survey-figure-{self.arguments[0]}"
        self.name_anchors([(name, name)])
        return self.html(content)


class Assignment(MapDirective):
    """`{assignment} principle`: where the student's notebook is, or how to make it."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return one sentence."""
        folder = f"chapters/assignments/{self.arguments[0]}"
        if url := self.links.page(f"{folder}/student"):
            return self.html(f'<p><a href="{url}">Open the student\'s notebook</a>.</p>')
        command = f"resnetbook release {folder}/master.ipynb -o student.ipynb"
        return self.markdown(f"Your teacher gives you the notebook; it is made by `{command}`.")


class Network(MapDirective):
    """`{network}` or `{network} small`: two trained networks that the reader's browser computes.

    The content is for viewers that know no directives, and does not stand in the book.
    """

    optional_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the networks' place."""
        root = Path(self.env.srcdir)
        self.depend_on(network.sources(root))
        self.depend_on([Path(network.__file__)])
        form = self.arguments[0] if self.arguments else "full"
        if form == "full":
            self.name_anchors([(NETWORK_ANCHOR, "Two networks in this page")])
        up = "../" * self.env.docname.count("/")
        try:
            return self.html(network.network(form, root / "book" / "_static", up, self.links.network))
        except ValueError as error:
            raise self.error(str(error)) from error


DIRECTIVES = {
    "assignment": Assignment,
    "network": Network,
    "survey-map": SurveyMap,
    "claims-ledger": ClaimsLedger,
    "data-licences": DataLicences,
    "how-to-cite": HowToCite,
    "verdict-slider": VerdictSlider,
    "verdict-flags": VerdictFlags,
    "ledger-history": LedgerHistory,
    "ledger-changes": LedgerChanges,
    "errata": Errata,
    "survey-glossary": SurveyGlossary,
    "status": Status,
    "survey-figure": SurveyFigure,
}
