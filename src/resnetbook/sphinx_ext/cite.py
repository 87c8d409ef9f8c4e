"""The page "How to cite", from CITATION.cff and the bibliography: one place for authors, title, version and address."""

from pathlib import Path
from typing import Any

import yaml

from resnetbook.survey import bibtex
from resnetbook.survey.tables import folder

SURVEY = "zhou2020residual"


def bibliography() -> Path:
    """Return the file of the book's bibliography."""
    return folder() / "references.bib"


def citation(root: Path) -> dict[str, Any]:
    """Return the content of CITATION.cff in `root`.

    Raises:
        FileNotFoundError: there is no such file.
    """
    content: dict[str, Any] = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    return content


def _name(author: dict[str, str]) -> str:
    if "name" in author:  # a group: the inner braces keep BibTeX from taking it apart
        return "{" + author["name"] + "}"
    return f"{author['family-names']}, {author['given-names']}"


def entry(kind: str, key: str, fields: dict[str, str]) -> str:
    """Return a BibTeX entry; empty fields are left out."""
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@{kind}{{{key},", *lines, "}"])


def book(content: dict[str, Any]) -> str:
    """Return the BibTeX entry of the book."""
    cited = content["preferred-citation"]
    return entry(
        "book",
        f"resnetbook{cited['year']}",
        {
            "author": " and ".join(_name(author) for author in cited["authors"]),
            "title": cited["title"],
            "year": str(cited["year"]),
            "note": f"{cited['medium']}, version {cited['version']}",
            "url": content.get("url") or content.get("repository-code", ""),
        },
    )


def survey() -> str:
    """Return the BibTeX entry of the survey that the book follows, without our remarks on it."""
    text = bibliography().read_text(encoding="utf-8")
    kind, key, fields = next(each for each in bibtex.entries(text, bibliography().name) if each[1] == SURVEY)
    return entry(kind, key, {name: value for name, value in fields.items() if name != "note"})


def sentence(content: dict[str, Any]) -> str:
    """Return the citation of the book in one sentence, Markdown."""
    cited = content["preferred-citation"]
    names = "; ".join(author.get("name") or _name(author) for author in cited["authors"])
    address = content.get("url") or content.get("repository-code", "")
    where = f" <{address}>" if address else ""
    return (
        f"{names}: *{cited['title']}*. {cited['medium']}, version {cited['version']}, {cited['year']}.{where}"
    )


def page(root: Path) -> str:
    """Return sentence and entries as Markdown."""
    content = citation(root)
    parts = [f"> {sentence(content)}"]
    for text in (book(content), survey()):
        parts += ["", "```bibtex", text, "```"]
    return "\n".join(parts)
