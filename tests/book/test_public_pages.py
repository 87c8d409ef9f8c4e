"""What readers of a public book look for: licences, how to cite, what changed, previews, the way to the repository."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from bs4 import BeautifulSoup
from docutils import nodes
from hypothesis import given
from hypothesis import strategies as st
from sphinx_external_toc.parsing import parse_toc_yaml

from resnetbook.sphinx_ext import cite, launch, licences, preview
from resnetbook.survey import bibtex

ROOT = Path(__file__).resolve().parents[2]
FIRST = "book/intro"


class Nowhere:
    """Links of a book that has every page."""

    def page(self, target, anchor=""):
        return f"{target}.html"


def soup(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def documents() -> list[str]:
    """The pages of the table of contents in its order; a student's notebook is found by a pattern and left out."""
    toc = parse_toc_yaml(ROOT / "_toc.yml")

    def walk(name: str) -> list[str]:
        items = [item for tree in toc[name].subtrees for item in tree.items if str(item) in toc]
        return [name, *(page for item in items for page in walk(str(item)))]

    return walk(toc.root.docname)


def test_every_set_that_the_package_loads_is_on_the_page() -> None:
    from resnetbook.lab import data

    rows = {entry.name: entry for group in licences.terms() for entry in group}
    assert set(rows) == {card.name for card in data.cards()}
    assert set(data._LOADERS) <= set(rows)
    for card in data.cards():
        assert rows[card.name] == licences.Terms(
            **{name: getattr(card, name) for name in licences.Terms.__annotations__}
        )


def test_the_page_says_of_each_set_what_its_card_says() -> None:
    from resnetbook.lab import data

    text = BeautifulSoup(licences.page(ROOT, Nowhere()), "html.parser")  # type: ignore[arg-type]
    rows = {found.find("code").get_text(): found.get_text(" ") for found in text.select("article")}
    for card in data.cards():
        for words in (
            card.licence,
            card.attribution,
            card.citation,
            card.source,
            licences.asks(card.licence),
        ):
            assert words in rows[card.name], (card.name, words)
        assert ("shows no image" in rows[card.name]) is not card.printable


def test_a_licence_that_nobody_has_read_stops_the_build() -> None:
    with pytest.raises(ValueError, match="licence is 'Elsewhere"):
        licences.asks("Elsewhere 1.0")
    assert "same licence" in licences.asks("CC BY-SA 4.0")
    assert "commercial" in licences.asks("CC BY-NC 4.0")
    assert licences.asks("CC BY 4.0") != licences.asks("CC BY-SA 4.0")


def test_uses_are_found_in_calls_and_counted_in_records(tmp_path, monkeypatch) -> None:
    (tmp_path / "chapters").mkdir()
    (tmp_path / "chapters" / "a.ipynb").write_text(
        r'{"cells": [{"source": ["x = data.load(\"bloodmnist\", size=64)\n", "data.wbc_masks()\n", "# wbc, data.load(y)"]}]}'
    )
    (tmp_path / "r.json").write_text('{"data": {"name": "digits"}}')
    (tmp_path / "s.json").write_text('{"data": null}')
    assert licences.uses(tmp_path) == {"bloodmnist": ["chapters/a"], "wbc": ["chapters/a"]}
    monkeypatch.setattr(licences.status, "records", lambda: [tmp_path / "r.json", tmp_path / "s.json"])
    assert licences.recorded() == {"digits": 1}


def test_few_notebooks_are_named_and_many_counted() -> None:
    titles = {f"chapters/{letter}": f"Chapter {letter}" for letter in "abcde"}
    some = licences.places(list(titles)[:2], 1, titles, Nowhere())  # type: ignore[arg-type]
    assert (
        some == '<a href="chapters/a.html">Chapter a</a>; <a href="chapters/b.html">Chapter b</a>; 1 record'
    )
    assert licences.places(list(titles), 2, titles, Nowhere()) == "5 notebooks; 2 records"  # type: ignore[arg-type]
    assert licences.places([], 0, titles, Nowhere()) == "not used yet"  # type: ignore[arg-type]


