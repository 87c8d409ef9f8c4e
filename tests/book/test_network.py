"""The networks that run in a page: what the browser computes is what torch computes, by mouse, finger and keyboard."""

import math
import re
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest
import torch
from browser_watch import Watch

from resnetbook.experiments.principle import _page, _page_script
from resnetbook.principle import paths
from resnetbook.sphinx_ext.links import NETWORK_ANCHOR

pytestmark = [pytest.mark.book, pytest.mark.browser]
FULL, SMALL = "chapters/2_principle/why_it_works.html", "book/intro.html"
SCRIPT = Path(__file__).resolve().parents[2] / "book" / "_static" / "network-weights.js"
SPOKEN = {"residual": "Residual network", "plain": "plain twin"}


@cache
def networks():
    return _page_script.read(SCRIPT)


@cache
def shown():
    """The image that a page shows first, and its label."""
    found = _page_script.content(SCRIPT)
    entry = found["images"][found["shown"]]
    return _page_script.image(entry)[None, None], entry["label"]


def by_torch(kind, x, off=(), scale=1.0):
    """Logits, and root mean squares along depth for each image, with blocks switched off and the identity scaled."""
    network = networks()[kind]
    blocks = network.blocks
    with ExitStack() as stack, torch.no_grad():
        if kind == "residual":
            for _, block in blocks:
                identity = block.identity
                block.identity = lambda z, identity=identity: scale * identity(z)
                stack.callback(delattr, block, "identity")
        for at in off:
            if kind == "residual":  # its branch is gone, its scaled identity stays
                block = blocks[at][1]
                block.branch = lambda z, block=block: torch.zeros_like(block.identity(z))
                stack.callback(delattr, block, "branch")
            else:
                stack.enter_context(paths.lesion(network, blocks[at][0]))
        sizes = []

        def look(value):
            sizes.append(value.flatten(1).square().mean(1).sqrt())

        stack.callback(blocks[0][1].register_forward_pre_hook(lambda module, inputs: look(inputs[0])).remove)
        for _, block in blocks:
            stack.callback(block.register_forward_hook(lambda module, inputs, out: look(out)).remove)
        return network(x), torch.stack(sizes, 1)


def says(kind, x, **changes):
    """What the page must say of an image: the best class, and its share as whole per cent."""
    shares = by_torch(kind, x, **changes)[0].softmax(1)[0]
    return f"{SPOKEN[kind]}: {shares.argmax()} ({math.floor(100 * shares.max().item() + 0.5)} %)"


def opened(watch, name=FULL):
    """The page as soon as the networks run: formulas need not be set yet."""
    watch.page.goto(f"{watch.root}/{name}", wait_until="domcontentloaded")
    watch.page.wait_for_selector(".rb-net form:not([hidden])")
    return watch.page


def check_says(page, x, **changes):
    text = page.locator(".rb-net-says").inner_text()
    assert [each in text for each in (says("residual", x, **changes), says("plain", x, **changes))] == [
        True,
        True,
    ], text


def cells(page):
    """The greys of the pad, from 0 (paper) to 1 (ink), (8, 8)."""
    fills = page.locator(".rb-net-pad > rect:not(.rb-net-frame)").evaluate_all(
        "all => all.map(r => r.getAttribute('fill'))"
    )
    red = torch.tensor([float(re.match(r"rgb\((\d+)", fill)[1]) for fill in fills])
    return ((252 - red) / (252 - 33)).reshape(8, 8)


CUTS = [((), 1.0), ((4,), 1.0), ((0, 3, 8), 1.0), ((), 0.0), ((2, 6), 1.35), ((), 2.0)]


def test_logits_and_sizes_are_those_of_torch(browser, root):
    """On 50 test images that no network was trained on, with blocks off and the identity scaled too."""
    x = _page.digits().test.images[:50]
    with Watch(browser, root) as watch:
        page = opened(watch, SMALL)
        for kind in SPOKEN:
            found = page.evaluate(
                """([kind, images, cuts]) => {
                  const network = window.rbNetwork.load(window.rbNetworks.networks[kind]);
                  return cuts.map(([off, scale]) => images.map((image) => window.rbNetwork.run(network, image, { off, scale })));
                }""",
                [kind, x.flatten(1).tolist(), CUTS],
            )
            for rows, (off, scale) in zip(found, CUTS, strict=True):
                logits, sizes = by_torch(kind, x, off, scale)
                # With the identity doubled the logits reach thousands, and so does what single precision leaves out.
                bound = max(1e-4, 1e-6 * logits.abs().max().item())
                assert (torch.tensor([row["logits"] for row in rows]) - logits).abs().max() <= bound, (
                    kind,
                    off,
                    scale,
                )
                assert logits.abs().max() > 1
                theirs = torch.tensor([row["sizes"] for row in rows])
                torch.testing.assert_close(theirs, sizes, rtol=1e-4, atol=1e-6)


