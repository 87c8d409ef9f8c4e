"""Settings of the live scale made smaller still, for the tests that run every arm."""

from typing import Any

TINY: dict[str, dict[str, Any]] = {
    "degradation": {"depths": (8,), "widths": (2, 4, 8), "epochs": 2, "batch_size": 250},
    "gradient_ratio": {"depths": (8, 14), "widths": (2, 4, 8), "images": 8},
}