def test_no_page_shows_images_of_a_set_that_may_not_be_shown() -> None:
    """The notebooks load such sets nowhere; their numbers come from records."""
    used = licences.uses(ROOT)
    assert used["digits"]
    for group in licences.terms():
        for entry in group:
            assert entry.printable or entry.name not in used, entry.name


def test_the_page_names_the_images_inside_other_packages() -> None:
    from resnetbook.lab.data import packaged

    text = (ROOT / "book" / "licences.md").read_text()
    rows = {name: line for line in text.splitlines() for name in re.findall(r"`(\w+)`", line.split(":")[0])}
    for name, (_, _, licence, source) in packaged.PICTURES.items():
        assert f"| {licence} |" in rows[name], name
        assert source.removeprefix("scikit-image, ") in rows[name]
    for name in packaged._DICOM:
        assert "| MIT |" in rows[name]
    assert packaged.MNI_NOTICE in rows["mni152"]


def test_citation_entries_are_read_back_as_they_were_meant() -> None:
    content = cite.citation(ROOT)
    content["url"] = "https://owner.github.io/name/"
    (book,) = bibtex.parse(cite.book(content), "book")
    assert book.authors == (content["authors"][0]["name"],)
    assert (book.title, book.year, book.url) == (content["title"], 2026, content["url"])
    (survey,) = bibtex.parse(cite.survey(), "survey")
    assert (survey.id, survey.doi) == (cite.SURVEY, "10.3969/j.issn.0372-2112.2020.07.024")
    assert survey.note == ""
    assert content["url"] in cite.sentence(content)
    del content["url"]
    content.pop("repository-code", None)
    assert "url" not in cite.book(content)
    assert "http" not in cite.sentence(content)


def test_a_list_of_names_is_a_list_of_authors() -> None:
    people = [{"family-names": "Able", "given-names": "Ann"}, {"name": "The group of three, and one"}]
    cited = {"authors": people, "title": "T", "year": 2026, "medium": "Book", "version": "1"}
    (book,) = bibtex.parse(cite.book({"preferred-citation": cited}), "x")
    assert book.authors[0] == "Able, Ann"


@pytest.mark.parametrize(
    ("latex", "text"),
    [
        (r"n \times n", "n × n"),
        (r"x_L = x_l + \sum F", "x_L = x_l + Σ F"),
        (r"\sqrt{2}", "√2"),
        (r"\mathcal{F}(x)", "F(x)"),
        (r"\gamma\,x", "gammax"),
    ],
)
def test_formulas_in_a_preview_are_plain(latex: str, text: str) -> None:
    assert preview.formula(latex) == text


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("A sentence that is not long, and stays.", "A sentence that is not long, and stays."),
        (
            "A sentence of forty letters and some more. Words" + " word" * 60,
            "A sentence of forty letters and some more.",
        ),
        ("Too short. Words" + " word" * 60, "Too short. Words" + " word" * 36 + "…"),
    ],
)
def test_a_description_ends_with_a_sentence_or_a_word(text: str, short: str) -> None:
    assert preview.shorten(text) == short


@given(st.lists(st.text("abcAB.?,é", min_size=1, max_size=12), max_size=80))
def test_a_description_is_the_beginning_of_its_paragraph(words: list[str]) -> None:
    whole = " ".join(words)
    found = preview.shorten(whole)
    assert len(found) <= preview.LONGEST
    kept = found.removesuffix("…")
    assert whole.startswith(kept)
    assert whole[len(kept) :].lstrip(",;:(")[:1] in ("", " ")
    assert found == whole or len(found) >= min(preview.SHORTEST, len(whole))


