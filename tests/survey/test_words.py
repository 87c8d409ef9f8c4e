"""Each word from its interval, and what the words of parts make of a claim."""

from typing import get_args

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from resnetbook.survey.model import Status, Word
from resnetbook.survey.words import combine, judge, reference

M = 0.01


@pytest.mark.parametrize(
    ("low", "high", "p", "word"),
    [
        (0.012, 0.020, 0.001, "supported"),
        (0.012, 0.020, 0.06, "undecided"),  # not after the adjustment
        (0.001, 0.017, 0.001, "undecided"),  # above 0 for certain, and the mean below the margin
        (-0.001, 0.031, 0.04, "undecided"),
        (0.001, 0.009, 0.001, "no gain"),  # above 0, and less than the margin for certain
        (-0.005, 0.009, 0.5, "no gain"),
        (-0.019, -0.001, 0.03, "no gain"),  # below 0 by no more than the margin
        (-0.030, -0.001, 0.03, "opposite"),
        (-0.030, -0.001, 0.06, "no gain"),
        (-0.030, 0.001, 0.06, "no gain"),
        (-0.030, 0.011, 0.3, "undecided"),
    ],
)
def test_better(low, high, p, word):
    assert judge("better", (low + high) / 2, low, high, M, p) == word


@pytest.mark.parametrize(
    ("low", "high", "p", "equal", "not_worse"),
    [
        (-0.009, 0.009, 0.01, "supported", "supported"),
        (-0.009, 0.009, 0.06, "undecided", "undecided"),
        (-0.011, 0.009, 0.01, "undecided", "undecided"),
        (-0.009, 0.011, 0.01, "undecided", "supported"),
        (0.011, 0.013, 0.01, "opposite", "supported"),
        (-0.013, -0.011, 0.01, "opposite", "opposite"),
        (-0.013, -0.011, 0.06, "undecided", "undecided"),
    ],
)
def test_equal_and_not_worse(low, high, p, equal, not_worse):
    assert judge("equal", (low + high) / 2, low, high, M, p) == equal
    assert judge("not_worse", (low + high) / 2, low, high, M, p) == not_worse


def test_what_is_unknown_is_undecided():
    nan = float("nan")
    for rule in ("better", "not_worse", "equal"):
        assert judge(rule, nan, nan, nan, M, nan) == "undecided"


@pytest.mark.parametrize(
    ("rule", "mean", "low", "high", "p", "word"),
    [
        ("better", 0.016, 0.012, 0.020, 0.05, "undecided"),  # 5 % is not below 5 %
        ("better", 0.016, 0.012, 0.020, 0.0499, "supported"),
        ("better", 0.020, 0.0, 0.040, 0.01, "undecided"),  # an interval that touches 0 does not exclude it
        ("better", M, 0.005, 0.015, 0.01, "undecided"),  # a mean on the margin is not above it
        ("better", 0.0, -M, M, 0.9, "undecided"),  # an interval that touches the margin does not exclude it
        ("better", -0.020, -0.040, 0.0, 0.01, "no gain"),
        ("better", -M, -0.015, -0.005, 0.01, "no gain"),
        ("not_worse", 0.0, -M, 0.5, 0.01, "undecided"),
        ("not_worse", -0.02, -0.03, -M, 0.01, "undecided"),
        ("equal", 0.0, -M, 0.005, 0.01, "undecided"),
        ("equal", 0.0, -0.005, M, 0.01, "undecided"),
        ("equal", 0.02, M, 0.03, 0.01, "undecided"),
        ("equal", -0.02, -0.03, -M, 0.01, "undecided"),
    ],
)
def test_what_touches_a_limit_is_not_beyond_it(rule, mean, low, high, p, word):
    assert judge(rule, mean, low, high, M, p) == word


@pytest.mark.parametrize(
    ("rule", "mean", "number"),
    [
        ("better", 1, 0),
        ("not_worse", 1, -M),
        ("equal", 1, M),
        ("equal", -1, -M),
        ("not_worse", -1, -M),
        ("equal", 0, -M),
    ],
)
def test_the_number_that_is_tested(rule, mean, number):
    assert reference(rule, mean, M) == number


S, X, G, U, N = "supported", "opposite", "no gain", "undecided", "not run yet"


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ([S, S], "supported"),
        ([X, G], "refuted"),
        ([S, G], "mixed"),
        ([S, X, U, N], "mixed"),
        ([S, U], "partly supported"),
        ([S, N], "partly supported"),
        ([X, U], "partly refuted"),
        ([G, N], "partly refuted"),
        ([U, U], "undecided"),
        ([U, N], "undecided"),
        ([N, N], "not run yet"),
        ([], "not run yet"),
    ],
)
def test_what_parts_make_of_a_claim(words, status):
    assert combine(words) == status


words = st.lists(st.sampled_from(get_args(Word)), min_size=1, max_size=6)


@given(words)
def test_a_claim_is_never_stronger_than_its_weakest_part(found):
    status = combine(found)
    assert status in get_args(Status)
    assert (status == "supported") == all(word == S for word in found)
    assert (status == "refuted") == all(word in (X, G) for word in found)
    assert status == combine(list(reversed(found)))
    if U in found or N in found:
        assert status in ("mixed", "partly supported", "partly refuted", "undecided", "not run yet")


ends = st.floats(-1, 1, allow_nan=False)


@given(ends, ends, st.floats(0.0, 0.5), st.floats(0, 1))
def test_a_claim_and_its_opposite_are_never_both_supported(first, second, margin, p):
    low, high = min(first, second), max(first, second)
    mean = (low + high) / 2
    forth = judge("better", mean, low, high, margin, p)
    back = judge("better", -mean, -high, -low, margin, p)
    assert (forth == "supported") == (back == "opposite")
    assume(margin > 0)
    if forth == "supported":
        assert judge("not_worse", mean, low, high, margin, p) == "supported"
    if judge("equal", mean, low, high, margin, p) == "supported":
        assert {forth, back} == {"no gain"}
