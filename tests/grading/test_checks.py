"""Asserts judged outside of the kernel: an honest comparison stands, a forged one does not."""

import collections
import enum
import fractions
import json
import math
import operator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from resnetbook.grading import _kernel
from resnetbook.grading.checks import sent, taken
from resnetbook.grading.operands import OPERATORS, holds, plain

NUMBERS = st.one_of(st.integers(-5, 5), st.floats(-5, 5), st.booleans(), st.just(math.nan), st.just(math.inf))
SIMPLE = st.one_of(NUMBERS, st.text("ab", max_size=2), st.none())
VALUES = st.recursive(
    SIMPLE,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.sets(SIMPLE, max_size=3),
        st.dictionaries(SIMPLE, inner, max_size=3),
        st.lists(NUMBERS, min_size=1, max_size=3).map(np.array),
        st.lists(NUMBERS, min_size=1, max_size=3).map(lambda xs: torch.tensor([float(x) for x in xs])),
    ),
    max_leaves=5,
)
FUNCTIONS = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "in": lambda a, b: a in b, "not in": lambda a, b: a not in b,
}  # fmt: skip


def true_here(sign: str, left: Any, right: Any) -> bool:
    try:
        return bool(FUNCTIONS[sign](left, right))
    except Exception:  # it cannot be compared, or the truth of an array is asked for
        return False


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(OPERATORS), VALUES, VALUES, st.booleans())
def test_what_is_true_in_the_kernel_stands_outside(sign: str, left: Any, right: Any, same: bool) -> None:
    right = left if same else right
    arrays = any(isinstance(side, np.ndarray | torch.Tensor) for side in (left, right))
    if sign.endswith("in") and arrays and not isinstance(left, int | float):
        return  # NumPy asks whether any element equals any other: no one means that
    if true_here(sign, left, right):
        assert holds(sign, json.loads(json.dumps(plain(left))), json.loads(json.dumps(plain(right))))


class Color(enum.IntEnum):
    RED = 1


Pair = collections.namedtuple("Pair", "a b")
EQUAL_OF_OTHER_TYPES = [
    (np.float32(0.1), 0.1),
    (torch.tensor(0.1), 0.1),
    (torch.tensor(0.1, dtype=torch.float16), 0.1),
    (torch.tensor([3.0]), 3),
    (np.array([[2]]), 2),
    (collections.OrderedDict(a=1), {"a": 1}),
    (collections.Counter("aab"), {"a": 2, "b": 1}),
    (Pair(1, 2), (1, 2)),
    (Color.RED, 1),
    (fractions.Fraction(1, 2), 0.5),
    (1 + 0j, 1),
    (pytest.approx(1.0, rel=0.5), 1.4),
    ({1, 2.5}, {1.0, 2.5}),
    (torch.float32, torch.float32),
    (b"x", b"x"),
    (math.factorial(3000), math.factorial(3000)),
    ({(1, 2): 3}, {(1.0, 2): 3}),
    (range(3), range(3)),
]


@pytest.mark.parametrize(("left", "right"), EQUAL_OF_OTHER_TYPES, ids=lambda value: type(value).__name__)
def test_honest_values_of_other_types_stand(left: Any, right: Any) -> None:
    assert left == right
    assert holds("==", plain(left), plain(right))


class Yes:
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = lambda self, other: True
    __hash__ = object.__hash__


class YesNumber(float):
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = lambda self, other: True
    __hash__ = float.__hash__


class YesList(list):
    __eq__ = lambda self, other: True  # noqa: E731
    __iter__ = lambda self: iter([1, 2])  # noqa: E731
    __hash__ = None  # type: ignore[assignment]


class Disguised(Yes):
    __class__ = list  # type: ignore[assignment]


Borrowed = type("ndarray", (Yes,), {"__module__": "numpy"})
for impostor in (Yes, Disguised):
    impostor.__module__ = "__main__"


@pytest.mark.parametrize(
    "value",
    [Yes(), YesNumber(9), YesList(), Disguised(), Borrowed(), [Yes(), Yes()]],
    ids=lambda v: type(v).__name__,
)
@pytest.mark.parametrize("right", [4, "a", [1, 2], {"a": 1}, None, True])
def test_an_object_that_equals_everything_does_not_stand(value: Any, right: Any) -> None:
    if not isinstance(value, list) or type(value) is not list:
        assert value == right
    assert not holds("==", plain(value), plain(right))


def test_comparisons_of_wrong_values_do_not_stand() -> None:
    for sign, left, right in [
        ("==", [1, 2], [1, 2, 3]), ("==", 1, 2), ("==", 1.0, 1.05), ("==", "1", 1), ("!=", 3, 3), ("<", 5, 4), (">=", 1, 2),
        ("in", 4, [1, 2]), ("in", "c", "ab"), ("not in", 1, [1, 2]), ("in", 2, {1: 2}), ("==", {"a": 1}, {"b": 1}),
    ]:  # fmt: skip
        assert not holds(sign, plain(left), plain(right)), (sign, left, right)


