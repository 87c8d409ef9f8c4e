"""Pictures of parts: the axis, its ticks, dots that do not cover each other, what cannot be drawn."""

import math
import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from resnetbook.survey.outcome import Outcome
from resnetbook.survey.picture import HEIGHT, INKS, LEFT, QUIET, RIGHT, WIDTH, picture, span, ticks

SHARE, PLAIN, RATIO = (
    {"unit": "difference", "margin": 0.01, "low": -0.01, "high": 0.06, "mean": 0.02},
    {"unit": "difference", "margin": 0.3, "low": -0.1, "high": 0.6, "mean": 0.2},
    {"unit": "ratio", "margin": 1.1, "low": 0.8, "high": 1.5, "mean": 1.2},
)


def outcome(base, **changes):
    return Outcome(**{"label": "a above b", "status": "undecided", "rule": "better", **base, **changes})


def spoken(text: str) -> float:
    return float(text.replace("−", "-").replace(",", ""))


widths = st.floats(-4, 3).map(lambda power: 10.0**power)


@example(SHARE, 1.9, 0.01)
@example(PLAIN, 1.9, 0.01)
@given(st.sampled_from([SHARE, PLAIN]), st.floats(-2, 2), widths)
def test_ticks_of_a_difference_are_a_few_round_numbers_at_equal_distances(base, low, width):
    high = low + width
    found = ticks(outcome(base), low, high)
    assert all(low <= value <= high for value, _ in found)
    assert 2 <= len(found) <= 6
    scale = 100 if base is SHARE else 1  # shares are told in points
    gaps = [scale * (b - a) for (a, _), (b, _) in pairwise(found)]
    assert gaps == pytest.approx([gaps[0]] * len(gaps), rel=1e-6)
    power = math.floor(math.log10(gaps[0]) + 1e-9)
    assert any(gaps[0] / 10**power == pytest.approx(m) for m in (1, 2, 5))
    assert scale * width / gaps[0] <= 5 * (1 + 1e-9)
    assert gaps[0] * (len(found) + 1) > scale * width * (1 - 1e-9)  # up to both ends


@given(st.sampled_from([SHARE, PLAIN]), st.floats(-2, 2), st.floats(-1, 1).map(lambda power: 10.0**power))
def test_a_tick_is_written_as_the_number_at_which_it_stands(base, low, width):
    scale = 100 if base is SHARE else 1
    for value, text in ticks(outcome(base), low, low + width):
        assert spoken(text) == pytest.approx(scale * value, abs=0.006 * scale * max(abs(value), width))


def test_ticks_of_known_axes():
    def texts(base, low, high):
        return [text for _, text in ticks(outcome(base), low, high)]

    assert texts(SHARE, -0.011, 0.061) == ["0", "2", "4", "6"]
    assert texts(PLAIN, -0.011, 0.061) == ["0", "0.02", "0.04", "0.06"]
    assert texts(PLAIN, 0.0, 5.0) == ["0", "1", "2", "3", "4", "5"]
    assert texts(PLAIN, 0.0, 5.001) == ["0", "2", "4"]
    assert texts(PLAIN, 0.0, 3.0) == ["0", "1", "2", "3"]
    assert texts(PLAIN, 0.0, 2.9) == ["0", "1", "2"]
    assert texts(PLAIN, 0.0, 2.6) == ["0", "1", "2"]
    assert texts(PLAIN, 0.0, 2.5) == ["0", "0.5", "1", "1.5", "2", "2.5"]
    assert texts(RATIO, math.log(0.9), math.log(5)) == ["1", "2", "5"]


@given(st.floats(-3, 3), st.floats(0.01, 20))
def test_ticks_of_a_ratio_are_at_1_2_5_times_powers_of_ten_or_spread_over_the_axis(low, width):
    high = low + width
    found = ticks(outcome(RATIO), low, high)
    assert all(low <= math.log(value) <= high for value, _ in found)
    assert 2 <= len(found) <= 5
    for value, text in found:
        assert spoken(text) == pytest.approx(value, rel=0.006)
    grid = [m * 10.0**e for e in range(-12, 13) for m in (1, 2, 5)]
    inside = [value for value in grid if low <= math.log(value) <= high and 1e-6 <= value <= 5e6]
    if len(inside) > 1:
        assert found[0][0] == inside[0]
        places = [inside.index(value) for value, _ in found]
        assert len({b - a for a, b in pairwise(places)}) == 1
        assert len(inside) > 5 or places == list(range(len(inside)))
    else:
        assert [(math.log(value) - low) / width for value, _ in found] == pytest.approx([0.15, 0.5, 0.85])


@pytest.mark.parametrize("base", [SHARE, PLAIN, RATIO], ids=["share", "difference", "ratio"])
def test_an_axis_holds_everything_and_leaves_six_hundredths_at_both_ends(base):
    """Both margins and "no difference" are on it, also where no value comes near them."""
    near = math.log if base is RATIO else float
    for change in ({}, {"low": base["mean"], "high": base["mean"]}, {"values": (base["margin"] * 3,)}):
        one = outcome(base, **change)
        margin = near(base["margin"])
        held = [0.0, margin, -margin, *map(near, (one.low, one.high, one.mean, *one.values))]
        low, high = span([one])
        width = max(held) - min(held)
        assert (min(held) - low, high - max(held)) == pytest.approx((0.06 * width, 0.06 * width))


