"""A part in words: numbers with three digits, signs, units, what the interval covers, chance and time."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnetbook.survey import phrases
from resnetbook.survey.outcome import Outcome


def outcome(**changes):
    given_ = {
        "label": "a above b",
        "status": "undecided",
        "rule": "better",
        "margin": 0.3,
        "mean": 0.5,
        "low": -0.25,
        "high": 1.25,
    }
    return Outcome(**{**given_, **changes})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (7.0, "7"), (-12.0, "−12"), (1234567.0, "1,234,567"), (999_999_999.0, "999,999,999"), (1e9, "1,000,000,000"),
        (2.5e9 + 0.5, "2,500,000,000"), (0.5, "0.5"), (-0.5, "−0.5"), (0.123456, "0.123"), (12.3456, "12.3"), (1234.5, "1.23e+03"),
        (9999.5, "1e+04"), (10000.5, "10,000"), (-123456.7, "−123,457"), (0.001, "0.001"), (0.000999, "9.99e−04"),
        (-0.000999, "−9.99e−04"), (math.inf, "∞"), (-math.inf, "−∞"), (math.nan, "–"),
    ],
)  # fmt: skip
def test_a_number_has_three_digits_and_whole_ones_all(value, text):
    assert phrases.number(value) == text


@given(st.floats(-1e12, 1e12))
def test_what_is_written_is_the_number_up_to_its_third_digit(value):
    written = float(phrases.number(value).replace("−", "-").replace(",", ""))
    assert written == pytest.approx(value, rel=0.0051, abs=1e-300)


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, "+0.5"), (0.0, "0"), (-0.5, "−0.5"), (1e-9, "+1.00e−09"), (math.nan, "–")]
)
def test_a_signed_number_has_its_sign(value, text):
    assert phrases.signed(value) == text


@pytest.mark.parametrize(
    ("margin", "unit", "share"),
    [
        (0.01, "difference", True),
        (0.005, "difference", True),
        (0.02, "difference", False),
        (0.01, "ratio", False),
    ],
)
def test_shares_are_told_by_their_registered_margins(margin, unit, share):
    assert phrases.is_share(outcome(margin=margin, unit=unit)) is share


def test_effects_in_points_as_ratios_and_as_they_are():
    share = outcome(margin=0.005, mean=0.012345, low=-0.034567, high=0.056789)
    assert phrases.effect(share) == "+1.23 points (−3.46 to +5.68; margin 0.5)"
    assert phrases.effect(outcome()) == "+0.5 (−0.25 to +1.25; margin 0.3)"
    ratio = {"unit": "ratio", "margin": 1.1, "low": 0.5, "high": 2.0}
    assert phrases.effect(outcome(**ratio, mean=1.0)) == "ratio 1, in favour (0.5 to 2; margin 1.1)"
    assert (
        phrases.effect(outcome(**ratio, mean=0.999)) == "ratio 0.999, below 1: against (0.5 to 2; margin 1.1)"
    )


def test_an_exact_part_tells_its_value_and_what_was_asked():
    exact = {"unit": "value", "rule": "exact", "margin": 4.0}
    assert phrases.effect(outcome(**exact, low=4.0, high=4.0)) == "value 4, asked for: 4"
    assert phrases.effect(outcome(**exact, low=4.0, high=5.0)) == "value 4 to 5, asked for: 4"
    assert phrases.asked(outcome(**{**exact, "margin": math.nan})) == "–"
    assert phrases.asked(outcome(better="lower")) == "lower0.3"


@pytest.mark.parametrize(
    ("seeds", "images", "text"),
    [(1, 0, "1 seed"), (12, 0, "12 seeds"), (0, 0, "0 seeds"), (12, 1, "12 seeds and 1 test images"), (1, 10_000, "1 seed and 10,000 test images")],
)  # fmt: skip
def test_the_basis_names_seeds_and_the_images_that_count(seeds, images, text):
    assert phrases.basis(outcome(seeds=seeds, images=images)) == text


@pytest.mark.parametrize(
    ("adjusted", "text"),
    [(math.nan, ""), (0.0, "p below 0.0001"), (9.9e-5, "p below 0.0001"), (1e-4, "p = 0.0001"), (0.0456, "p = 0.046"), (1.0, "p = 1")],
)  # fmt: skip
def test_chance_is_told_down_to_one_in_ten_thousand(adjusted, text):
    assert phrases.chance(outcome(adjusted=adjusted)) == text


@pytest.mark.parametrize(
    ("minutes", "text"),
    [(math.nan, ""), (0.99, "under a minute"), (1.0, "about 1 min"), (5.6, "about 6 min")],
)
def test_time_is_told_in_whole_minutes(minutes, text):
    assert phrases.minutes(outcome(minutes=minutes)) == text


def test_the_word_says_underpowered_where_that_is_so():
    assert phrases.word(outcome(underpowered=True)) == "undecided, underpowered"
    assert phrases.word(outcome()) == "undecided"


def test_a_line_leaves_out_what_there_is_not():
    assert (
        phrases.plain(outcome(seeds=3)) == "a above b: undecided; +0.5 (−0.25 to +1.25; margin 0.3); 3 seeds"
    )
    full = outcome(
        reading="by depth", seeds=3, images=9, adjusted=0.2, registered="after", reason="one arm is missing", flags=("flat", "edge")
    )  # fmt: skip
    assert phrases.plain(full) == (
        "by depth: a above b: undecided; +0.5 (−0.25 to +1.25; margin 0.3); 3 seeds and 9 test images; p = 0.2; "
        "registered after the run; one arm is missing; beware: flat; beware: edge"
    )
    assert phrases.warnings(full) == [(flag, phrases.FLAGS[flag]) for flag in ("flat", "edge")]


def test_parts_that_were_not_run_are_left_out_and_the_others_keep_their_order():
    three = [
        outcome(label=name, status=status)
        for name, status in (("x", "undecided"), ("y", "not run yet"), ("z", "supported"))
    ]
    assert [each.label for each in phrases.order(three)] == ["x", "z"]