class Bench:
    """Runs a check as a kernel does, with this process's own functions, and keeps what it sends."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.messages: list[Any] = []
        monkeypatch.setattr(
            _kernel, "publish", lambda data: self.messages.append(json.loads(json.dumps(data)))
        )

    def run(self, source: str, **space: Any) -> tuple[bool, Any]:
        check = sent(source, "token", plain=True)
        self.messages.clear()
        exec(check.source, space)
        (message,) = self.messages
        return taken(message, check)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def double(x: Any) -> Any:
    return [2 * i for i in x] if isinstance(x, list) else 2 * x


GOOD = [
    "assert double(3) == 6",
    "assert double([1, 2]) == [2, 4], 'list'",
    "from __future__ import annotations\n'''words'''\nassert double(1) < 3 and double(2) > 3",
    "for i in range(200):\n    assert double(i) == 2 * i",
    "def helper(x):\n    assert x > 0\n    return x\nhelper(double(2))\nassert helper(1)",
    "import numpy as np\nassert np.allclose(double(1.5), 3.0)\nnp.testing.assert_allclose(double(1.0), 2.3, rtol=0.5)",
    "import numpy as np\nnp.testing.assert_array_equal(np.ones(3) * double(1), 2)",
    "from unittest import TestCase\nTestCase().assertEqual(double(2), 4, 'four')\nTestCase().assertAlmostEqual(double(1), 2.2, 0)",
    "import pytest\nwith pytest.raises(TypeError):\n    double(None)\nassert double(0.1) == pytest.approx(0.25, abs=0.1)",
    "try:\n    double(None)\nexcept TypeError:\n    pass\nelse:\n    raise AssertionError",
    "assert double('ab') in ('abab', 'x')\nassert 'c' not in double('ab')\nassert double(0) is not None",
    "if double(1) > 5:\n    assert False",
    "%%time\nassert double(1) == 2",
    "assert not double(0)",
    "assert 1 < double(1) < 3 <= double(2)",
    "def assert_not_equal(a, b):\n    assert a != b\nassert_not_equal(double(1), 3)",
    "def assert_equal(*both):\n    assert both[0] == both[1]\nassert_equal(*[double(1), 2])",
    "x = double\nassert x(1) == 2\nprint('all passed')",
    "",
    "# nothing at all",
]  # fmt: skip


@pytest.mark.parametrize("source", GOOD)
def test_a_check_that_raises_nothing_stands(bench: Bench, source: str) -> None:
    assert bench.run(source, double=double) == (True, None)


def test_the_last_value_comes_along(bench: Bench) -> None:
    assert bench.run("assert double(1) == 2\ndouble([1])", double=double) == (True, [2])
    assert bench.run("double", double=double)[1] == {"$other": "function"}


@pytest.mark.parametrize(
    "source",
    [
        "assert double(3) == 6",
        "assert double(3) in (6,)",
        "assert double(3) >= 6",
        "import unittest\nunittest.TestCase().assertEqual(double(3), 6)",
        "import unittest\nunittest.TestCase().assertEqual(double(3), 6, 'six')",
        "import unittest\nunittest.TestCase().assertEqual(double(3), 6, msg='six')",
        "import unittest\nunittest.TestCase().assertAlmostEqual(double(3), 6)",
    ],
)
def test_an_impostor_passes_in_the_kernel_and_not_outside(bench: Bench, source: str) -> None:
    stands, _ = bench.run(source, double=lambda x: YesNumber(0))
    assert not stands


def test_a_replaced_function_of_comparison_does_not_help(bench: Bench) -> None:
    lying = ModuleType("lying")
    lying.assert_equal = lying.isclose = lambda *a, **k: True  # type: ignore[attr-defined]
    source = "lying.assert_equal(double(3), 6)"
    assert bench.run(source, lying=lying, double=double)[0]
    assert not bench.run(source, lying=lying, double=lambda x: 5)[0]
    assert not bench.run("assert lying.isclose(double(3), 6)", lying=lying, double=lambda x: 5)[0]


def test_a_message_is_taken_only_as_it_was_sent() -> None:
    check = sent("assert f(1) == 2\nfor x in f(2):\n    assert x", "token")
    good = [1, "==", 2, 2]
    assert taken(["token", [good], None], check) == (True, None)
    for message in (
        ["other", [good], None],
        ["token", [], None],  # the assert was taken out
        ["token", [[2, "true", 1, None]], None],
        ["token", [[1, "==", 2, 3]], None],
        ["token", [[1.0, "==", 2, 2]], None],
        ["token", [good, "x"], None],
        ["token", None, None],
        ["token", [good]],
        "token",
        None,
    ):
        assert not taken(message, check)[0], message
    assert taken(["token", [[1, "==", 2, 3]], None], check, compared=False)[0]


def test_two_checks_share_no_token() -> None:
    assert "token-1" in sent("assert x", "token-1").source
    assert "token-1" not in sent("assert x", "token-2").source
