"""What the experiments on the networks of section 3 share: settings of a training, one arm trained, one arm measured.

An experiment derives its `Settings` from `Fitting`, says in `network(settings, arm, data)` how an arm is built, and adds its
own metrics to those of `fit_and_measure`. All arms of an experiment see the same images in the same order; each takes its
best of `rates`, chosen on validation loss with an extra seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from resnetbook.lab import training
from resnetbook.lab.data import ImageSet, load
from resnetbook.lab.experiments import _shared as shared
from resnetbook.lab.experiments._registry import Context
from resnetbook.lab.experiments.degradation import Watch, first_epoch

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
    return shared.describe(images_of(settings))


def best_rate(settings: Fitting, build: Build, data: ImageSet, context: Context) -> dict[str, Any]:
    """Choose an arm's learning rate; `build` makes its network from torch's random state."""
    return shared.best_validation_rate(
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
    rows = shared.train(
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
        "mode_gap": shared.mode_gap(model, data.train),
        "parameters": float(sum(p.numel() for p in model.parameters())),
    }


def fit_and_measure(
    settings: Fitting, build: Build, data: ImageSet, seed: int, context: Context
) -> tuple[nn.Module, dict[str, Any]]:
    """Train an arm and return the network with its metrics."""
    model, rows = fit(settings, build, data, seed, context)
    return model, measure(settings, model, rows, data, context)