def page(*parts: nodes.Node) -> nodes.document:
    document = nodes.document(None, None)  # type: ignore[arg-type]
    section = nodes.section()
    section += [nodes.title("", "A title"), *parts]
    document += section
    return document


def text(words: str) -> nodes.paragraph:
    return nodes.paragraph("", words)


def test_the_first_paragraph_that_describes_a_page_is_taken() -> None:
    long = "The paragraph that says in its first line what the page is about."
    box = nodes.note("", text("A box with a sentence of more than forty letters in it, first."))
    place = text("Survey, sections 3(3) and 4.1(6) (claims C28 to C31), with terms in Chinese.")
    assert preview.paragraph(page(box, place, text("A label:"), text(long), text(long[::-1]))) == long
    assert preview.paragraph(page(box)) == ""
    mixed = nodes.paragraph("", "", nodes.Text("How far does a stack of "), nodes.math("", r"n \times n"))
    mixed += nodes.Text(" kernels\nsee, and what does it cost?")
    assert (
        preview.paragraph(page(mixed)) == "How far does a stack of n × n kernels see, and what does it cost?"
    )


def app(base: str = "") -> SimpleNamespace:
    builder = SimpleNamespace(get_target_uri=lambda name: f"{name}.html")
    config = SimpleNamespace(project="The book", html_title="The book", html_baseurl=base)
    return SimpleNamespace(config=config, builder=builder)


def head(
    base: str = "",
    title: str = "A <em>title</em>",
    words: str = 'Is "a < b" enough for a sentence to be shown?',
):
    context = {"title": title, "metatags": "<meta name='x'>"}
    preview.add(app(base), "book/x", "page.html", context, page(text(words)))  # type: ignore[arg-type]
    found = BeautifulSoup(context["metatags"], "html.parser")
    assert found.find("meta", attrs={"name": "x"})
    return {
        tag.get("property") or tag.get("name"): tag.get("content")
        for tag in found.find_all("meta", content=True)
    }


def test_a_page_says_what_a_preview_shows() -> None:
    tags = head()
    assert tags["og:title"] == "A title"
    assert tags["description"] == tags["og:description"] == 'Is "a < b" enough for a sentence to be shown?'
    assert not any("://" in content for content in tags.values())
    assert head("https://owner.github.io/name/")["og:url"] == "https://owner.github.io/name/book/x.html"
    context: dict[str, str] = {}
    preview.add(app(), "search", "search.html", context, None)  # type: ignore[arg-type]
    assert context == {}


@pytest.mark.parametrize(
    ("url", "buttons", "colab"),
    [
        ("", set(), False),
        ("https://git.example.org/owner/name", set(), False),
        ("https://github.com/owner/name", {"repository", "edit_page", "issues"}, True),
        ("https://gitlab.com/owner/name", {"repository", "edit_page", "issues"}, False),
        ("https://bitbucket.org/owner/name", {"repository", "edit_page"}, False),
    ],
)
def test_the_header_offers_what_works_at_the_repository(url: str, buttons: set[str], colab: bool) -> None:
    options = {
        "repository_url": url,
        "launch_buttons": {"colab_url": "x"},
        "use_issues_button": False,
        "other": 1,
    }
    launch.prepare_theme(None, SimpleNamespace(html_theme_options=options))  # type: ignore[arg-type]
    shown = {name.removeprefix("use_").removesuffix("_button") for name, on in options.items() if on is True}
    assert shown == buttons
    assert ("launch_buttons" in options) is colab
    assert ("repository_url" in options) is bool(buttons)
    assert options["other"] == 1


def test_each_chapter_stands_in_the_changes() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text()
    linked = set(re.findall(r"\]\((chapters/[\w/]+)\.ipynb\)", changes))
    assert {name for name in documents() if name.startswith("chapters/")} <= linked
    for name in linked:
        assert (ROOT / f"{name}.ipynb").is_file(), name


