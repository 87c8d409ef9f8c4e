"""A measured number and the bounds that hold it: what a page prints behind "≈", and still relies on."""

from __future__ import annotations

from numbers import Real
from typing import TypeVar

__all__ = ["within"]

T = TypeVar("T")


def within(value: T, low: float, high: float, name: str = "value") -> T:
    """Return `value` unchanged, having made sure that it lies from `low` to `high`, both included.

    A page prints what differs between processors behind "≈", where nbval leaves it out of the comparison
    (tests/notebooks/sanitize.cfg); this call in the same cell is what still holds it.

    Args:
        value: a number, or an array or tensor of one number.
        low: smallest value that is accepted; `-math.inf` for none.
        high: largest value that is accepted; `math.inf` for none.
        name: what the number is, for the message.

    Raises:
        AssertionError: the number lies outside, or is NaN.
        ValueError: `value` is not one number, or `low` is not below `high`.
    """
    try:
        number = value.item() if hasattr(value, "item") else value
    except (ValueError, RuntimeError):  # NumPy's and torch's words for an array of several
        number = None
    if not isinstance(number, Real):
        raise ValueError(f"{name}: {type(value).__name__} {value!r:.60}, expected one number")
    if not low < high:
        raise ValueError(f"low={low}, high={high}: expected low < high for {name}")
    if not low <= float(number) <= high:
        raise AssertionError(f"{name} = {float(number):.6g}, expected {low:g} to {high:g}")
    return value
