"""Training the arms of an experiment: settings, the images that a seed draws, one arm trained, scored and measured.

An experiment derives its `Settings` from `Fitting`, says in `network(settings, arm, data)` how an arm is built, and adds its
own metrics to those of `fit_and_measure`. Within a seed all arms see the same training images in the same order; seeds differ
in first weights, order and training images. Each arm takes its best rate twice: the one with the lowest training loss for what
is read on training images, the one with the lowest validation loss for what is read on test images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from torch import nn

from resnetbook.lab import measuring, training
from resnetbook.lab.data import ImageSet, draw, load, redrawn
from resnetbook.lab.running.experiment import Context, Experiment

Build = Callable[[ImageSet], nn.Module]
READS = ("train_loss", "validation_loss")


@dataclass(frozen=True)
class Fitting:
    """The set and how long and how an arm is trained; `rates` is the grid from which the runner goes on where it must."""

    data: str = "digits"
    size: int = 0  # side in pixels; 0: as stored
    train_size: int = 0  # training images; 0: as many as the set's own split has
    epochs: int = 12
    warmup_epochs: int = 1
    batch_size: int = 64
    rates: tuple[float, ...] = (0.015, 0.05, 0.15)
    target_loss: float = 0.1
    target_accuracy: float = 0.95


@lru_cache(maxsize=2)
def _stored(name: str, size: int) -> ImageSet:
    return load(name, size=size or None, normalise=False)


def images_of(settings: Any, seed: int) -> ImageSet:
    """Load the set at the size asked for, with the training images that `seed` draws; test images never change.

    Settings with a `validation_size` above 0 use no more validation images than that.
    """
    data = redrawn(_stored(settings.data, settings.size), seed, train_size=settings.train_size or None)
    most = getattr(settings, "validation_size", 0)
    return (
        data if not 0 < most < len(data.validation) else replace(data, validation=draw(data.validation, most))
    )


def describe(settings: Any) -> dict[str, str]:
    """Return what a record says of its data."""
    return describe_set(images_of(settings, 0))


def describe_set(data: ImageSet) -> dict[str, str]:
    """Return what a record says of a set."""
    return {"name": data.name, "checksum": data.checksum, "split": data.split}


def train(
    model: nn.Module,
    data: ImageSet,
    settings: Any,
    *,
    rate: float,
    seed: int,
    device: str = "auto",
    schedule: str = "step",
    checkpoint: Path | None = None,
    callbacks: Sequence[Any] = (),
) -> training.History:
    """Train `model` in place on `data.train` with SGD and return the history, validation in every epoch."""
    how = training.Settings(
        epochs=settings.epochs,
        learning_rate=rate,
        batch_size=settings.batch_size,
        warmup_epochs=settings.warmup_epochs,
        schedule=schedule,
        seed=seed,
        device=device,
    )
    return training.fit(
        model,
        data.train,
        data.validation,
        settings=how,
        checkpoint=checkpoint,
        callbacks=callbacks,
        progress=False,
    )


def score(
    settings: Any, build: Build, seed: int, context: Context, *, callbacks: Sequence[Any] = ()
) -> dict[str, float]:
    """Train at the rate that is tried; return what may choose it: training loss (in eval mode) and validation loss."""
    data = images_of(settings, seed)
    training.seed_everything(seed)
    model = build(data)
    rate = float(context.tuned["learning_rate"])
    history = train(model, data, settings, rate=rate, seed=seed, device=context.device, callbacks=callbacks)
    if history.diverged:
        return dict.fromkeys(READS, math.nan)
    found = (training.evaluate(model, part, device=context.device) for part in (data.train, data.validation))
    return dict(zip(READS, (each["loss"] for each in found), strict=True))


def rate_for(reads: str, context: Context) -> float:
    """Return the rate that was chosen by `reads` ("train_loss" or "validation_loss"), or the only one there is."""
    return float(context.tuned.get("chosen", {}).get(reads, context.tuned["learning_rate"]))


def fit(
    settings: Any,
    build: Build,
    data: ImageSet,
    seed: int,
    context: Context,
    *,
    reads: str = "validation_loss",
    callbacks: Sequence[Any] = (),
) -> tuple[nn.Module, list[dict[str, Any]]]:
    """Train `build(data)` with the rate chosen by `reads`; return it with its rows, which hold eval_loss and eval_accuracy.

    A training that diverged ends early: the rows that are missing are empty.
    """
    training.seed_everything(seed)
    model = build(data)
    rows = train(
        model,
        data,
        settings,
        rate=rate_for(reads, context),
        seed=seed,
        device=context.device,
        checkpoint=context.checkpoint_for(reads),
        callbacks=(Watch(data, context.device), *callbacks),
    ).rows
    return model, [*rows, *[{}] * (settings.epochs - len(rows))]


def trained_metrics(settings: Any, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what the rows of a training say, all in eval mode on the whole training part.

    train_loss, train_accuracy: at the end. train_curve, validation_curve: training loss and validation accuracy after each
    epoch. epochs_to_loss, epochs_to_accuracy: first epoch at the target, restricted to the epochs trained; the companions
    epochs_to_loss_reached and epochs_to_accuracy_reached are 1 where the target was reached, else 0.
    """
    losses, accuracies, validation = (
        [float(row.get(name, math.nan)) for row in rows]
        for name in ("eval_loss", "eval_accuracy", "validation_accuracy")
    )
    return {
        "train_loss": losses[-1],
        "train_accuracy": accuracies[-1],
        "train_curve": losses,
        "validation_curve": validation,
        **first_epoch("epochs_to_loss", losses, lambda value: value <= settings.target_loss),
        **first_epoch("epochs_to_accuracy", validation, lambda value: value >= settings.target_accuracy),
    }


