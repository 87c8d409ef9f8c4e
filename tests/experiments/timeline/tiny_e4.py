"""Settings of the live scale made smaller still, for the experiments on C30 to C38 and C87."""

from typing import Any

SMALL = {"epochs": 1, "train_size": 60, "batch_size": 60, "data": "digits", "size": 0}
TINY: dict[str, dict[str, Any]] = {
    "cardinality": {**SMALL},
}
