"""The built book in headless Chromium, without a network: from a server and straight from disk."""

import io
import re
from collections import Counter
from urllib.parse import quote

import pytest
from browser_watch import Watch

pytestmark = [pytest.mark.book, pytest.mark.browser]
CHAPTERS = (
    "chapters/1_introduction/introduction.html",
    "chapters/2_principle/residual_block.html",
    "chapters/2_principle/degradation.html",
    "chapters/2_principle/gradient_flow.html",
    "chapters/2_principle/why_it_works.html",
    "chapters/2_principle/shattered_gradients.html",
)
# From disk a browser lets no page read another; search shows titles there, and says so on the console.
FROM_DISK = re.compile(
    r"file://.*(CORS|origin)|failed file://|origin 'null'|Failed to fetch|net::ERR_FAILED", re.I
)


def test_no_page_asks_another_host_or_complains(browser, root, pages):
    with Watch(browser, root) as watch:
        for name in pages:
            if name != "index.html":
                watch.open(name)
        assert watch.foreign == []
        assert watch.problems == []


def test_the_watch_sees_another_host_and_an_error(browser, tmp_path):
    (tmp_path / "bad.html").write_text(
        '<img alt="" src="https://example.org/a.png"><script>console.error("oh"); none()</script>'
    )
    with Watch(browser, f"file://{tmp_path}") as watch:
        watch.open("bad.html")
        assert len(watch.foreign) == 1
        assert len(watch.problems) >= 2


def test_index_leads_to_the_book(browser, root):
    with Watch(browser, root) as watch:
        watch.page.goto(f"{root}/index.html")
        watch.page.wait_for_url("**/book/intro.html")
        assert watch.page.locator("h1").first.inner_text().startswith("Residual Networks, Executed")


@pytest.mark.parametrize("name", CHAPTERS)
def test_formulas_are_set(browser, root, name):
    with Watch(browser, root) as watch:
        page = watch.open(name)
        page.wait_for_selector("mjx-container", state="attached")  # the first may lie in a folded part
        assert page.locator("mjx-container").count() >= page.locator(".math").count() > 0
        assert page.locator("mjx-merror").count() == 0


def test_figures_move_by_mouse_and_keyboard(browser, root):
    """Every slider of every chapter; at least one chapter has one."""
    sliders = 0
    with Watch(browser, root) as watch:
        for name in CHAPTERS:
            page = watch.open(name)
            page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
            for figure in page.locator(".resnetbook-panels").all():
                sliders += 1
                slider = figure.locator("input[type=range]")
                shown = figure.locator(".rb-panel:visible")
                slider.scroll_into_view_if_needed()
                assert shown.count() == 1
                last = figure.locator(".rb-panel").count() - 1
                box = slider.bounding_box()
                page.mouse.click(box["x"] + box["width"] - 3, box["y"] + box["height"] / 2)
                assert int(slider.input_value()) == last
                by_mouse = shown.get_attribute("data-label")
                page.keyboard.press("Home")
                first = shown.get_attribute("data-label")
                page.keyboard.press("ArrowRight")
                second = shown.get_attribute("data-label")
                assert len({by_mouse, first, second}) == min(3, last + 1)
                assert slider.get_attribute("aria-valuetext") == second
                assert shown.count() == 1
    assert sliders > 0


@pytest.mark.parametrize("query", ["residual", "gradient", "残差", "梯度", "残差块", "残差网络"])
def test_search_finds(browser, server, query):
    with Watch(browser, server) as watch:
        watch.page.goto(f"{server}/search.html?q={quote(query)}")
        watch.page.wait_for_selector("ul.search li", timeout=15000)
        targets = [link.get_attribute("href") for link in watch.page.locator("ul.search li a").all()]
        assert targets
        assert watch.foreign == []


def test_search_does_not_find_what_is_not_there(browser, server):
    with Watch(browser, server) as watch:
        watch.page.goto(f"{server}/search.html?q={quote('残猫')}")
        watch.page.wait_for_function("document.querySelector('.search-summary, #search-results p')")
        watch.page.wait_for_timeout(1000)
        assert watch.page.locator("ul.search li").count() == 0


