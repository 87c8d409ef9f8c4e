"""What several experiments share: training one arm, choosing its learning rate, moved copies of a test set."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from resnetbook.lab import training
from resnetbook.lab.data import ImageSet, Part, load, standardise, transforms
from resnetbook.lab.data.digits import on_canvas as on_black

TUNING_SEED = 1000  # one seed more than those that are compared: choosing a learning rate must not see them


def train(
    model: nn.Module,
    data: ImageSet,
    *,
    epochs: int,
    learning_rate: float,
    batch_size: int,
    seed: int,
    device: str = "auto",
    warmup_epochs: int = 0,
    schedule: str = "step",
    checkpoint: Path | None = None,
    callbacks: Sequence[Any] = (),
) -> training.History:
    """Train `model` in place on `data.train` with SGD and return the history, validation in every epoch."""
    settings = training.Settings(
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=batch_size,
        warmup_epochs=warmup_epochs,
        schedule=schedule,
        seed=seed,
        device=device,
    )
    return training.fit(
        model,
        data.train,
        data.validation,
        settings=settings,
        checkpoint=checkpoint,
        callbacks=callbacks,
        progress=False,
    )


def best_rate(rates: Sequence[float], score: Callable[[float], float]) -> dict[str, Any]:
    """Return the learning rate with the lowest score; a score that is no number counts as infinite.

    Ties go to the rate that stands first in `rates`.
    """
    if not rates:
        raise ValueError("rates is empty: expected at least one learning rate")
    scores = [value if math.isfinite(value) else math.inf for value in map(score, rates)]
    best = min(range(len(rates)), key=lambda index: scores[index])
    return {
        "learning_rate": rates[best],
        "rates": list(rates),
        "scores": [value if math.isfinite(value) else None for value in scores],
    }


def best_validation_rate(
    build: Callable[[], nn.Module], data: ImageSet, rates: Sequence[float], **how: Any
) -> dict[str, Any]:
    """Train `build()` once for each rate with the tuning seed; the lowest last validation loss wins."""

    def score(rate: float) -> float:
        training.seed_everything(TUNING_SEED)
        history = train(build(), data, learning_rate=rate, seed=TUNING_SEED, **how)
        return float(history.rows[-1]["validation_loss"])

    return best_rate(rates, score)


@contextmanager
def batch_statistics(model: nn.Module) -> Iterator[None]:
    """Inside, batch norm uses the statistics of the batch and leaves its running estimates alone."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    counters = [
        None if norm.num_batches_tracked is None else norm.num_batches_tracked.clone() for norm in norms
    ]
    was_training = model.training
    try:
        model.train()
        for norm in norms:
            norm.momentum = 0.0
        yield
    finally:
        for norm, momentum, counter in zip(norms, momenta, counters, strict=True):
            norm.momentum = momentum
            if counter is not None and norm.num_batches_tracked is not None:
                norm.num_batches_tracked.copy_(counter)
        model.train(was_training)


@torch.no_grad()
def logits(model: nn.Module, images: Tensor, *, batch_size: int = 256) -> Tensor:
    """Return the outputs of `model` in the mode it is in, on the CPU, batch by batch."""
    device = next(model.parameters()).device
    return torch.cat([model(batch.to(device)).cpu() for batch in images.split(batch_size)])


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the share of right answers in eval mode."""
    was_training = model.training
    model.eval()
    right = (logits(model, images).argmax(1) == labels).float().mean().item()
    model.train(was_training)
    return right


def mode_gap(model: nn.Module, part: Part) -> float:
    """Return |accuracy in eval mode - accuracy with batch statistics| on `part`: large means a BN artefact."""
    with batch_statistics(model):
        with_batch = (logits(model, part.images).argmax(1) == part.labels).float().mean().item()
    return abs(accuracy(model, part.images, part.labels) - with_batch)


def on_canvas(name: str, *, picture: int, canvas: int) -> ImageSet:
    """Load a set with each image resized to `picture` pixels in the middle of a black `canvas`, standardised.

    Raises:
        ValueError: the canvas is smaller than the picture, or the set is unknown.
    """
    data = load(name, size=picture, normalise=False)

    def place(part: Part) -> Part:
        return Part(on_black(part.images, None, canvas), part.labels)

    return standardise(
        replace(data, train=place(data.train), validation=place(data.validation), test=place(data.test))
    )


def describe(data: ImageSet) -> dict[str, str]:
    """Return what a record says of its data."""
    return {"name": data.name, "checksum": data.checksum, "split": data.split}


def mean_accuracy(model: nn.Module, part: Part, changes: Sequence[Callable[[Tensor], Tensor]]) -> float:
    """Return the mean accuracy over changes of the same size (left and right, say)."""
    return sum(accuracy(model, change(part.images), part.labels) for change in changes) / len(changes)


def shift_curve(model: nn.Module, part: Part, pixels: Sequence[int]) -> list[float]:
    """Return the accuracy for each shift, the mean over left, right, up and down."""
    return [
        mean_accuracy(
            model,
            part,
            [
                partial(transforms.shift, dy=down * by, dx=right * by)
                for right, down in ((1, 0), (-1, 0), (0, 1), (0, -1))
            ],
        )
        for by in pixels
    ]


def kept(curve: Sequence[float], clean: float) -> float:
    """Return the mean of accuracy under the change over clean accuracy: 1 means nothing is lost."""
    return sum(curve) / len(curve) / clean if clean > 0 else math.nan
