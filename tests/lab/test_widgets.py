"""Moving figures: markup that stands alone, and behaviour in a browser."""

import re
import shutil
import sys
from html.parser import HTMLParser

import matplotlib as mpl
import pytest
from jupyter_client.manager import start_new_kernel

from resnetbook.lab import figures, widgets

mpl.use("Agg")
import matplotlib.pyplot as plt  # after the choice of backend

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="{0}" height="60"><rect width="{0}" height="60"/></svg>'
ITEMS = [("8", SVG.format(100)), ("20", SVG.format(200)), ("56", SVG.format(900))]


def three(**changes) -> widgets.Panels:
    return widgets.panels(
        **{"items": ITEMS, "label": "Depth", "alt": ["first", "second", "third"], **changes}
    )


class Elements(HTMLParser):
    """All start tags with their attributes; fails on tags that do not close in order."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(markup)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in ("input", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def drawn(number: float = 1.0):
    figures.style()
    figure, axes = plt.subplots()
    axes.plot([0, number])
    return figure


# --- markup -----------------------------------------------------------------------------------------------


def test_markup_is_semantic():
    page = Elements(three(start=1).html)
    (figure,), (label,), (slider,), (output,) = (
        page.all(tag) for tag in ("figure", "label", "input", "output")
    )
    assert slider["type"] == "range"
    assert (slider["min"], slider["max"], slider["value"], slider["aria-valuetext"]) == ("0", "2", "1", "20")
    assert label["for"] == slider["id"] == output["for"]
    assert slider["id"].startswith(figure["id"])
    assert [image["alt"] for image in page.all("img")] == ["first", "second", "third"]
    shown = [
        attributes for attributes in page.all("div") if "rb-shown" in (attributes["class"] or "").split()
    ]
    assert [attributes["data-label"] for attributes in shown] == ["20"]
    assert len(page.all("script")) == 1
    assert "src" not in page.all("script")[0]


def test_nothing_is_asked_of_another_host():
    markup = re.sub(r"data:image/[^\"]*", "", three().html)
    assert "//" not in markup
    assert "url(" not in markup
    assert "import" not in markup


def test_id_follows_from_the_content():
    assert three().html == three().html
    ids = {
        three().id,
        three(start=1).id,
        three(label="Width").id,
        three(items=[*ITEMS[:2], ("57", ITEMS[2][1])]).id,
    }
    assert len(ids) == 4
    # Every rule and the script name this id, so two figures on a page cannot meet.
    rules = re.findall(r"#([\w-]+)[ {]", Elements(three().html).found and three().html.split("</style>")[0])
    assert set(rules) == {three().id}


def test_labels_are_escaped():
    hostile = '"><script>alert(1)</script>'
    found = widgets.panels([(hostile, SVG.format(5)), ("b", SVG.format(6))], label=hostile, alt=hostile)
    page = Elements(found.html)
    assert len(page.all("script")) == 1
    assert page.all("div")[1]["data-label"] == hostile
    assert page.all("img")[0]["alt"].startswith(hostile)
    assert page.all("input")[0]["aria-valuetext"] == hostile


def test_one_text_for_all_pictures_is_told_apart():
    alts = [image["alt"] for image in Elements(three(alt="Gradient norms.").html).all("img")]
    assert alts[0] == "Gradient norms. Depth: 8."
    assert len(set(alts)) == 3


def test_figures_and_bytes_give_the_same_picture():
    before = plt.get_fignums()
    figure = drawn()
    both = widgets.panels([("a", figure), ("b", figures.png(figure))], label="x", alt="y")
    first, second = (image["src"] for image in Elements(both.html).all("img"))
    assert first == second
    assert first.startswith("data:image/png;base64,iVBOR")
    assert plt.get_fignums() == before, "a figure left open is drawn again below the cell"
    assert repr(both) == "x: 2 pictures (a to b)"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"items": []}, "items: empty"),
        ({"items": [ITEMS[0], ITEMS[0]], "alt": "a"}, "each name once"),
        ({"items": [("a", 5)], "alt": "a"}, "items\\[0\\]: int"),
        ({"items": [("a", "no drawing")], "alt": "a"}, "items\\[0\\]: str"),
        ({"items": [("a", b"JFIF")], "alt": "a"}, "PNG"),
        ({"label": " "}, "label=' '"),
        ({"alt": ["one"]}, "alt: 1 texts, expected 3"),
        ({"alt": ""}, "alt: an empty text"),
        ({"alt": ["a", "", "c"]}, "alt: an empty text"),
        ({"start": 3}, "start=3: expected 0 to 2"),
        ({"start": -1}, "start=-1"),
    ],
)
def test_panels_refuse(changes, message):
    with pytest.raises(ValueError, match=message):
        three(**changes)


# --- live -------------------------------------------------------------------------------------------------


def test_live_carries_both_forms():
    asked = []

    def draw(depth, norm):
        asked.append((depth, norm))
        return drawn(depth)

    before = plt.get_fignums()
    found = widgets.live(draw, alt="A line.", depth=[8, 20], norm=["with", "without"])
    assert asked == [(8, "with"), (8, "without"), (20, "with"), (20, "without")]
    assert plt.get_fignums() == before, "prepared figures are closed"
    bundle = found._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain", widgets.VIEW}
    assert bundle["text/html"] == found.prepared.html
    assert found.prepared.labels[1] == "depth 8, norm without"
    view = bundle[widgets.VIEW]
    assert view["model_id"]
    assert (view["version_major"], view["version_minor"]) == (2, 0), "the protocol of ipywidgets 7 and 8"


def test_live_without_ipywidgets_is_the_prepared_page(monkeypatch):
    found = widgets.live(drawn, alt="A line.", number=[1, 2])
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    assert found._repr_mimebundle_() == {"text/html": found.prepared.html, "text/plain": repr(found.prepared)}


CELL = """
import matplotlib.pyplot as plt
from resnetbook.lab import figures, widgets