def test_blocks_are_switched_and_the_identity_scaled_by_keyboard(browser, root):
    x, label = shown()
    with Watch(browser, root) as watch:
        page = opened(watch)
        check_says(page, x)
        assert page.locator(".rb-net-says").inner_text().endswith(f"The image is a {label}.")
        for number in (2, 5):
            page.get_by_role("checkbox", name=f"Block {number}", exact=True).focus()
            page.keyboard.press("Space")
        check_says(page, x, off=(1, 4))
        slider = page.get_by_role("slider", name="Scale of the identity")
        slider.focus()
        for _ in range(10):
            page.keyboard.press("ArrowLeft")
        assert page.locator(".rb-net output").inner_text() == "0.50"
        check_says(page, x, off=(1, 4), scale=0.5)
        told = page.locator(".rb-net").get_by_role("img", name="Root mean square").get_attribute("aria-label")
        for kind in SPOKEN:
            numbers = re.search(rf"{SPOKEN[kind]} ([-\d.e, ]+\d)", told)[1].split(", ")
            expected = by_torch(kind, x, (1, 4), 0.5)[1][0].tolist()
            assert [float(number) for number in numbers] == pytest.approx(expected, rel=0.06)
        page.get_by_role("button", name="All on").press("Enter")
        assert page.locator(".rb-net output").inner_text() == "1.00"
        check_says(page, x)
        assert watch.foreign == watch.problems == []


def test_the_small_form_switches_blocks(browser, root):
    x, label = shown()
    with Watch(browser, root) as watch:
        page = opened(watch, SMALL)
        assert page.get_by_role("img", name=f"A handwritten {label}").is_visible()
        page.locator("label.rb-net-block").nth(4).click()
        check_says(page, x, off=(4,))
        assert page.locator(".rb-net [tabindex], .rb-net input[type=range]").count() == 0
        assert watch.foreign == watch.problems == []


def test_a_digit_is_drawn_with_the_mouse(browser, root):
    with Watch(browser, root) as watch:
        page = opened(watch)
        page.get_by_role("button", name="Clear").click()
        assert page.locator(".rb-net-says").inner_text().startswith("Nothing is drawn.")
        assert cells(page).max() == 0
        pad = page.get_by_role("application", name="Drawing")
        pad.scroll_into_view_if_needed()
        box = pad.bounding_box()
        places = [2 * math.pi * k / 16 for k in range(17)]
        ring = [(0.5 + 0.26 * math.sin(a), 0.5 - 0.42 * math.cos(a)) for a in places]
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in ring]
        page.mouse.move(*places[0])
        page.mouse.down()
        for place in places[1:]:
            page.mouse.move(*place)
        page.mouse.up()
        page.mouse.move(*places[8])  # the pen is up: this draws nothing
        page.wait_for_function("document.querySelector('.rb-net-says').textContent.startsWith('Residual')")
        drawn = cells(page)
        assert drawn[0, 3] > 0.5
        assert drawn[3, 3] == 0
        x = (drawn * 16).round()[None, None] / 16
        check_says(page, x)
        assert "image is a" not in page.locator(".rb-net-says").inner_text()
        assert by_torch("residual", x)[0].argmax() == 0
        before = pad.locator("rect").nth(3).get_attribute("fill")
        page.get_by_role("checkbox", name="Erase").check()
        page.mouse.click(*places[0])
        page.wait_for_function(
            "before => document.querySelectorAll('.rb-net-pad > rect')[3].getAttribute('fill') !== before",
            arg=before,
        )
        after = cells(page)
        assert (after <= drawn + 0.01).all()
        assert after[0, 3] < drawn[0, 3] - 0.2


def test_a_finger_draws_and_does_not_scroll(browser, root):
    with Watch(browser, root, width=360, height=740, has_touch=True, is_mobile=True) as watch:
        page = opened(watch)
        page.get_by_role("button", name="Clear").tap()
        pad = page.get_by_role("application", name="Drawing")
        pad.scroll_into_view_if_needed()
        box, before = pad.bounding_box(), page.evaluate("scrollY")
        touch = watch.context.new_cdp_session(page)

        def send(kind, *points):
            spots = [{"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]} for x, y in points]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": spots})

        send("touchStart", (0.5, 0.9))
        for step in range(8):
            send("touchMove", (0.5, 0.8 - step / 10))
        send("touchEnd")
        page.wait_for_function("document.querySelector('.rb-net-says').textContent.startsWith('Residual')")
        assert (cells(page)[:, 3] + cells(page)[:, 4] > 0.5).all()
        assert page.evaluate("scrollY") == before
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        small = page.locator(".rb-net :is(button, label.rb-net-block, input[type=range])").evaluate_all(
            "all => all.map(e => e.getBoundingClientRect()).filter(r => r.width < 24 || r.height < 24).length"
        )
        assert small == 0