def tested_metrics(model: nn.Module, data: ImageSet, device: str) -> dict[str, Any]:
    """Return test_loss, test_accuracy and each test image's outcome (`outcomes`, for the interval over images)."""
    found = training.evaluate(model, data.test, device=device)
    right = measuring.right(model, data.test.images, data.test.labels)
    return {
        "test_loss": found["loss"],
        "test_accuracy": float(right.float().mean()),
        "outcomes": {"test_accuracy": right},
    }


def fit_and_measure(
    settings: Any,
    build: Build,
    seed: int,
    context: Context,
    *,
    callbacks: Sequence[Any] = (),
    every: Sequence[Any] = (),
) -> tuple[nn.Module, dict[str, Any]]:
    """Train an arm; return the network of the validation loss's rate and the arm's metrics.

    `callbacks` look on at the training of that network, `every` at the training loss's rate's too.

    Beside `trained_metrics` (of the training loss's rate) and `tested_metrics` (of the validation loss's rate): gap, training
    minus test accuracy of the latter; mode_gap, how far its training accuracy with batch statistics is from that in eval mode
    (large: an artefact of batch normalisation); parameters. Where both rates are one, one training serves both.
    """
    data = images_of(settings, seed)
    model, rows = fit(settings, build, data, seed, context, callbacks=(*callbacks, *every))
    tested = tested_metrics(model, data, context.device)
    gap = float(rows[-1].get("eval_accuracy", math.nan)) - tested["test_accuracy"]
    if rate_for(READS[0], context) != rate_for(READS[1], context):
        _, rows = fit(settings, build, data, seed, context, reads=READS[0], callbacks=every)
    return model, {
        **trained_metrics(settings, rows),
        **tested,
        "gap": gap,
        "mode_gap": measuring.mode_gap(model, data.train),
        "parameters": float(sum(p.numel() for p in model.parameters())),
    }


Network = Callable[[Any, str, ImageSet], nn.Module]


def experiment(
    module: str, title: str, *, claims: Sequence[str], network: Network, run: Any = None, **more: Any
) -> Experiment:
    """Return the experiment of a module that trains one network for each arm.

    Args:
        module: the module's `__name__`.
        title: one line.
        claims: ids of the claims that it decides.
        network: function of (settings, arm, data): the network of an arm.
        run: what a job does; by default it trains the arm's network and measures it (`fit_and_measure`).
        **more: scales, arms and what else `Experiment` takes.
    """
    given = {"data": describe, "score": partial(_score, network), **more}
    return Experiment(
        name=module.rpartition(".")[2],
        title=title,
        claims=tuple(claims),
        run=run or partial(_run, network),
        module=module,
        **given,
    )


def _run(network: Network, settings: Any, arm: str, seed: int, context: Context) -> dict[str, Any]:
    return fit_and_measure(settings, partial(network, settings, arm), seed, context)[1]


def _score(network: Network, settings: Any, arm: str, seed: int, context: Context) -> dict[str, float]:
    return score(settings, partial(network, settings, arm), seed, context)


class Watch:
    """After each epoch: loss and accuracy on the training set in eval mode, added to the epoch's row."""

    def __init__(self, data: ImageSet, device: str):
        self.data, self.device = data, device

    def on_epoch_end(self, epoch: int, model: nn.Module, row: dict[str, Any]) -> None:
        """Evaluate on the training set."""
        found = training.evaluate(model, self.data.train, device=self.device)
        row["eval_loss"], row["eval_accuracy"] = found["loss"], found["accuracy"]


def first_epoch(name: str, values: Sequence[float], reached: Callable[[float], bool]) -> dict[str, float]:
    """Return the first epoch whose value is `reached` as `name`, and whether there was one as `name`_reached.

    Where there is none the time is restricted to the epochs that were trained: its mean is the area under the curve of those
    that have not reached the target yet, up to there.
    """
    epoch = next((number for number, value in enumerate(values, 1) if reached(value)), None)
    return {name: float(epoch or len(values)), f"{name}_reached": float(epoch is not None)}
