"""The words of the ledger: of one part, from its interval and adjusted p value, and of a claim, from its parts."""

from __future__ import annotations

from collections.abc import Iterable

from resnetbook.survey.model import Rule, Status, Word

LEVEL = 0.05


def reference(rule: Rule, mean: float, margin: float) -> float:
    """Return the number that the p value tests the mean against: 0, minus the margin, or the nearer end of the margin.

    For `equal` the nearer end gives the larger of the two p values.
    """
    if rule == "better":
        return 0.0
    return margin if rule == "equal" and mean > 0 else -margin


def judge(rule: Rule, mean: float, low: float, high: float, margin: float, adjusted: float) -> Word:
    """Return the word of a part.

    Args:
        rule: "better", "not_worse" or "equal".
        mean: mean difference (of logarithms for a ratio), positive in favour of the claim.
        low: lower end of the 95 % interval.
        high: upper end.
        margin: smallest difference that counts, in the same terms.
        adjusted: p value after adjustment.
    """
    sure = adjusted < LEVEL
    if rule == "better":
        supported = low > 0 and mean > margin
        opposite = high < 0 and mean < -margin
    elif rule == "not_worse":
        supported, opposite = low > -margin, high < -margin
    else:
        supported, opposite = low > -margin and high < margin, low > margin or high < -margin
    if sure and supported:
        return "supported"
    if sure and opposite:
        return "opposite"
    return "no gain" if rule == "better" and high < margin else "undecided"


def combine(words: Iterable[Word]) -> Status:
    """Return the word of a claim or reading from those of its parts: never stronger than the weakest of them."""
    found = list(words)
    held = sum(word == "supported" for word in found)
    failed = sum(word in ("opposite", "no gain") for word in found)
    if all(word == "not run yet" for word in found):
        return "not run yet"
    if held and failed:
        return "mixed"
    if held:
        return "supported" if held == len(found) else "partly supported"
    if failed:
        return "refuted" if failed == len(found) else "partly refuted"
    return "undecided"