figures.style()

def draw(depth):
    figure, axes = plt.subplots()
    axes.plot([0, depth])
    return figure

widgets.live(draw, alt="A line.", depth=[8, 20, 56])
"""


@pytest.mark.notebook
def test_live_redraws_in_a_kernel():
    """A front end's part played by hand, as Colab's widget manager has it: it moves the slider and waits for a picture."""
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        first = replies(client, client.execute(CELL))
        (shown,) = [m["content"]["data"] for m in first if m["msg_type"] == "execute_result"]
        models = states(first)
        box = models[shown[widgets.VIEW]["model_id"]]
        parts = {models[child.removeprefix("IPY_MODEL_")]["_model_name"]: child for child in box["children"]}
        assert set(parts) == {"SelectionSliderModel", "OutputModel"}
        slider, output = (
            parts[name].removeprefix("IPY_MODEL_") for name in ("SelectionSliderModel", "OutputModel")
        )
        assert list(models[slider]["_options_labels"]) == ["8", "20", "56"]
        prepared = re.findall(r"data:image/png;base64,([^\"]+)", shown["text/html"])
        assert len(prepared) == 3
        assert pictures(first) == [prepared[0]], "the first choice is drawn at once"
        for index in (2, 1):
            state = {"method": "update", "state": {"index": index}, "buffer_paths": []}
            message = client.session.msg("comm_msg", {"comm_id": slider, "data": state})
            client.shell_channel.send(message)
            moved = replies(client, message["header"]["msg_id"])
            assert pictures(moved) == [prepared[index]], (
                "the picture of that choice, as it stands on the page"
            )
            caught = [
                m["content"]["data"]["state"].get("msg_id")
                for m in moved
                if m["msg_type"] == "comm_msg" and m["content"]["comm_id"] == output
            ]
            assert message["header"]["msg_id"] in caught, "the picture is sent to the widget's own place"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def states(messages: list[dict]) -> dict[str, dict]:
    """The state of each widget's model, as a front end keeps it: opened, then updated."""
    found: dict[str, dict] = {}
    for message in messages:
        content = message["content"]
        if message["msg_type"] in ("comm_open", "comm_msg"):
            found.setdefault(content["comm_id"], {}).update(content["data"].get("state", {}))
    return found