def test_cells_are_filled_by_keyboard(browser, root):
    with Watch(browser, root) as watch:
        page = opened(watch)
        page.get_by_role("button", name="Clear").press("Enter")
        pad = page.get_by_role("application", name="Drawing")
        pad.press("ArrowDown")
        before = page.evaluate("scrollY")
        for key in ("ArrowDown", "ArrowRight", "Space"):
            page.keyboard.press(key)
        expected = torch.zeros(8, 8)
        expected[2, 1] = 1
        torch.testing.assert_close(cells(page), expected)
        assert page.locator(".rb-net-cell").inner_text() == "Row 3, column 2, ink 100 %"
        assert page.locator(".rb-net-cell").get_attribute("aria-live") == "polite"
        check_says(page, expected[None, None])
        page.keyboard.press("Space")
        assert cells(page).max() == 0
        for _ in range(9):
            page.keyboard.press("ArrowUp")
        assert page.locator(".rb-net-cell").inner_text() == "Row 1, column 2, ink 0 %"
        assert page.evaluate("scrollY") == before
        page.keyboard.press("Tab")  # the keyboard gets out again
        assert page.evaluate("document.activeElement.name") == "clear"


def test_a_test_image_is_picked(browser, root):
    found = _page_script.content(SCRIPT)["images"]
    with Watch(browser, root) as watch:
        page = opened(watch)
        buttons = page.get_by_role("group", name="Test images").get_by_role("button")
        assert buttons.count() == len(found)
        for at in (7, 14):
            buttons.nth(at).click()
            x = _page_script.image(found[at])[None, None]
            torch.testing.assert_close(cells(page), x[0, 0], atol=0.01, rtol=0)
            check_says(page, x)
            assert page.locator(".rb-net-says").inner_text().endswith(f"The image is a {found[at]['label']}.")
        page.locator(".rb-net-pad").click()
        page.wait_for_function("!document.querySelector('.rb-net-says').textContent.includes('The image is')")


def test_what_is_seen_is_said(browser, server):
    """Bars carry their numbers as names; what changes is announced."""
    x, _ = shown()
    with Watch(browser, server) as watch:
        page = opened(watch)
        assert page.locator(".rb-net-says").get_attribute("aria-live") == "polite"
        for kind, name in (("residual", "Residual network"), ("plain", "plain twin")):
            told = page.locator(".rb-net").get_by_role("img", name=name).first.get_attribute("aria-label")
            shares = [int(share) for share in re.findall(r"\d (\d+) %", told)]
            assert shares == pytest.approx((100 * by_torch(kind, x)[0].softmax(1)[0]).tolist(), abs=0.51)
        unnamed = page.locator(".rb-net form").evaluate(
            "form => [...form.elements].filter(e => e.matches('input, button') && "
            "!(e.ariaLabel || e.textContent.trim() || e.labels?.length)).length"
        )
        assert unnamed == 0


@pytest.mark.parametrize("name", [FULL, SMALL])
def test_without_scripts_a_prepared_picture_stands_there(browser, root, name):
    with Watch(browser, root, java_script_enabled=False) as watch:
        watch.page.goto(f"{root}/{name}")
        picture = watch.page.locator("img.rb-net-prepared")
        assert picture.is_visible()
        box = picture.bounding_box()
        assert min(box["width"], box["height"]) > 200  # it is loaded
        assert not watch.page.locator(".rb-net form").is_visible()
        alt, (x, label) = picture.get_attribute("alt"), shown()
        assert f"A handwritten {label}." in alt
        found = _page_script.content(SCRIPT)
        for kind in SPOKEN:
            whole, cut = says(kind, x), says(kind, x, off=(found["off"],))
            for each in (whole, cut):
                best, share = re.search(r": (\d) \((\d+) %", each).groups()
                assert f"{best} with {share} %" in alt


def test_a_picture_stands_there_where_the_weights_are_missing(browser, server):
    with Watch(browser, server) as watch:
        watch.context.route("**/network-weights.js", lambda route: route.abort())
        page = watch.open(SMALL)
        assert page.locator("img.rb-net-prepared").is_visible()
        assert not page.locator(".rb-net form").is_visible()


def test_the_weights_are_small_and_loaded_where_they_are_used(html, pages):
    assert SCRIPT.stat().st_size < 400_000
    using = set()
    for name in pages:
        text = (html / name).read_text(encoding="utf-8")
        loaded = {Path(source).name for source in re.findall(r'<script[^>]* src="([^"?]+)', text)}
        assert loaded or name == "index.html", name  # the bare address only leads on to the front page
        if '<div class="rb-net ' in text:
            using.add(name)
            assert {"network-weights.js", "network.js", "network-page.js"} <= loaded
        else:
            assert not any(each.startswith("network") for each in loaded), name
    assert using == {FULL, SMALL}
    assert f"why_it_works.html#{NETWORK_ANCHOR}" in (html / SMALL).read_text(encoding="utf-8")
