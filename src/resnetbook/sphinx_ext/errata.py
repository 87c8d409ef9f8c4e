"""Errata and glossary of the survey."""

from collections.abc import Iterable

from resnetbook.sphinx_ext.html import inline, link, markdown
from resnetbook.sphinx_ext.links import Links, erratum_anchor
from resnetbook.survey import Erratum, Term


def erratum(entry: Erratum, links: Links) -> str:
    """Return one erratum as HTML."""
    anchor = erratum_anchor(entry.id)
    fields = (
        ("The survey", entry.says),
        ("What holds", entry.holds),
        ("Evidence", entry.evidence),
        ("In this book", entry.book),
    )
    items = "".join(f"<dt>{name}</dt><dd>{inline(text)}</dd>" for name, text in fields if text)
    related = [link(name, links.claim(name)) for name in entry.claims]
    related += [link(f"<code>{name}</code>", links.method(name)) for name in entry.methods]
    also = f'<p class="rb-links">See {", ".join(related)}</p>' if related else ""
    return (
        f'<article class="rb-card" id="{anchor}"><p class="rb-head"><a class="rb-id" href="#{anchor}">{entry.id}</a>'
        f' <span class="rb-note">§ {inline(entry.place)}</span></p><dl>{items}</dl>{also}</article>'
    )


def errata_page(entries: Iterable[Erratum], links: Links) -> str:
    """Return all errata as HTML."""
    return "\n".join(erratum(entry, links) for entry in entries)


def glossary(terms: Iterable[Term]) -> str:
    """Return the glossary as Markdown: each entry under its English and its Chinese name."""
    lines = ["```{glossary}"]
    seen: set[str] = set()
    for term in terms:
        names = [
            name for name in dict.fromkeys((term.english, term.chinese)) if name and name.lower() not in seen
        ]
        seen.update(name.lower() for name in names)
        lines += [*(" ".join(name.split()) for name in names), f"  {markdown(term.definition)}", ""]
    return "\n".join([*lines, "```"])
