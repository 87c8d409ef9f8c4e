"""The built pages without a browser: links, ids, alt texts, nothing from another host."""

import json
import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup

pytestmark = pytest.mark.book
ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = sorted(
    path for path in (ROOT / "chapters").rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts
)


@cache
def soup(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@cache
def anchors(path: Path) -> frozenset[str]:
    page = soup(path)
    return frozenset(tag["id"] for tag in page.find_all(id=True)) | frozenset(
        tag["name"] for tag in page.find_all("a", attrs={"name": True})
    )


def broken(html: Path, name: str) -> list[str]:
    """Local links of one page that lead nowhere."""
    found = []
    for tag in soup(html / name).find_all(href=True):
        url = urlsplit(tag["href"])
        if url.scheme or url.netloc:
            continue
        target = (html / name).parent / unquote(url.path) if url.path else html / name
        if target.is_dir():
            target /= "index.html"
        if not target.is_file():
            found.append(f"{name}: {tag['href']} (no such file)")
        elif url.fragment and target.suffix == ".html" and unquote(url.fragment) not in anchors(target):
            found.append(f"{name}: {tag['href']} (no such anchor)")
    return found


def test_every_internal_link_and_anchor_resolves(html, pages):
    assert len(pages) > 20
    assert [problem for name in pages for problem in broken(html, name)] == []


def test_the_link_check_sees_a_dead_link(tmp_path):
    (tmp_path / "a.html").write_text(
        '<a href="b.html">x</a><a href="#none">y</a><a id="here" href="#here">z</a>'
    )
    assert len(broken(tmp_path, "a.html")) == 2


def test_every_image_has_an_alt_text(html, pages):
    problems = []
    for name in pages:
        for image in soup(html / name).find_all("img"):
            alt = image.get("alt")
            if alt is None or "_images/" in alt or (not alt.strip() and image.get("aria-hidden") != "true"):
                problems.append(f"{name}: {str(image)[:120]}")
    assert problems == []


def test_no_page_loads_anything_from_another_host(html, pages):
    problems = []
    for name in pages:
        page = soup(html / name)
        loads = [tag["src"] for tag in page.find_all(src=True)]
        loads += [
            tag["href"]
            for tag in page.find_all("link", href=True)
            if set(tag.get("rel", []))
            & {"stylesheet", "icon", "preload", "prefetch", "preconnect", "modulepreload"}
        ]
        problems += [f"{name}: {url[:80]}" for url in loads if re.match(r"(https?:)?//", url)]
        scripts = " ".join(tag.get_text() for tag in page.find_all(["script", "style"]))
        problems += [
            f"{name}: {host}" for host in re.findall(r"unpkg\.com|cdn\.\w+|jsdelivr|cdnjs\S*", scripts)
        ]
    assert problems == []


def test_no_id_appears_twice_on_a_page(html, pages):
    problems = []
    for name in pages:
        ids = [tag["id"] for tag in soup(html / name).find_all(id=True)]
        problems += [f"{name}: {each}" for each in sorted(set(ids)) if ids.count(each) > 1]
    assert problems == []


def test_formulas_are_set_by_files_of_the_book(html):
    page = soup(html / "chapters/2_principle/residual_block.html")
    (source,) = [tag["src"] for tag in page.find_all("script", src=True) if "mathjax" in tag["src"]]
    assert (html / "chapters/2_principle" / urlsplit(source).path).resolve().is_file()


def test_index_leads_to_the_landing_page(html):
    refresh = soup(html / "index.html").find("meta", attrs={"http-equiv": "refresh"})
    assert (html / refresh["content"].split("url=")[1]).is_file()


def test_pages_have_the_favicon(html, pages):
    for name in pages:
        icon = soup(html / name).find("link", rel="icon")
        assert icon is not None, name
        assert ((html / name).parent / icon["href"]).is_file(), name


def test_launch_button_is_alive(html):
    """Without a repository it leads to the page about Colab; with one to Colab, with this notebook's path."""
    config = (ROOT / "_config.yml").read_text()
    url = re.search(r'^  url: "(.*?)"', config, re.M).group(1)
    page = (html / "chapters/2_principle/residual_block.html").read_text()
    if url:
        assert "colab.research.google.com/github" in page
        assert "chapters/2_principle/residual_block.ipynb" in page
    else:
        assert "colab.research.google.com" not in page
        assert 'href="../../book/colab.html"' in page


def test_the_map_shows_planned_and_built(html):
    text = soup(html / "book/survey_map.html")
    rows = text.select("span.rb-method")
    assert len(rows) == 81
    assert len(text.select("span.rb-state")) == 81


def test_the_ledger_holds_all_claims_and_computes_its_totals(html):
    from resnetbook import survey

    page = soup(html / "book/claims_ledger.html")
    shown = {card["id"]: card for card in page.select("article.rb-card")}
    assert len(shown) == len(survey.claims()) == 97
    for claim in survey.claims():
        badge = shown[f"claim-{claim.id.lower()}"].select_one(".rb-head .rb-verdict").get_text()
        assert badge == survey.verdict(claim, "quick").status, claim.id
    rows = [
        [cell.get_text() for cell in row.find_all(["th", "td"])]
        for row in page.select("table.rb-totals tbody tr")
    ]
    totals = {scale: survey.totals(scale) for scale in ("quick", "full")}
    words = [name for name in totals["quick"] if name != "comparisons"]
    assert rows == [[word, str(totals["quick"][word]), str(totals["full"][word])] for word in words]


def test_each_record_lies_beside_the_ledger_that_links_to_it(html):
    from resnetbook.lab import results

    names = {path.name for path in results.folder().glob("*.json")}
    assert {path.name for path in (html / "records").iterdir()} == names
    page = soup(html / "book/claims_ledger.html")
    linked = {link["href"] for link in page.select("article.rb-card a[href*='records/']")}
    for address in linked:
        assert (html / "book" / address).resolve().is_file(), address


def solutions(path: Path) -> list[tuple[int, str, str]]:
    """Cells between the gates of a solution: (number, type, source); a gate's own cell gives the text inside."""
    found, inside = [], False
    for number, cell in enumerate(json.loads(path.read_text())["cells"]):
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown" and (
            "{solution-start}" in text or "{solution-end}" in text or inside
        ):
            start = re.search(r"```+\{solution-start\}.*?\n```+\s*$", text, re.S | re.M)
            body = text[start.end() :] if start else text
            end = re.search(r"```+\{solution-end\}", body)
            found.append((number, "markdown", (body[: end.start()] if end else body).strip()))
            inside = (inside or "{solution-start}" in text) and "{solution-end}" not in text
        elif inside:
            hidden = cell["metadata"].get("jupyter", {}).get("source_hidden", False)
            found.append((number, "code hidden" if hidden else "code", text))
    return [entry for entry in found if entry[2]]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_solutions_are_folded_in_plain_viewers_too(path):
    """GitHub, JupyterLab and Colab know `<details>`, not the book's directives."""
    open_bodies = []
    for number, kind, text in solutions(path):
        if kind == "code":
            open_bodies.append(f"cell {number}: a code cell that is not hidden")
        elif kind == "markdown":
            outside = re.sub(r"<details>.*?</details>", "", text, flags=re.S).strip()
            if outside:
                open_bodies.append(f"cell {number}: {outside[:80]}")
    assert open_bodies == []


def test_chapters_have_exercises_with_solutions(html):
    for path in CHAPTERS:
        if "assignments" in path.parts:
            continue
        text = path.read_text()
        assert text.count("{exercise-start}") >= 1, path.name
        assert text.count("{solution-start}") == text.count("{exercise-start}"), path.name
