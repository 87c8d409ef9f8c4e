"""The code that a page shows is the code of the file, legible on the card; a number outside its bounds is an error."""

import functools
import html
import inspect
import math
import re
import textwrap

import matplotlib as mpl
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from resnetbook.lab import blocks, figures, settings, sources, widgets


def plain(markup: str) -> list[str]:
    """The text of each shown piece of code, tags taken out."""
    pieces = re.findall(r"<pre[^>]*>(.*?)</pre>", markup, re.S)
    return [html.unescape(re.sub(r"<[^>]+>", "", piece)) for piece in pieces]


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2.2."""
    value = np.array(mpl.colors.to_rgb(colour))
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("found", [blocks.Block, settings.batches, widgets.Live, widgets.Live._draw])
def test_the_code_is_the_file_line_by_line(found):
    block = figures.source(found)
    assert isinstance(block, blocks.Block)
    (shown,) = plain(block._repr_html_())
    assert shown.split("\n") == textwrap.dedent(inspect.getsource(found)).rstrip("\n").split("\n")


def test_the_first_and_the_last_line_are_there():
    (shown,) = plain(figures.source(blocks.Block)._repr_html_())
    assert shown.startswith('class Block:\n    """A piece of a page')
    assert shown.endswith("    def __repr__(self) -> str:\n        return self.text")


def test_several_stand_in_the_order_asked():
    block = figures.source(blocks.not_run, blocks.Block)
    assert [text.split("(")[0].split(":")[0] for text in plain(block._repr_html_())] == [
        "def not_run",
        "class Block",
    ]
    assert [line.split(" in ")[0] for line in repr(block).split("\n")] == ["function not_run", "class Block"]


def test_a_terminal_gets_one_line():
    count = len(inspect.getsource(blocks.Block).splitlines())
    assert repr(figures.source(blocks.Block)) == f"class Block in resnetbook/lab/blocks.py, {count} lines"


def test_what_wraps_a_function_is_looked_through():
    cached = functools.lru_cache(blocks.not_run)
    assert plain(figures.source(cached).markup) == plain(figures.source(blocks.not_run).markup)


@pytest.mark.parametrize("module", ["torch.nn.modules.conv", "torch.nn"])
def test_the_place_is_counted_from_the_package(module):
    """Also where a package's own __init__.py defines it; never a path of this machine."""
    found = torch.nn.Conv2d if module != "torch.nn" else torch.nn.factory_kwargs
    place = repr(figures.source(found)).split(" in ")[1].split(",")[0]
    assert place == (module.replace(".", "/") + ".py" if module != "torch.nn" else "torch/nn/__init__.py")


def test_what_a_notebook_defines_names_no_temporary_file(monkeypatch):
    def here():
        return 1

    monkeypatch.setattr(here, "__module__", "__main__")
    assert repr(figures.source(here)).endswith("in this notebook, 2 lines")


def test_signs_of_html_are_text():
    def hostile():
        return "</pre><script>alert(1)</script>&amp;"

    block = figures.source(hostile)
    assert "<script" not in block.markup
    assert '"</pre><script>alert(1)</script>&amp;"' in plain(block.markup)[0]


def test_the_object_is_named_for_the_links_of_the_book():
    markup = figures.source(widgets.Live._draw).markup
    assert 'data-object="resnetbook.lab.widgets.Live._draw"' in markup
    assert "href" not in markup, "a link would be dead outside the book"


def test_colours_hold_their_contrast_on_the_card():
    assert figures.CARD == sources.CARD
    for ink in (*sources.INKS.values(), sources.INK):
        low, high = sorted((luminance(ink), luminance(sources.CARD)))
        assert (high + 0.05) / (low + 0.05) >= 4.5, ink
    assert all(f"[class^={key}]" in figures.source(blocks.Block).markup for key in sources.INKS)


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        ((), "objects: none"),
        ((5,), "int 5, expected a class or a function"),
        ((figures,), "module .*, expected a class or a function"),
        ((len,), "len has no source"),
        ((dict,), "dict has no source"),
        ((blocks.Block, "name"), "str 'name'"),
        ((type("Made", (), {}),), "Made has no source"),
    ],
)
def test_source_refuses(objects, message):
    with pytest.raises(ValueError, match=message):
        figures.source(*objects)


# --- within -----------------------------------------------------------------------------------------------


@given(st.floats(allow_nan=False), st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_within_is_the_closed_interval(value, low, width):
    high = low + width
    if low <= value <= high:
        assert figures.within(value, low, high) is value
    else:
        with pytest.raises(AssertionError, match=r"ratio = .*, expected"):
            figures.within(value, low, high, "ratio")


@pytest.mark.parametrize("value", [3, np.float32(3), torch.tensor([3.0]), np.array([[3.0]]), True])
def test_within_takes_one_number_of_any_kind(value):
    assert figures.within(value, 0, 4) is value
    assert figures.within(value, 0, math.inf) is value


def test_within_says_name_value_and_bounds():
    with pytest.raises(AssertionError, match=r"^first / last = 31\.5, expected 3 to 30$"):
        figures.within(31.5, 3, 30, "first / last")
    with pytest.raises(AssertionError, match="nan"):
        figures.within(math.nan, -math.inf, math.inf)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, 3, 2), "low=3, high=2: expected low < high"),
        ((1, math.nan, 2), "low=nan"),
        (("0.5", 0, 1), "value: str '0.5', expected one number"),
        ((torch.zeros(2), 0, 1), "value: Tensor .*, expected one number"),
        ((None, 0, 1), "NoneType"),
    ],
)
def test_within_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        figures.within(*arguments)