def test_search_from_disk_lists_titles(browser, html):
    with Watch(browser, f"file://{html}") as watch:
        watch.page.goto(f"file://{html}/search.html?q={quote('残差块')}")
        watch.page.wait_for_selector("ul.search li a", timeout=15000)
        assert [problem for problem in watch.problems if not FROM_DISK.search(problem)] == []
        assert watch.foreign == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_serious_barrier(browser, server, pages, theme):
    from axe_playwright_python.sync_playwright import Axe

    axe, problems = Axe(), Counter()
    options: dict[str, object] = {"resultTypes": ["violations"]}
    if theme == "dark":  # colours are all that differs
        options["runOnly"] = ["color-contrast"]
    with Watch(browser, server, theme=theme) as watch:
        for name in pages:
            if name in ("index.html", "genindex.html") or re.search(r"api_(?!survey)", name):
                continue  # the other API pages are of the same make, and large
            page = watch.open(name)
            assert page.evaluate("document.documentElement.dataset.theme") == theme
            page.evaluate("document.querySelectorAll('details').forEach((node) => (node.open = true))")
            # Thousands of coloured words, the same on each page: one page stands for all.
            context = None if name == CHAPTERS[1] else {"exclude": [[".highlight"]]}
            for found in axe.run(page, context=context, options=options).response["violations"]:
                if found["impact"] in ("serious", "critical"):
                    for node in found["nodes"]:
                        problems[f"{found['id']}: {name}: {node['html'][:160]}"] += 1
    assert sorted(problems) == []


def test_no_page_scrolls_sideways_on_a_phone(browser, server, pages):
    wide = {}
    with Watch(browser, server, width=360, height=740) as watch:
        for name in pages:
            if name == "index.html":
                continue
            page = watch.open(name)
            page.evaluate("document.querySelectorAll('details').forEach((node) => (node.open = true))")
            width = page.evaluate("document.documentElement.scrollWidth")
            if width > 360:
                wide[name] = width
    assert wide == {}


def luminance(colour) -> float:
    """Relative luminance of WCAG 2 for an (r, g, b) of 0 to 255."""
    parts = [value / 255 for value in colour[:3]]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other) -> float:
    first, second = sorted((luminance(one), luminance(other)), reverse=True)
    return (first + 0.05) / (second + 0.05)


def ink_and_ground(png: bytes):
    """The commonest colour, and the best contrast with it that at least 0.05 % of the pixels reach."""
    from PIL import Image

    image = Image.open(io.BytesIO(png)).convert("RGB")
    counts = Counter({colour: count for count, colour in image.getcolors(1 << 24)})
    ground = counts.most_common(1)[0][0]
    need, reached = image.width * image.height * 5e-4, 0
    for value, count in sorted(((contrast(c, ground), n) for c, n in counts.items()), reverse=True):
        reached += count
        if reached >= need:
            return value, ground
    return 1.0, ground


def test_the_measure_of_contrast():
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert contrast((118, 118, 118), (255, 255, 255)) == pytest.approx(4.54, abs=0.01)


def test_figures_read_on_dark_ground(browser, server):
    """A plot stays on its off-white card, undimmed, with ink that stands out; a drawing takes the page's colours."""
    checked = 0
    with Watch(browser, server, theme="dark") as watch:
        for name in (*CHAPTERS, "book/survey_map.html"):
            page = watch.open(name)
            figures = page.locator("div.cell_output img:visible, .rb-figure svg:visible").all()
            for figure in figures:
                value, ground = ink_and_ground(figure.screenshot())
                assert value >= 4.5, f"{name}: contrast {value:.1f}"
                if figure.evaluate("node => node.tagName") == "IMG":
                    assert min(ground) >= 245, f"{name}: the card is {ground}"
                checked += 1
    assert checked >= 8


@pytest.mark.parametrize("name", CHAPTERS)
def test_solutions_are_folded_and_open_at_once(browser, server, name):
    with Watch(browser, server) as watch:
        page = watch.open(name)
        solutions = page.locator(".solution")
        assert solutions.count() > 0
        for solution in solutions.all():
            body = solution.locator("details")
            assert body.count() == 1
            assert not body.is_visible()
        first = solutions.first
        first.locator(".toggle-button, .admonition-title").first.click()
        assert first.locator("details").is_visible()
        assert first.locator("details").get_attribute("open") is not None
        assert not first.locator("summary").is_visible()


def test_a_link_to_a_claim_opens_its_group(browser, root):
    with Watch(browser, root) as watch:
        page = watch.open("book/claims_ledger.html")
        assert not page.locator("#claim-c03").is_visible()
        page = watch.open("book/intro.html")
        page = watch.open("book/claims_ledger.html#claim-c03")
        page.wait_for_selector("#claim-c03", state="visible")


