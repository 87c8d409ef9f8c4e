"""The survey map, section by section, as Markdown."""

from collections.abc import Sequence

from resnetbook.sphinx_ext.html import inline, link
from resnetbook.sphinx_ext.links import Links, method_anchor
from resnetbook.survey import Method


def in_section(method: Method, section: str) -> bool:
    """Whether a method belongs to a section, given by the beginning of the survey's number ("3", "4.1")."""
    return method.section == section or method.section.startswith((section + ".", section + "("))


def where(method: Method, links: Links) -> str:
    """Return where a method stands in the book, as HTML: a link to its heading, or "planned"."""
    url = links.notebook(method.notebook)
    if method.status == "planned":
        part = f" {link('chapter', url)}" if url else ""
        return f'<span class="rb-state rb-planned">planned</span>{part}'
    return f'<span class="rb-state rb-built">built</span> {link("chapter", url)}'


def code(method: Method, links: Links) -> str:
    """Return object and proof of a method, as HTML."""
    if not method.object:
        return ""
    dotted = method.object.removeprefix("resnetbook.").replace(".", ".<wbr>")
    name = f"<code>{dotted}</code>"
    proof = ""
    if method.proof:
        test = inline(method.proof.test.split("::")[-1]).replace("_", "_<wbr>")
        proof = f'<br><span class="rb-note">{inline(method.proof.kind)}: <code>{test}</code></span>'
    return link(name, links.code(method.object)) + proof


def row(method: Method, links: Links) -> str:
    """Return a method's row as a Markdown table row; citations stay Markdown roles."""
    cite = f"{{cite:p}}`{','.join(method.references)}`" if method.references else ""
    if method.corrected:
        cite += f" should be {{cite:p}}`{','.join(method.corrected)}`"
    name = (
        f'<span id="{method_anchor(method.id)}" class="rb-method">{inline(method.english)}</span>'
        f'<br><span lang="zh">{inline(method.chinese)}</span>'
    )
    says = inline(method.says).replace("|", "&#124;")
    place = "<br>".join(part for part in (where(method, links), code(method, links)) if part)
    return f"| {name} | {says} | {place} | {cite} |"


def table(methods: Sequence[Method], links: Links) -> str:
    """Return the Markdown table of some methods."""
    head = ["| Method | What the survey says | In this book | References |", "|---|---|---|---|"]
    return "\n".join([*head, *(row(method, links) for method in methods)])


def summary(methods: Sequence[Method]) -> str:
    """Return one sentence: how many of the methods are built."""
    built = sum(method.status == "built" for method in methods)
    return f"{built} of {len(methods)} built, {len(methods) - built} planned."
