"""Settings of a training, and what follows from them: the device, the order of the images, the learning rate."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_CHOICES = {
    "schedule": ("constant", "step", "cosine"),
    "optimizer": ("sgd", "adamw"),
    "precision": ("32-true", "bf16-mixed"),
    "device": ("auto", "cpu", "cuda", "mps"),
    "strategy": ("auto", "ddp", "ddp_spawn", "ddp_fork", "ddp_notebook"),
}


@dataclass(frozen=True)
class Settings:
    """Settings of one training; the defaults suit small residual networks on small images.

    Args:
        epochs: passes over the training images.
        batch_size: images in one step, over all devices together.
        learning_rate: peak rate; see `learning_rate` for warm-up and schedule.
        momentum: of SGD; the first beta of AdamW.
        weight_decay: on all parameters (He et al. 2016, section 4.2, use 1e-4).
        schedule: "constant", "step" (a tenth at each milestone) or "cosine" (to zero).
        milestones: fractions of `epochs` at which "step" lowers the rate.
        warmup_epochs: epochs in which the rate rises linearly, step by step.
        clip: largest norm of the whole gradient; None leaves it.
        precision: "32-true" or "bf16-mixed".
        seed: of the order of images, of augmentation and of dropout; not of the weights, which the caller makes.
        device: "auto" (a GPU where there is one), "cpu", "cuda" or "mps".
        devices: devices on each node, `nodes`: machines, `strategy`: Fabric's name ("auto": DDP when several).
        optimizer: "sgd" or "adamw".

    Raises:
        ValueError: a field is out of range; the message names it.
    """

    epochs: int = 8
    batch_size: int = 64
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    schedule: str = "step"
    milestones: tuple[float, ...] = (0.5, 0.75)
    warmup_epochs: int = 0
    clip: float | None = None
    precision: str = "32-true"
    seed: int = 0
    device: str = "auto"
    devices: int = 1
    nodes: int = 1
    strategy: str = "auto"
    optimizer: str = "sgd"

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}={getattr(self, name)!r}: expected one of {', '.join(allowed)}")
        for name, low, high in [
            ("epochs", 1, None), ("batch_size", 1, None), ("learning_rate", 0, None), ("momentum", 0, 1),
            ("weight_decay", 0, None), ("warmup_epochs", 0, self.epochs), ("seed", 0, 2**63 - 1),
            ("devices", 1, None), ("nodes", 1, None),
        ]:  # fmt: skip
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= low and (high is None or value <= high)):
                upper = "" if high is None else f" and at most {high}"
                raise ValueError(f"{name}={value!r}: expected a number of at least {low}{upper}")
        if any(not 0 <= m <= 1 for m in self.milestones) or list(self.milestones) != sorted(self.milestones):
            raise ValueError(f"milestones={self.milestones!r}: expected rising fractions between 0 and 1")
        if self.clip is not None and not self.clip > 0:
            raise ValueError(f"clip={self.clip!r}: expected a positive norm or None")


def device(name: str = "auto") -> torch.device:
    """Return the torch device called `name`; "auto" is the first GPU, or the CPU where there is none.

    Raises:
        ValueError: the name is unknown, or this machine has no such device.
    """
    if name not in _CHOICES["device"]:
        raise ValueError(f"device={name!r}: expected one of {', '.join(_CHOICES['device'])}")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if (name == "cuda" and not torch.cuda.is_available()) or (
        name == "mps" and not torch.backends.mps.is_available()
    ):
        raise ValueError(f"device={name!r}: this machine has no such device; expected 'cpu' or 'auto'")
    return torch.device(name)


def learning_rate(settings: Settings, step: int, steps_per_epoch: int) -> float:
    """Return the rate of update number `step` (from 0).

    The warm-up rises linearly with each step: update k of W uses (k + 1) / W of the peak. After it "step" changes between
    epochs only: a tenth from epoch round(milestone * epochs) on; "cosine" falls with each step, from the peak to zero
    at the step after the last (Loshchilov & Hutter 2017, equation 5, without restarts).
    """
    warmup = settings.warmup_epochs * steps_per_epoch
    if step < warmup:
        return settings.learning_rate * ((step + 1) / warmup)  # the last one is the peak, to the bit
    if settings.schedule == "step":
        epoch = step // steps_per_epoch
        passed = sum(epoch >= round(milestone * settings.epochs) for milestone in settings.milestones)
        return float(settings.learning_rate * 0.1**passed)
    if settings.schedule == "cosine":
        done = (step - warmup) / max(1, settings.epochs * steps_per_epoch - warmup)
        return settings.learning_rate * (1 + math.cos(math.pi * done)) / 2
    return settings.learning_rate


def generator(seed: int, epoch: int, stream: int = 0) -> torch.Generator:
    """Return a CPU generator that depends on the three numbers alone (`stream`: 0 order, 1 + rank augmentation)."""
    mixed = np.random.SeedSequence([seed, epoch, stream]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(mixed) >> 1)


def batches(
    count: int, batch_size: int, *, seed: int, epoch: int, join_last: bool = False
) -> tuple[Tensor, ...]:
    """Return the indices of each batch of one epoch: a permutation of `count` images.

    The last batch may be smaller; with `join_last` such a one is joined to the batch before it.
    """
    order = torch.randperm(count, generator=generator(seed, epoch)).split(batch_size)
    if join_last and len(order) > 1 and len(order[-1]) < batch_size:
        order = (*order[:-2], torch.cat(order[-2:]))
    return order
