"""Settings of the live scale made smaller still, for the test of all experiments."""

SMALL = {"epochs": 1, "train_size": 60, "batch_size": 60, "data": "digits", "size": 0}
TINY = {
    "dropped_layers": {**SMALL, "widths": (2, 4, 8)},
}
