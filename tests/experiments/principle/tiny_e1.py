"""Settings of the live scale made smaller still: seconds for each experiment."""

CANVAS = {"epochs": 1, "train_size": 60, "batch_size": 60}
TINY = {
    "adjustment": {"depth": 8, "widths": (2, 4, 8), "epochs": 1, "batch_size": 250, "images": 8},
    "growth": {"widths": (2, 4, 8), "epochs_before": 1, "batch_size": 250},
    "identity_cost": {},
    "one_block": {"channels": 2, "size": 4, "steps": 10, "fixed": 8, "rates": (0.003,)},
    "pooling_information": {"width": 2, "epochs": 1, "train_size": 100},
    "pooling_robustness": {**CANVAS, "widths": (2, 2, 2), "shifts": (1,), "noises": (0.5,)},
    "position": {**CANVAS, "widths": (2, 2, 2), "shifts": (1, 2)},
    "robustness": {**CANVAS, "widths": (2, 4, 8)},
    "sharing": {},
}
