"""Settings of the live scale made smaller still, for the experiments on C30 to C38 and C87."""

from typing import Any

SMALL = {"epochs": 1, "train_size": 60, "batch_size": 60, "data": "digits", "size": 0}
TINY: dict[str, dict[str, Any]] = {
    "asymmetric": {**SMALL, "width": 2},
    "cardinality": {**SMALL, "batch_size": 20},
    "cell_search": {
        "target_train_size": 60,
        "target_test_size": 40,
        "cells": 3,
        "target_data": "digits",
        "target_size": 0,
    },
    "dense_overfitting": {**SMALL, "train_sizes": (40, 60)},
    "dense_sharing": {},
    "dual_path": {**SMALL, "batch_size": 20, "limits": True},
    "factorisation_cost": {"channels": (4,), "size": 9, "batch_size": 1, "repeats": 1},
    "redundancy": {**SMALL, "images": 30},
    "residual_inception": {**SMALL, "widths": (4, 8, 12), "scales": (0.1, 0.3, 1.0)},
    "search_space": {},
}
