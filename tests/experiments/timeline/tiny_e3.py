"""Settings of the live scale made smaller still, for the test of all experiments."""

SMALL = {"epochs": 1, "train_size": 60, "batch_size": 60, "data": "digits", "size": 0}
TINY = {
    "comparison": {**SMALL},
    "dense_efficiency": {**SMALL},
    "dense_reuse": {**SMALL},
    "deletion": {
        **SMALL,
        "widths": (2, 4, 8),
        "networks": ("residual-14", "residual-8", "plain-8", "stochastic-8"),
        "together": (2, 3),
    },
    "dropped_layers": {**SMALL, "widths": (2, 4, 8)},
    "two_streams": {**SMALL, "widths": (2, 4, 8)},
}
