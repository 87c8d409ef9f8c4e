"""Test loss at equal training loss: what a fit has been bought with, whatever the networks compared fit in the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from resnetbook.lab import measuring
from resnetbook.lab.data import Part


class EachLoss:
    """After each epoch: the loss of each test image, added to the epoch's row."""

    def __init__(self, part: Part):
        self.part = part

    def on_epoch_end(self, epoch: int, model: nn.Module, row: dict[str, Any]) -> None:
        """Evaluate on the test images."""
        row["test_losses"] = measuring.losses(model, self.part.images, self.part.labels)


def at_equal_fit(rows: Sequence[dict[str, Any]], target: float) -> tuple[Tensor, bool]:
    """Return each test image's loss where the training loss first comes down to `target`, and whether it did."""
    rows = [row for row in rows if "test_losses" in row]
    for number, row in enumerate(rows):
        if row["eval_loss"] <= target:
            before = rows[max(number - 1, 0)]
            drop = before["eval_loss"] - row["eval_loss"]
            weight = (before["eval_loss"] - target) / drop if drop > 0 else 1.0
            return torch.lerp(before["test_losses"], row["test_losses"], weight), True
    return rows[-1]["test_losses"], False
