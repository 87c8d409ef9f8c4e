"""Batches of one image: a normalisation over the batch cannot be trained on them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from resnetbook.lab import _keep
from resnetbook.lab._criterion import Criterion
from resnetbook.lab.settings import Settings


def note_of_last_batch(
    model: nn.Module, part: Any, settings: Settings, loss: Any, augment: Callable[..., Tensor] | None
) -> str | None:
    """Return the note of a training whose last batch is joined to the one before; None where each stays as it is.

    Joined is a last batch that leaves one image a device to a model that fails on one image and not on two.

    Raises:
        ValueError: fewer images than devices, in all or in a batch; each batch leaves such a model one image a device.
    """
    devices, count, size = settings.devices * settings.nodes, len(part.images), settings.batch_size
    each = f" for each of {devices} devices" if devices > 1 else ""
    if size < devices:
        raise ValueError(f"batch_size={size}: expected one image at least{each}")
    if count < devices:
        raise ValueError(f"train: {count} images; expected one at least{each}")
    whole, last = divmod(count, size)
    shares = ([size // devices] if whole else []) + ([last // devices] if last else [])
    if 1 not in shares or not _fails_on_one(model, part, loss, augment):
        return None
    if shares[0] == 1:
        found = f"batch_size={size}" if whole else f"train: {count} images"
        raise ValueError(
            f"{found}: one image a step{each} is not enough for {type(model).__name__}, which fails on one and not on "
            f"two (as batch normalisation does); expected {2 * devices} at least"
        )
    return (
        f"last batch of {last} joined to the one before, {size + last} images: {type(model).__name__} cannot be trained "
        f"on one image{each}"
    )


def _fails_on_one(model: nn.Module, part: Any, loss: Any, augment: Callable[..., Tensor] | None) -> bool:
    if fails(model, part, loss, count=1) and not fails(model, part, loss, count=2):
        return True
    # Images that only the augmentation makes fit for the model (cropped, or of another type).
    return (
        augment is not None
        and fails(model, part, loss, count=2)
        and fails(model, part, loss, count=1, augment=augment)
        and not fails(model, part, loss, count=2, augment=augment)
    )


def fails(
    model: nn.Module,
    part: Any,
    loss: Any,
    *,
    count: int,
    training: bool = True,
    augment: Callable[..., Tensor] | None = None,
) -> bool:
    """Return whether a copy of `model` fails on `count` images, loses their dimension, or returns what torch's loss refuses."""
    device = _keep.device_of(model)
    chosen = torch.arange(count) % len(part.images)
    images, labels = part.images[chosen].to(device), part.labels[chosen].to(device)
    try:
        with _keep.trial(model, training=training) as lent, torch.no_grad():
            if augment is not None:
                images = copy.deepcopy(augment)(images, torch.Generator().manual_seed(0))
            outputs = lent(images)
            criterion = Criterion(copy.deepcopy(loss), lent)
            if criterion.kind.from_torch:  # another one may keep count of its calls
                criterion(outputs, labels)
            main = criterion.main(outputs)
    except Exception:
        return True
    return main is not None and main.shape[:1] != (count,)