def test_drawings_are_reached_by_keyboard(browser, server):
    with Watch(browser, server) as watch:
        page = watch.open("book/survey_map.html")
        links = page.locator("#survey-figure-3 svg a")
        assert links.count() == 16
        links.nth(3).focus()
        page.keyboard.press("Enter")
        page.wait_for_url("**/*#*")


def test_paper_shows_everything(browser, server):
    with Watch(browser, server) as watch:
        page = watch.open("book/claims_ledger.html")
        page.emulate_media(media="print")
        assert page.locator("#claim-c03").is_visible()


# A4 less margins of a centimetre, at 96 pixels an inch.
PAPER = 718


def test_paper_cuts_no_line_of_code_and_no_card(browser, server):
    """On screen a box of code scrolls; paper cannot, so its lines go on below themselves."""
    with Watch(browser, server, width=PAPER) as watch:
        for name in ("chapters/2_principle/gradient_flow.html", "chapters/2_principle/degradation.html"):
            page = watch.open(name)
            wide = "[...document.querySelectorAll('.bd-article pre')].filter(e => e.scrollWidth > e.clientWidth + 1).length"
            on_screen = page.evaluate(wide)
            page.emulate_media(media="print")
            assert page.locator(".bd-article pre").count() > 10
            assert page.evaluate(wide) == 0, f"{name}: cut on paper ({on_screen} scroll on screen)"
            for part in page.locator(".resnetbook-verdict .rb-parts > div:visible").all():
                box = part.bounding_box()
                assert box["x"] + box["width"] <= PAPER
            page.emulate_media(media="screen")


def test_the_ledger_is_filtered_by_word_section_scale_and_flag(browser, server):
    from resnetbook import survey

    with Watch(browser, server) as watch:
        page = watch.open("book/claims_ledger.html")
        shown = page.locator("article.rb-card[data-words]:visible")
        word = survey.verdict("C02", "quick").status
        page.select_option("form.rb-filter select[name=words]", word)
        wanted = {c.id for c in survey.claims() if survey.verdict(c, "quick").status == word}
        assert {card.get_attribute("id") for card in shown.all()} == {
            f"claim-{name.lower()}" for name in wanted
        }
        assert (
            page.locator("form.rb-filter output").inner_text()
            == f"{len(wanted)} of {len(survey.claims())} claims"
        )
        page.select_option("form.rb-filter select[name=section]", "Section 5: medicine")
        assert shown.count() == sum(c.startswith("C6") and c in ("C66", "C67") for c in wanted)
        page.locator("form.rb-filter button[type=reset]").click()
        page.wait_for_function("document.querySelector('form.rb-filter output').textContent === ''")
        assert page.locator("article.rb-card[hidden]").count() == 0


def test_the_slider_gives_the_word_of_the_rules(browser, root):
    from resnetbook.sphinx_ext.verdict_page import example

    with Watch(browser, root) as watch:
        page = watch.open("book/how_a_verdict_is_reached.html")
        grid = [
            (m, s, n, g)
            for m in (-3, -0.4, 0, 0.7, 1.5, 4)
            for s in (0.2, 1.1, 6)
            for n in (2, 5, 12, 40)
            for g in (0, 1, 2.5)
        ]
        theirs = page.evaluate(
            "grid => grid.map(row => window.rbVerdict(...row))", [list(row) for row in grid]
        )
        assert theirs == [example(*row).status for row in grid]
        assert page.locator(".rb-slider-word").inner_text() == "undecided"
        seeds = page.locator(".rb-slider input[name=seeds]")
        seeds.focus()
        for _ in range(28):
            page.keyboard.press("ArrowRight")
        assert seeds.input_value() == "40"
        assert page.locator(".rb-slider-word").inner_text() == "supported"
        assert page.locator(".rb-slider svg circle").count() == 40


def test_cards_stand_below_each_other_on_a_phone(browser, server):
    with Watch(browser, server, width=360) as watch:
        page = watch.open("chapters/2_principle/degradation.html")
        parts = page.locator(".resnetbook-verdict .rb-parts > div:visible")
        boxes = [part.bounding_box() for part in parts.all()[:3]]
        assert len({round(box["x"]) for box in boxes}) == 1
        assert all(box["x"] + box["width"] <= 360 for box in boxes)
