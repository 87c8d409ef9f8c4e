"""What an assert compares: how it becomes JSON in the kernel, and how the comparison is made again outside of it.

This is no second opinion on a close call, for the kernel has the types and their own rules. It is there for what the kernel
cannot be trusted with: an object that equals everything, an assert that was taken out. So numbers that agree within a
hundredth pass, and what has no plain form passes if both sides have none.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from typing import Any

from resnetbook.grading.values import from_library

__all__ = ["OPERATORS", "OTHER", "holds", "plain"]

OPERATORS = ("==", "!=", "<", "<=", ">", ">=", "in", "not in")
OTHER = "$other"
OWN = "__main__"  # the module of a class that a notebook defines
_SLACK = 1e-2
_MOST = 2_000


def plain(value: Any) -> Any:
    """Turn an operand into JSON, by the data that its base type holds and not by methods of its own.

    Args:
        value: anything; an object without such data becomes `{"$other": its type}`.
    """
    try:
        return _plain(value, [_MOST], 0)
    except ValueError:
        return {OTHER: "large"}
    except Exception:  # an object may raise whatever it likes when it is looked at
        return {OTHER: f"{OWN}.{type(value).__name__}"}


def _plain(value: Any, left: list[int], depth: int) -> Any:
    left[0] -= 1
    if left[0] < 0 or depth > 16:
        raise ValueError("value: too large")
    kind = type(value)
    if value is None or kind is bool:
        return value
    if isinstance(value, str):
        left[0] -= len(value) // 10
        return str.__str__(value).encode("utf-8", "replace").decode()
    if isinstance(value, int):
        number = int.__int__(value)
        return number if number.bit_length() <= 4096 else {OTHER: "large"}
    if isinstance(value, float):
        real = float.__float__(value)
        return real if math.isfinite(real) else {OTHER: "not finite"}
    if isinstance(value, dict):
        return {_key(k): _plain(item, left, depth + 1) for k, item in dict.items(value)}
    for base in (list, tuple, set, frozenset):
        if isinstance(value, base):
            items = [_plain(item, left, depth + 1) for item in base.__iter__(value)]  # type: ignore[arg-type]
            return sorted(items, key=_order) if base in (set, frozenset) else items
    found, is_plain = from_library(value, kind, left[0])
    if is_plain:
        return _plain(found, left, depth + 1)
    home: Any = sys.modules.get(kind.__module__)
    for name in kind.__qualname__.split("."):
        home = getattr(home, name, None)
    return {OTHER: f"{kind.__module__ if home is kind else OWN}.{kind.__qualname__}"}


def _key(key: Any) -> str:
    """A key of a dict, or an item that may be one, as text: 1, 1.0 and True are the same key."""
    item = _whole(_plain(key, [100], 0))
    return item if isinstance(item, str) else repr(item)


def _whole(item: Any) -> Any:
    """Numbers without a fraction as integers, inside of lists too."""
    if isinstance(item, list):
        return [_whole(part) for part in item]
    return int(item) if isinstance(item, int | float) and item == int(item) else item


def _order(item: Any) -> tuple[int, float, str]:
    return (0, item, "") if isinstance(item, int | float) else (1, 0.0, repr(item))


def holds(operator: str, left: Any, right: Any) -> bool:
    """Tell whether a comparison of two plain operands can be true.

    Args:
        operator: one of `OPERATORS`, or "true" for the truth of `left`.
        left: what `plain` made of it; JSON from a kernel, trusted in nothing.
        right: the same; not used where the operator is "true".
    """
    if operator in ("in", "not in"):
        if _is_other(left) or _is_other(right):
            return _both_other(left, right)
        return _contains(right, left) if operator == "in" else not _contains(right, left, exactly=True)
    if operator == "!=" and not (
        _is_other(left) or _is_other(right)
    ):  # of containers, plain ones do not keep the type
        return isinstance(left, list | dict) or not (left == right and type(left) is type(right))
    left, right = _single(left), _single(right)
    if operator == "true":
        return _is_other(left) or bool(left)
    if operator == "==":
        return _same(left, right)
    if _is_other(left) or _is_other(right):
        return _both_other(left, right)
    numbers = isinstance(left, int | float) and isinstance(right, int | float)
    if numbers:
        slack = _SLACK * max(1.0, abs(right))
        return left <= right + slack if operator[0] == "<" else left >= right - slack
    if isinstance(left, str) and isinstance(right, str):
        return left <= right if operator[0] == "<" else left >= right
    return True  # lists, sets, arrays: the kernel compared them in its own way


def _contains(whole: Any, item: Any, *, exactly: bool = False) -> bool:
    if isinstance(whole, str):
        return isinstance(item, str) and item in whole
    if isinstance(whole, dict):
        return _key(item) in whole
    if exactly:
        plain_item = isinstance(whole, list) and not isinstance(item, list | dict)
        return plain_item and any(item == x and type(item) is type(x) for x in whole)
    return any(_same(item, x) for x in _parts(whole))


def _parts(whole: Any) -> Iterator[Any]:
    """All lists within a list, and what is in them: for an array it is the same whether an element stands in a row."""
    for item in whole if isinstance(whole, list) else [whole]:
        yield item
        if isinstance(item, list):
            yield from _parts(item)


def _single(value: Any) -> Any:
    """An array of one element compares as the element does."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value


def _is_other(value: Any) -> bool:
    return isinstance(value, dict) and OTHER in value


def _both_other(left: Any, right: Any) -> bool:
    """An object of a class that the notebook itself defines may equal another such object, and nothing else."""
    kinds = [str(side[OTHER]) if _is_other(side) else "" for side in (left, right)]
    return all(kinds) or not any(kind.startswith(f"{OWN}.") for kind in kinds)


def _same(left: Any, right: Any) -> bool:
    if _is_other(left) or _is_other(right):
        return _both_other(left, right)
    left, right = _single(left), _single(right)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    if isinstance(left, list) and isinstance(right, int | float):  # an array and what all its elements equal
        return bool(left) and all(_same(item, right) for item in left)
    if isinstance(right, list) and isinstance(left, int | float):
        return bool(right) and all(_same(left, item) for item in right)
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    if isinstance(left, int | float) and isinstance(right, int | float):
        return bool(left == right) or _near(left, right)
    return type(left) is type(right) and bool(left == right)


def _near(left: float, right: float) -> bool:
    """Within a hundredth where one of two numbers is a float: half precision is no finer. Integers are met exactly."""
    if not (isinstance(left, float) or isinstance(right, float)):
        return False
    try:
        return abs(left - right) <= _SLACK * max(abs(left), abs(right), _SLACK)
    except OverflowError:
        return False