@pytest.mark.book
def test_every_page_has_a_description_and_a_title_of_its_own(html: Path) -> None:
    site = yaml.safe_load((ROOT / "_config.yml").read_text())
    problems, titles = [], []
    for name in documents():
        head = soup(html / f"{name}.html").head
        tags = {tag.get("property") or tag.get("name"): tag.get("content") for tag in head.find_all("meta")}
        titles.append(tags.get("og:title"))
        words = tags.get("description") or ""
        if not preview.SHORTEST <= len(words) <= preview.LONGEST or words != tags.get("og:description"):
            problems.append(f"{name}: {words!r}")
        if bool(tags.get("og:url")) != bool(site["html"]["baseurl"]):
            problems.append(f"{name}: {tags.get('og:url')!r}")
        if re.search(r"[$\\{}]|:class:|^Survey, section", words):
            problems.append(f"{name}: {words!r}")
    assert problems == []
    assert len(set(titles)) == len(titles)
    assert titles[0] == site["title"]


@pytest.mark.book
def test_previous_and_next_lead_through_the_whole_book(html: Path) -> None:
    """From the landing page by "next" to the last one, each page once, and back."""
    seen, here = [], html / f"{FIRST}.html"
    while here is not None:
        page = soup(here)
        links = {
            kind: page.select_one(f".prev-next-area a.{kind}-{end}")
            for kind, end in (("left", "prev"), ("right", "next"))
        }
        if seen:
            assert (here.parent / links["left"]["href"]).resolve() == seen[-1]
            assert links["left"].select_one(".prev-next-title").get_text(strip=True)
        seen.append(here.resolve())
        here = (here.parent / links["right"]["href"]).resolve() if links["right"] else None
    names = [path.relative_to(html.resolve()).with_suffix("").as_posix() for path in seen]
    assert [name for name in names if not name.endswith("/student")] == documents()
    assert len(set(names)) == len(names)


@pytest.mark.book
def test_licences_citation_and_changes_are_pages(html: Path) -> None:
    page = soup(html / "book/licences.html")
    shown = {found.find("code").get_text() for found in page.select("article.rb-card")}
    assert shown == {entry.name for group in licences.terms() for entry in group}
    assert "@book{resnetbook2026," in soup(html / "book/cite.html").get_text()
    changes = soup(html / "book/changes.html")
    links = {link["href"] for link in changes.select("article a.reference.internal")}
    assert "../chapters/2_principle/degradation.html" in links
    assert changes.find("h1").get_text().startswith("What changed")


@pytest.mark.book
@pytest.mark.parametrize(
    ("file", "notice"),
    [
        ("scripts/bootstrap.js.LICENSE.txt", "Licensed under MIT"),
        ("scripts/fontawesome.js.LICENSE.txt", "Icons: CC BY 4.0, Fonts: SIL OFL 1.1, Code: MIT License"),
        ("clipboard.min.js", "Licensed MIT"),
    ],
)
def test_notices_of_others_lie_beside_the_pages(html: Path, file: str, notice: str) -> None:
    assert notice in (html / "_static" / file).read_text(encoding="utf-8")


def test_the_bare_address_has_the_preview_of_the_landing_page(tmp_path: Path) -> None:
    words = "Why does a network get worse when it is made deeper, and what ended this?"
    running = app("https://owner.github.io/name")
    running.outdir = tmp_path
    running.builder.format = "html"
    running.config.root_doc = FIRST
    running.env = SimpleNamespace(get_doctree=lambda name: page(text(words)) if name == FIRST else None)
    launch.write_index(running, None)  # type: ignore[arg-type]
    head = soup(tmp_path / "index.html").head
    assert head.find("meta", attrs={"name": "description"})["content"] == words
    assert head.find("meta", property="og:url")["content"] == "https://owner.github.io/name/"
    assert f"url={FIRST}.html" in head.find("meta", attrs={"http-equiv": "refresh"})["content"]
