"""Values that a check may give: how they become JSON in the kernel and how they are compared outside of it.

The kernel turns a value into plain JSON (`encode`), the pytest process compares the two JSON values (`close`).
Nothing is pickled and no method of a student's object is called by the side that decides.
"""

from __future__ import annotations

import math
import sys
from typing import Any

__all__ = ["MIME", "close", "encode", "from_library"]

MIME = "application/x-resnetbook-value+json"
"""The one MIME type that a verdict looks at."""

MAX_ITEMS = 100_000
MAX_DEPTH = 32
MAX_TEXT = 200_000
NOT_FINITE = "$float"  # JSON has no nan and no inf: they travel as {"$float": "nan"}


def encode(value: Any) -> Any:
    """Turn a value into plain JSON: numbers, strings, bools, None, arrays, tensors, lists, tuples and dicts.

    Types are matched exactly, not by `isinstance`: an object that only pretends to be a number is refused.

    Args:
        value: what the last expression of a check gave.

    Returns:
        The JSON value; `nan` and infinities become `{"$float": "nan"}` and so on, tuples become lists.

    Raises:
        TypeError: the value, or something in it, is of a type that cannot be judged.
        ValueError: it has more than 100,000 items, is nested deeper than 32, or holds over 200,000 characters.
    """
    return _encode(value, [MAX_ITEMS, MAX_TEXT], 0)


def _encode(value: Any, left: list[int], depth: int) -> Any:
    kind = type(value)
    left[0] -= 1
    if left[0] < 0 or depth > MAX_DEPTH:
        raise ValueError(f"value: too large to be judged (limit: {MAX_ITEMS} items, {MAX_DEPTH} levels)")
    if value is None or kind is bool:
        return value
    if kind is str:
        left[1] -= len(value)
        if left[1] < 0:
            raise ValueError(f"value: too much text to be judged (limit: {MAX_TEXT} characters)")
        return value
    if kind is int:
        if value.bit_length() > 4096:
            raise ValueError("value: an integer of more than 4096 bits cannot be judged")
        return value
    if kind is float:
        return value if math.isfinite(value) else {NOT_FINITE: repr(value)}
    if kind is dict:
        return {_key(key): _encode(item, left, depth + 1) for key, item in value.items()}
    if kind is list or kind is tuple:
        return [_encode(item, left, depth + 1) for item in value]
    plain, is_plain = from_library(value, kind, left[0])
    if is_plain:
        return _encode(plain, left, depth + 1)
    raise TypeError(
        f"value: a {kind.__name__} cannot be judged; expected a number, string, bool, None, array, tensor, "
        "or a list or dict of these"
    )


def _key(key: Any) -> str:
    if type(key) is int:
        return str(key)
    if type(key) is not str or key.startswith("$"):
        raise TypeError(
            f"value: the key of a dict must be a string or an integer, got a {type(key).__name__}"
        )
    return key


def from_library(value: Any, kind: type, limit: int) -> tuple[Any, bool]:
    """Return (plain value, True) for torch's and NumPy's own types; both are looked up, never imported."""
    torch = sys.modules.get("torch")
    if torch is not None:
        if kind is torch.Size:
            return tuple(value), True
        if kind in (torch.Tensor, torch.nn.Parameter):
            if value.is_complex():
                raise TypeError("value: a complex tensor cannot be judged")
            _check_size(value.numel(), limit)
            return value.detach().cpu().tolist(), True
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        if kind is numpy.ndarray:
            if value.dtype.kind not in "biufU":
                raise TypeError(f"value: an array of {value.dtype} cannot be judged")
            _check_size(value.size, limit)
            return value.tolist(), True
        if issubclass(kind, numpy.generic) and kind.__module__ == "numpy" and value.dtype.kind in "biufU":
            return value.item(), True
    return None, False


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise ValueError(f"value: {size} items are too many to be judged (limit: {MAX_ITEMS})")


def close(value: Any, reference: Any, *, rtol: float, atol: float) -> bool:
    """Tell whether an encoded value equals the encoded reference.

    A reference that is an integer (a count, an index) must be met exactly, by an integer or by an equal float.
    A reference that is a float is met within `|value - reference| <= atol + rtol * |reference|`. A bool is no
    number here. Lists must have equal lengths, dicts equal keys.

    Args:
        value: JSON from a student's kernel; any shape, trusted in nothing.
        reference: JSON from the master's kernel.
        rtol: relative tolerance of floats.
        atol: absolute tolerance of floats.
    """
    if isinstance(reference, bool) or reference is None or isinstance(reference, str):
        return type(value) is type(reference) and value == reference
    if isinstance(reference, list):
        return (
            isinstance(value, list)
            and len(value) == len(reference)
            and all(close(v, r, rtol=rtol, atol=atol) for v, r in zip(value, reference, strict=True))
        )
    if isinstance(reference, dict):
        return (
            isinstance(value, dict)
            and value.keys() == reference.keys()
            and all(close(value[key], reference[key], rtol=rtol, atol=atol) for key in reference)
        )
    if type(value) not in (int, float):
        return False
    if isinstance(reference, int):
        return bool(value == reference)
    try:
        return abs(value - reference) <= atol + rtol * abs(reference)
    except OverflowError:  # an integer beyond the range of floats
        return False