def replies(client, asked: str) -> list[dict]:
    """What the kernel sends in answer to one message, until it is idle again."""
    found = []
    while True:
        message = client.get_iopub_msg(timeout=120)
        if message["parent_header"].get("msg_id") == asked:
            assert message["msg_type"] != "error", message["content"]
            found.append(message)
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return found


def pictures(messages: list[dict]) -> list[str]:
    """The pictures among them, base64 in one line."""
    shown = [m["content"]["data"] for m in messages if m["msg_type"] == "display_data"]
    return [data["image/png"].replace("\n", "") for data in shown if "image/png" in data]


@pytest.mark.parametrize(
    ("function", "choices", "message"),
    [
        (drawn, {}, "choices"),
        (drawn, {"number": []}, "choices"),
        (drawn, {"number": list(range(25))}, "25 combinations"),
        (lambda number: number, {"number": [1]}, "returned int"),
    ],
)
def test_live_refuses(function, choices, message):
    with pytest.raises(ValueError, match=message):
        widgets.live(function, alt="x", **choices)


# --- browser ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs Chromium (Debian: apt-get install chromium)")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def opened(browser, tmp_path):
    """Open a page with two figures; collects every request, and fails on an error in the console."""
    second = widgets.panels(ITEMS, label="Width", alt="Another.")
    text = f"<main>{three(start=1).html}<p>Between.</p>{second.html}</main>"
    (tmp_path / "page.html").write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>t</title>'
        f'<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,"><body>{text}</body></html>'
    )
    requests, errors, contexts = [], [], []

    def open_page(**options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto((tmp_path / "page.html").as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []


def visible(page, figure: int = 0) -> list[str]:
    panels = page.locator("figure").nth(figure).locator(".rb-panel")
    return [each.get_attribute("data-label") for each in panels.all() if each.is_visible()]


@pytest.mark.browser
def test_slider_by_keyboard_and_mouse(opened):
    page = opened(viewport={"width": 800, "height": 700})
    slider = page.get_by_label("Depth", exact=True).locator("visible=true").locator("xpath=self::input")
    assert visible(page) == ["20"]
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert visible(page) == ["56"]
    assert slider.get_attribute("aria-valuetext") == "56"
    assert page.locator("figure output").first.inner_text() == "56"
    page.keyboard.press("Home")
    assert visible(page) == ["8"]
    box = slider.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert visible(page) == ["20"]
    assert visible(page, 1) == ["8"], "the other figure stays as it was"


@pytest.mark.browser
def test_print_shows_all_with_their_names(opened):
    page = opened()
    page.emulate_media(media="print")
    assert visible(page) == ["8", "20", "56"]
    assert page.get_by_text("Depth: 56").is_visible()
    assert not page.locator("figure input").first.is_visible()


@pytest.mark.browser
def test_without_scripts_the_start_shows(opened):
    page = opened(java_script_enabled=False)
    assert visible(page) == ["20"]
    assert visible(page, 1) == ["8"]
    assert not page.locator("figure input").first.is_visible(), "no slider that does nothing"


@pytest.mark.browser
def test_a_phone_needs_no_sideways_scrolling(opened):
    page = opened(viewport={"width": 360, "height": 640})
    page.locator("figure input").first.focus()
    page.keyboard.press("End")
    assert visible(page) == ["56"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.locator("figure img").nth(2).bounding_box()["width"] <= 360


@pytest.mark.browser
def test_no_violation_by_axe(opened):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = opened(color_scheme="dark")
    results = axe.Axe().run(page)
    assert [
        violation["id"]
        for violation in results.response["violations"]
        if violation["impact"] in ("serious", "critical")
    ] == []
