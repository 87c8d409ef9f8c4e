"""Values: what becomes JSON and what does not, and when two of them are equal."""

import math
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from resnetbook.grading.values import close, encode

NUMBERS = st.one_of(st.integers(-(2**70), 2**70), st.floats(allow_nan=True, allow_infinity=True))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.text(max_size=5), NUMBERS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(VALUES)
def test_a_value_equals_itself(value: Any) -> None:
    assert close(encode(value), encode(value), rtol=0.0, atol=0.0)


@given(VALUES, VALUES)
def test_equality_without_tolerance_goes_both_ways(a: Any, b: Any) -> None:
    a, b = encode(a), encode(b)
    assert close(a, b, rtol=0.0, atol=0.0) == close(b, a, rtol=0.0, atol=0.0)


def test_arrays_tensors_and_lists_of_one_content_are_equal() -> None:
    plain = [[1.0, 2.5], [0.0, -3.0]]
    for other in (
        np.array(plain),
        torch.tensor(plain),
        torch.nn.Parameter(torch.tensor(plain)),
        tuple(plain),
    ):
        assert encode(other) == plain
    assert encode({"n": np.int64(3), 4: torch.tensor(0.5)}) == {"n": 3, "4": 0.5}
    assert encode(torch.zeros(2, 3).shape) == [2, 3]
    assert encode(np.array([True, False])) == [True, False]


class Pretender(float):
    pass


@pytest.mark.parametrize(
    "value",
    [
        Pretender(1),
        object(),
        1j,
        np.array([1j]),
        np.array([object()]),
        torch.tensor([1j]),
        {1.5: 2},
        {"$float": 1},
        b"x",
        OrderedDict(a=1),
        {1, 2},
        len,
        np.ma.masked_array([1.0]),
        range(3),
    ],
)
def test_foreign_objects_are_refused(value: Any) -> None:
    with pytest.raises(TypeError, match=r"value: .*cannot be judged|value: the key"):
        encode([value])


@pytest.mark.parametrize(
    "value", [np.zeros(200_000), torch.zeros(400, 400), "x" * 300_000, [0] * 200_000, 1 << 5000]
)
def test_what_is_too_large_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="judged"):
        encode(value)


def nested(levels: int) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("most", "more", "words"),
    [
        ([0] * 99_999, [0] * 100_000, "limit: 100000 items"),  # the list is an item too
        (np.zeros(99_998), np.zeros(100_000), "limit: 100000"),
        (torch.zeros(99_998), torch.zeros(100_000), "100000 items are too many"),
        (["x" * 150_000, "x" * 50_000], ["x" * 150_000, "x" * 50_001], "limit: 200000 characters"),
        (nested(32), nested(33), "32 levels"),
        (np.zeros((1,) * 31), np.zeros((1,) * 32), "32 levels"),  # the array itself is a level
        (2**4096 - 1, 2**4096, "4096 bits"),
        (-(2**4096) + 1, -(2**4096), "4096 bits"),
    ],
)
def test_the_limits_themselves_are_allowed(most: Any, more: Any, words: str) -> None:
    encode(most)
    with pytest.raises(ValueError, match=words):
        encode(more)


@pytest.mark.parametrize("key", [True, 1.5, None, (1,), "$float"])
def test_keys_are_words_and_integers(key: Any) -> None:
    assert encode({-3: 1, "a": 2}) == {"-3": 1, "a": 2}
    with pytest.raises(TypeError, match="key of a dict must be a string or an integer"):
        encode({key: 1})


def test_a_list_within_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ValueError, match="too large"):
        encode(endless)


@pytest.mark.parametrize(
    ("value", "reference", "equal"),
    [
        (1.0 + 1e-6, 1.0, True),
        (1.0 + 1e-4, 1.0, False),
        (272475, 272474, False),  # a count is met exactly, whatever the tolerance
        (272474.0, 272474, True),
        (True, 1, False),
        (1, True, False),
        (0, False, False),
        ([1, 2], [1, 2, 3], False),
        ([1, 2, 3], [1, 2], False),
        ({"a": 1.0}, {"b": 1.0}, False),
        ("a", "a", True),
        (None, 0, False),
        (10**400, 1.5, False),
        ({"$float": "nan"}, {"$float": "nan"}, True),
        (1e-9, 0.0, True),
        (math.pi, "3.14", False),
        (100.00099, 100.0, True),  # the tolerance grows with the reference
        (100.00101, 100.0, False),
        (-100.00099, -100.0, True),
        (99.99899, 100.0, False),
        (1.01e-8, 0.0, False),
        (-0.99e-8, 0.0, True),
        (True, 1.0, False),
        ("1.0", 1.0, False),
        ([1.0, [2.0]], [1.0, [2.0]], True),
        ({"a": 1.0, "b": 2}, {"b": 2, "a": 1.0}, True),
        ({"a": 1.0}, {"a": 1.1}, False),
        (272475.0, 272474, False),
    ],
)
def test_closeness(value: Any, reference: Any, equal: bool) -> None:
    assert close(value, reference, rtol=1e-5, atol=1e-8) is equal
