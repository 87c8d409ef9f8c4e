"""Training the arms of an experiment: settings of a training, one arm trained, its rate chosen, one arm measured.

An experiment derives its `Settings` from `Fitting`, says in `network(settings, arm, data)` how an arm is built, and adds its
own metrics to those of `fit_and_measure`. All arms of an experiment see the same images in the same order; each takes its
best of `rates`, chosen on validation loss with an extra seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from resnetbook.lab import measuring, training
from resnetbook.lab.data import ImageSet, load
from resnetbook.lab.running import Context

TUNING_SEED = 1000  # one seed more than those that are compared: choosing a learning rate must not see them

Build = Callable[[], nn.Module]


@dataclass(frozen=True)
class Fitting:
    """The set and how long and how an arm is trained. Targets that are never reached count as epochs + 1."""

    data: str = "digits"
    size: int = 0  # side in pixels; 0: as stored
    train_size: int = 0  # training images; 0: all
    epochs: int = 12
    warmup_epochs: int = 1
    batch_size: int = 64
    rates: tuple[float, ...] = (0.02, 0.05, 0.15)
    target_loss: float = 0.1
    target_accuracy: float = 0.95


def images_of(settings: Fitting) -> ImageSet:
    """Load the set at the size and number of training images asked for."""
    return load(settings.data, size=settings.size or None, train_size=settings.train_size or None)


def describe(settings: Fitting) -> dict[str, str]:
    """Return what a record says of its data."""
    return describe_set(images_of(settings))


def best_rate(settings: Fitting, build: Build, data: ImageSet, context: Context) -> dict[str, Any]:
    """Choose an arm's learning rate; `build` makes its network from torch's random state."""
    return best_validation_rate(
        build,
        data,
        settings.rates,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        warmup_epochs=settings.warmup_epochs,
        device=context.device,
    )


def fit(
    settings: Fitting,
    build: Build,
    data: ImageSet,
    seed: int,
    context: Context,
    callbacks: Sequence[Any] = (),
) -> tuple[nn.Module, list[dict[str, Any]]]:
    """Train `build()` with the tuned rate; return it with its rows, which also hold eval_loss and eval_accuracy.

    A training that diverged ends early: the rows that are missing are empty.
    """
    training.seed_everything(seed)
    model = build()
    rows = train(
        model,
        data,
        epochs=settings.epochs,
        learning_rate=float(context.tuned["learning_rate"]),
        batch_size=settings.batch_size,
        warmup_epochs=settings.warmup_epochs,
        seed=seed,
        device=context.device,
        checkpoint=context.checkpoint,
        callbacks=(Watch(data, context.device), *callbacks),
    ).rows
    return model, [*rows, *[{}] * (settings.epochs - len(rows))]


def measure(
    settings: Fitting, model: nn.Module, rows: Sequence[dict[str, Any]], data: ImageSet, context: Context
) -> dict[str, Any]:
    """Return the metrics of a trained arm.

    train_loss, train_accuracy, test_loss, test_accuracy: on the whole part, in eval mode, at the end. gap: training minus
    test accuracy. train_curve, validation_curve: training loss in eval mode and validation accuracy after each epoch.
    epochs_to_loss, epochs_to_accuracy: first epoch at the target. mode_gap: how far the training accuracy with batch
    statistics is from that in eval mode (large: an artefact of batch normalisation). parameters.
    """
    losses, accuracies, validation = (
        [float(row.get(name, math.nan)) for row in rows]
        for name in ("eval_loss", "eval_accuracy", "validation_accuracy")
    )
    test = training.evaluate(model, data.test, device=context.device)
    return {
        "train_loss": losses[-1],
        "train_accuracy": accuracies[-1],
        "test_loss": test["loss"],
        "test_accuracy": test["accuracy"],
        "gap": accuracies[-1] - test["accuracy"],
        "train_curve": losses,
        "validation_curve": validation,
        "epochs_to_loss": first_epoch(losses, lambda value: value <= settings.target_loss),
        "epochs_to_accuracy": first_epoch(validation, lambda value: value >= settings.target_accuracy),
        "mode_gap": measuring.mode_gap(model, data.train),
        "parameters": float(sum(p.numel() for p in model.parameters())),
    }


def fit_and_measure(
    settings: Fitting, build: Build, data: ImageSet, seed: int, context: Context
) -> tuple[nn.Module, dict[str, Any]]:
    """Train an arm and return the network with its metrics."""
    model, rows = fit(settings, build, data, seed, context)
    return model, measure(settings, model, rows, data, context)


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


def lowest(rates: Sequence[float], score: Callable[[float], float]) -> dict[str, Any]:
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

    return lowest(rates, score)


class Watch:
    """After each epoch: loss and accuracy on the training set in eval mode, added to the epoch's row."""

    def __init__(self, data: ImageSet, device: str):
        self.data, self.device = data, device

    def on_epoch_end(self, epoch: int, model: nn.Module, row: dict[str, Any]) -> None:
        """Evaluate on the training set."""
        found = training.evaluate(model, self.data.train, device=self.device)
        row["eval_loss"], row["eval_accuracy"] = found["loss"], found["accuracy"]


def first_epoch(values: Sequence[float], reached: Any) -> float:
    """Return the number of the first epoch whose value is `reached`, or the number of epochs + 1."""
    return float(next((i for i, value in enumerate(values, 1) if reached(value)), len(values) + 1))


def describe_set(data: ImageSet) -> dict[str, str]:
    """Return what a record says of its data."""
    return {"name": data.name, "checksum": data.checksum, "split": data.split}
