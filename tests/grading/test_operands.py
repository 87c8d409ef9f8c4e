"""Comparisons made again outside of the kernel: how near is near, what has no plain form, where an operand is too large."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnetbook.grading.operands import OTHER, holds, plain

SIZES = st.floats(-5, 5).map(lambda power: 10.0**power)
SIGNS = st.sampled_from([1.0, -1.0])


@given(SIZES, SIGNS)
def test_two_floats_are_one_number_within_a_hundredth_of_the_larger(size: float, sign: float) -> None:
    number = sign * size
    if size > 0.02:
        assert holds("==", number, number * 1.0099)
        assert holds("==", number * 1.0099, number)
        assert not holds("==", number, number * 1.0103)
        assert not holds("==", number * 1.0103, number)
    assert not holds("==", number, -number) or size < 5.1e-5


def test_near_zero_a_hundredth_of_a_hundredth_is_allowed() -> None:
    assert holds("==", 0.0, 0.9e-4)
    assert not holds("==", 0.0, 1.1e-4)
    assert holds("==", 0.005, 0.00509)
    assert not holds("==", 0.005, 0.00511)


def test_integers_are_met_exactly_and_one_float_is_enough_to_be_lenient() -> None:
    assert not holds("==", 1000, 1001)
    assert holds("==", 1000.0, 1001)
    assert holds("==", 1000, 1001.0)
    assert not holds("==", 10**400, 1.5)  # beyond the range of floats


@pytest.mark.parametrize(
    ("right", "slack"), [(0.0, 0.01), (0.5, 0.01), (1.0, 0.01), (-7.0, 0.07), (300.0, 3.0)]
)
def test_an_order_stands_within_a_hundredth_of_what_is_compared_with(right: float, slack: float) -> None:
    for sign in ("<", "<="):
        assert holds(sign, right + 0.99 * slack, right)
        assert holds(sign, right - 99, right)
        assert not holds(sign, right + 1.01 * slack, right)
    for sign in (">", ">="):
        assert holds(sign, right - 0.99 * slack, right)
        assert holds(sign, right + 99, right)
        assert not holds(sign, right - 1.01 * slack, right)


def test_the_hundredth_itself_is_allowed() -> None:
    assert holds("<", 0.01, 0)
    assert holds(">", -0.01, 0)
    assert holds("==", 1e-4, 0.0)


def test_words_are_in_the_order_of_the_alphabet() -> None:
    for sign, left, right, stands in (
        ("<", "a", "b", True), ("<", "b", "a", False), (">=", "b", "a", True), (">=", "a", "b", False),
        ("<=", "a", "a", True), (">", "a", "b", False),
    ):  # fmt: skip
        assert holds(sign, left, right) is stands
    assert holds("<", "a", 1)  # no order outside: the kernel has compared them
    assert holds("<", [3], [1, 2])


OWN, FOREIGN, LARGE = {OTHER: "__main__.Yes"}, {OTHER: "fractions.Fraction"}, {OTHER: "large"}


@pytest.mark.parametrize("sign", ["==", "!=", "<", "<=", ">", ">=", "in", "not in"])
def test_an_object_of_the_notebooks_own_class_compares_with_its_like_alone(sign: str) -> None:
    for known in (4, 1.5, "a", None, True):
        assert not holds(sign, OWN, known)
        assert not holds(sign, known, OWN)
        assert holds(sign, FOREIGN, known)
        assert holds(sign, known, FOREIGN)
    for other in (OWN, FOREIGN, LARGE):
        assert holds(sign, OWN, other)
        assert holds(sign, other, OWN)


@pytest.mark.parametrize(
    ("value", "stands"),
    [(OWN, True), (FOREIGN, True), (0, False), (1, True), ("", False), ([], False), ([0], False), ([1], True), ([0, 0], True), (None, False), ([[0.0]], False)],
)  # fmt: skip
def test_truth_is_that_of_the_value_or_of_the_one_element_of_an_array(value: Any, stands: bool) -> None:
    assert holds("true", value, None) is stands


def test_an_array_equals_what_all_its_elements_equal() -> None:
    for operands in (([2, 2.0], 2), (2, [[2], [2]]), ([[7]], 7)):
        assert holds("==", *operands)
        assert holds("==", *operands[::-1])
    for operands in (([2, 3], 2), ([], 2), ([[7, 8]], 7)):
        assert not holds("==", *operands)
        assert not holds("==", *operands[::-1])
    assert not holds("==", [1, 2, 3], [1, 2])
    assert not holds("==", [[1, 2]], [[1, 3]])


def test_words_none_and_dicts_are_met_exactly() -> None:
    for one in ("a", "", None, True, {}, {"a": 1, "b": [2]}):
        assert holds("==", one, one)
    for left, right in (
        ("a", "b"),
        ("a", None),
        (None, False),
        ("1", 1),
        ({"a": 1}, {"b": 1}),
        ({"a": 1}, {"a": 2}),
    ):
        assert not holds("==", left, right)
        assert not holds("==", right, left)
    assert not holds("==", {"a": 1}, {"a": 1, "b": 2})
    assert not holds("==", {"a": 1, "b": 2}, {"a": 1})
    assert holds("==", {"a": 1.0}, {"a": 1.005})


def test_membership_sees_keys_parts_of_words_and_rows() -> None:
    for item, whole, within in (
        ("b", "abc", True), (1, "1", False), (1, {"1": 0}, True), (2, {"1": 0}, False), (3.0, [[1, 2], [3, 4]], True),
        ([3, 4], [[1, 2], [3, 4]], True), (5, [[1, 2], [3, 4]], False), (1.005, [1.0], True),
    ):  # fmt: skip
        assert holds("in", item, whole) is within
    for item, whole, without in (
        ("d", "abc", True), ("b", "abc", False), (1, [1, 2], False), (1.0, [1, 2], True), (1.005, [1.0], True),
        ([1], [[1], 2], True), (2, {"2": 0}, False),
    ):  # fmt: skip
        assert holds("not in", item, whole) is without


def test_inequality_is_exact_and_containers_are_left_to_the_kernel() -> None:
    assert not holds("!=", 3, 3)
    assert holds("!=", 3, 3.0)  # another type: the kernel may see a difference in them
    assert holds("!=", 3, 4)
    assert holds("!=", [1], [1])
    assert holds("!=", {"1": 2}, {"1": 2})
    assert not holds("!=", "a", "a")


def deep(levels: int) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = [value]
    return value


def hashable(levels: int) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = (value,)
    return value


def test_what_is_too_large_is_said_to_be_and_what_is_not_is_kept() -> None:
    for small, large in (
        ([0] * 1999, [0] * 2000),
        (deep(16), deep(17)),
        (2**4096 - 1, 2**4096),
        (["x" * 19_970, 0], ["x" * 19_980, 0]),  # ten characters count as an item
    ):
        assert plain(small) == small
        assert plain(large) == {OTHER: "large"}
    assert plain(-(2**4096) + 1) == -(2**4096) + 1
    for small, large in ((tuple(range(99)), tuple(range(100))), (hashable(16), hashable(17))):  # as keys
        assert list(plain({small: 0}).values()) == [0]
        assert plain({large: 0}) == {OTHER: "large"}


class Odd:
    """An object that raises when it is looked at."""

    __module__ = "__main__"

    @property
    def __class__(self) -> Any:  # type: ignore[override]
        raise RuntimeError("no")


def test_the_forms_of_values() -> None:
    assert plain(math.nan) == plain(math.inf) == {OTHER: "not finite"}
    assert plain({1: [True, None], "a": (1.5,)}) == {"1": [True, None], "a": [1.5]}
    assert plain({True: 1}) == plain({1.0: 1}) == {"1": 1}
    assert plain({(1.0, 2): 3}) == plain({(1, 2): 3})
    assert plain({3, 1, "a", 2.5}) == [1, 2.5, 3, "a"]
    assert plain(frozenset("ba")) == ["a", "b"]
    assert plain("\ud800") == "?"
    assert plain(1j) == {OTHER: "builtins.complex"}
    assert plain(Odd()) == {OTHER: "__main__.Odd"}
