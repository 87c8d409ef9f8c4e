"""Settings of the live scale made smaller still, for the tests that run every arm."""

from typing import Any

SMALL = {"epochs": 1, "train_size": 60, "batch_size": 60, "data": "digits", "size": 0}
TINY: dict[str, dict[str, Any]] = {
    "inception_module": {**SMALL, "size": 8},
    "orders": {**SMALL, "widths": (2, 4, 8)},
    "preactivation": {**SMALL, "widths": (2, 4, 8)},
    "shortcut_levels": {**SMALL, "widths": (2, 4, 8)},
    "widening_count": {},
    "width_or_depth": {**SMALL, "widths": (2, 4, 8), "deep": (22, 1)},
}
