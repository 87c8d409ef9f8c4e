"""Read decisions, and hold each to its form: a unit, something to compare with, and a registered margin."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from resnetbook.survey.model import Decision
from resnetbook.survey.tables import build

RULES = ("better", "not_worse", "equal", "exact")
UNITS = ("difference", "ratio")
# Named margins, and the unit that each belongs to.
MARGINS = {"share": "difference", "ratio": "ratio"}


def decision(row: Mapping[str, Any], where: str) -> Decision:
    """Make one decision from its table, whose `record` names experiment, variant and scale.

    Raises:
        ValueError: a key is unknown, or one that the rule needs is absent.
    """
    row = dict(row)
    record = dict(row.pop("record", {}))
    row.update({key: value for key, value in record.items() if value is not None})
    if isinstance(row.get("contrast"), Mapping):
        row["contrast"] = tuple(row["contrast"].items())
    made = build(Decision, row, where)
    where = f"{where}, {made.label!r}"
    for key, found, wanted in (
        ("rule", made.rule, RULES),
        ("better", made.better, ("higher", "lower")),
        ("part_of", made.part_of, ("reading", "data")),
        ("scale", made.scale, (None, "quick", "full")),
    ):
        if found not in wanted:
            raise ValueError(f"{where}: {key} {found!r}, expected one of {wanted}")
    check = check_exact if made.rule == "exact" else check_comparison
    check(made, where)
    return made


def check_exact(made: Decision, where: str) -> None:
    """Hold an exact decision to `op` and `value`; ValueError if it has another form."""
    if made.op not in ("==", "<=", ">="):
        raise ValueError(f"{where}: op {made.op!r}, expected '==', '<=' or '>='")
    if made.value is None:
        raise ValueError(f"{where}: rule 'exact' needs 'value'")
    for key in ("b", "bound", "contrast", "unit", "margin"):
        if getattr(made, key) is not None:
            raise ValueError(f"{where}: rule 'exact' has no {key!r}")


def check_comparison(made: Decision, where: str) -> None:
    """Hold a comparison to its unit, what it compares with, and a registered margin; ValueError if it lacks one."""
    if made.unit not in UNITS:
        raise ValueError(f"{where}: unit {made.unit!r}, expected one of {UNITS}")
    if sum(each is not None for each in (made.b, made.bound, made.contrast)) != 1:
        raise ValueError(
            f"{where}: expected one of 'b' (an arm), 'bound' (a number) and 'contrast' (weights)"
        )
    if made.contrast is not None:
        check_contrast(made, where)
    if made.unit == "ratio" and made.bound is not None and made.bound <= 0:
        raise ValueError(f"{where}: bound {made.bound!r}, expected a positive number for a ratio")
    if made.op is not None or made.value is not None:
        raise ValueError(f"{where}: 'op' and 'value' belong to rule 'exact'")
    margin = made.margin
    if isinstance(margin, str):
        if MARGINS.get(margin) != made.unit:
            raise ValueError(f"{where}: margin {margin!r} does not belong to unit {made.unit!r}")
        if made.why_margin:
            raise ValueError(f"{where}: 'why_margin' belongs to a margin that is a number")
        return
    if margin is None or isinstance(margin, bool) or not math.isfinite(margin) or margin < 0:
        raise ValueError(f"{where}: margin {margin!r}, expected 'share', 'ratio' or a number of 0 or more")
    if not made.why_margin:
        raise ValueError(f"{where}: margin {margin!r} is a number, so 'why_margin' is needed")
    if margin == 0 and made.rule != "better":
        raise ValueError(f"{where}: margin 0, expected more for rule {made.rule!r}")


def check_contrast(made: Decision, where: str) -> None:
    """Hold a contrast to weights of two arms or more that sum to 0, that of `a` among them; ValueError if they do not."""
    weights = dict(made.contrast or ())
    if any(isinstance(weight, bool) or not isinstance(weight, int | float) for weight in weights.values()):
        raise ValueError(f"{where}: contrast {weights!r}, expected a number for each arm")
    if len(weights) < 2 or made.a not in weights or not all(map(math.isfinite, weights.values())):
        raise ValueError(f"{where}: contrast {weights!r}, expected finite weights of 'a' and other arms")
    if abs(math.fsum(weights.values())) > 1e-9:
        raise ValueError(f"{where}: contrast sums to {math.fsum(weights.values()):g}, expected 0")
    if made.better != "higher":
        raise ValueError(f"{where}: a contrast carries its sign in its weights, expected better = 'higher'")
