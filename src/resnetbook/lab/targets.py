"""How soon a training arrives: a target that fits every set, and the epochs and seconds until the loss falls to it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from resnetbook.lab import measuring, training
from resnetbook.lab.data import ImageSet


def guess(labels: Tensor) -> float:
    """Return the cross-entropy of a guess by class frequencies, in nats: the entropy of the labels."""
    shares = labels.bincount().double() / len(labels)
    return float(torch.special.entr(shares).sum())


def epochs_to_loss(losses: Sequence[float], labels: Tensor, share: float) -> dict[str, float]:
    """Return how soon the training loss is `share` of what a guess costs.

    Args:
        losses: after each epoch.
        labels: those of the training images.
        share: between 0 and 1.

    Returns:
        epochs_to_loss: the first crossing, on straight lines between the losses, from the guess before the first epoch;
        restricted to the epochs trained where there is none. epochs_to_loss_reached: 1 where there is one, else 0.
    """
    before = start = guess(labels)
    target = share * start
    for number, loss in enumerate(losses):
        if loss <= target:
            epochs = number + (before - target) / (before - loss)
            return {"epochs_to_loss": epochs, "epochs_to_loss_reached": 1.0}
        before = loss if math.isfinite(loss) else start
    return {"epochs_to_loss": float(len(losses)), "epochs_to_loss_reached": 0.0}


def seconds_of(
    models: Sequence[nn.Module], settings: Any, data: ImageSet, device: str, which: int
) -> tuple[float, float]:
    """Return the seconds of a training step of one of `models`, taken in turn with the others', and of its epoch."""
    times = measuring.seconds_per_step(models, data, settings.batch_size, training.device(device), steps=1)
    return times[which], times[which] * math.ceil(len(data.train) / settings.batch_size)