def test_an_axis_on_which_all_stands_at_one_place_has_room():
    one = outcome(RATIO, low=1.0, high=1.0, mean=1.0, margin=1.0, values=(1.0, 1.0))
    assert span([one]) == (-1.0, 1.0)
    assert picture(one)


def test_a_ratio_that_is_not_above_zero_and_a_missing_value_have_no_dot():
    one = outcome(RATIO, values=(0.0, -1.0, math.nan, math.inf, 1.3))
    tree = ElementTree.fromstring(picture(one))
    assert len(tree.findall("circle")) == 1
    assert "; 1 seeds as dots" in tree.get("aria-label", "")
    below = outcome(PLAIN, values=(0.0, -1.0, math.nan))
    assert len(ElementTree.fromstring(picture(below)).findall("circle")) == 2


@pytest.mark.parametrize(
    ("low", "high", "bars"), [(0.1, 0.3, 1), (math.nan, 0.3, 0), (0.1, math.inf, 0), (-math.inf, math.inf, 0)]
)
def test_an_interval_without_both_ends_has_no_bar(low, high, bars):
    tree = ElementTree.fromstring(picture(outcome(PLAIN, low=low, high=high)))
    assert len([line for line in tree.findall("line") if line.get("y1") == "50"]) == bars


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_dots_that_would_overlap_stand_above_each_other(values):
    one = outcome(PLAIN, values=tuple(values))
    dots = [
        (float(dot.get("cx", "")), float(dot.get("cy", "")))
        for dot in ElementTree.fromstring(picture(one)).findall("circle")
    ]
    heights = sorted({y for _, y in dots}, reverse=True)
    assert all(above == below - 6 for below, above in pairwise(heights))
    assert len(heights) <= 4
    assert all(6 < y < 50 for _, y in dots)  # within the frame, above the bar
    for number, (x, y) in enumerate(dots):
        near = [other for other in dots[:number] if abs(other[0] - x) < 5.9]
        around = [other for other in dots[:number] if abs(other[0] - x) < 6.1]
        if not around:
            assert y == heights[0]
        if len({other[1] for other in near}) < 4 and len(around) < 4:
            assert all(y != other[1] for other in near)


@pytest.mark.parametrize("base", [PLAIN, RATIO])
def test_the_margins_of_a_rule_stand_where_they_are_tested(base):
    """In favour for "better", against for "not worse", both for "equal"; mirror images of each other."""

    def dashed(rule):
        tree = ElementTree.fromstring(picture(outcome(base, rule=rule)))
        lines = [float(line.get("x1")) for line in tree.findall("line") if line.get("stroke-dasharray")]
        none = next(
            float(line.get("x1")) for line in tree.findall("line") if line.get("stroke-width") == "1.4"
        )
        return [x - none for x in lines]

    (better,), (worse,), equal = (dashed(rule) for rule in ("better", "not_worse", "equal"))
    assert worse < 0 < better
    assert worse == pytest.approx(-better, abs=0.2)
    assert equal == [worse, better]


@pytest.mark.parametrize("status", ["supported", "opposite", "no gain", "undecided", "held by nothing"])
def test_what_is_drawn_stays_in_the_frame_and_its_ink_is_that_of_the_word(status):
    one = outcome(PLAIN, status=status, values=(0.1, 0.3))
    svg = picture(one)
    assert svg.count(INKS.get(status, QUIET)) >= 4  # two dots, the bar, the mean
    tree = ElementTree.fromstring(svg)
    assert tree.get("viewBox") == f"0 0 {WIDTH} {HEIGHT}"
    axis = tree.findall("line")[0]
    base = float(axis.get("y1", ""))
    assert (float(axis.get("x1", "")), float(axis.get("x2", ""))) == (LEFT, RIGHT)
    texts = [(float(text.get("y", "")), text.text or "") for text in tree.findall("text")]
    for y, text in texts:
        size = 11 if re.search("against|favour", text) else 12
        assert base + 8 < y - size / 3 < y < HEIGHT - 2  # below the axis, not cut off
    rows = {y for y, _ in texts}
    assert max(rows) - min(rows) >= 11  # the words stand below the numbers


def test_a_part_without_a_mean_or_without_a_run_has_no_picture():
    assert picture(outcome(PLAIN, mean=math.nan)) == ""
    assert picture(outcome(PLAIN, status="not run yet")) == ""
    assert picture(outcome(PLAIN, unit="value", rule="exact")) == ""


@given(st.floats(-0.5, 0.5), st.floats(0.1, 3))
def test_parts_on_one_axis_stand_at_one_scale(first, width):
    ends = (first - width, first + width)
    assume(abs(first) < width)
    for value in (first, first + width / 2):
        tree = ElementTree.fromstring(picture(outcome(PLAIN, mean=value), ends))
        found = re.match(r"M([-\d.]+) 43", tree.find("path").get("d"))  # type: ignore[union-attr, arg-type]
        assert found is not None
        share = (float(found[1]) - LEFT) / (RIGHT - LEFT)
        assert share == pytest.approx((value - ends[0]) / (2 * width), abs=0.001)
