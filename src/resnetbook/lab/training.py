"""Training on Lightning Fabric: one readable loop for CPU, GPU, mixed precision and several devices.

The data lie in memory as tensors. The order of the images in an epoch follows from `(seed, epoch)` alone, so a training
resumes from its checkpoint bit for bit and needs no state of a data loader.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from resnetbook.lab import _accuracy, _checkpoint, _fabric, _inputs, _keep, _processes, _single
from resnetbook.lab._checkpoint import seed_everything
from resnetbook.lab._criterion import Loss
from resnetbook.lab._measure import Measure
from resnetbook.lab.history import History, Row, Scores
from resnetbook.lab.settings import Settings, batches, device, generator, learning_rate

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = [
    "Callback",
    "History",
    "Part",
    "Settings",
    "batches",
    "device",
    "evaluate",
    "fit",
    "learning_rate",
    "seed_everything",
]

Augment = Callable[[Tensor, torch.Generator], Tensor]
_device = device  # `evaluate` has an argument of the same name


class Part(Protocol):
    """Images (N, C, H, W) with labels (N,): `resnetbook.lab.data.Part` or anything with these two tensors.

    Other labels are those that the loss takes: (N, H, W) for each pixel, (N, K) one-hot or several an image.
    """

    @property
    def images(self) -> Tensor: ...  # noqa: D102

    @property
    def labels(self) -> Tensor: ...  # noqa: D102


class Callback:
    """Base of objects that look on while `fit` trains; override either hook."""

    def on_step_end(self, step: int, model: nn.Module, loss: Tensor) -> None:
        """Run after each update; the gradients of the step are still in place. Steps count from 0 over all epochs."""

    def on_epoch_end(self, epoch: int, model: nn.Module, row: Row) -> None:
        """Run after each epoch. Numbers added to `row` stay in the history and, unlike the callback, in the checkpoint."""


def fit(
    model: nn.Module,
    train: Part,
    validation: Part | None = None,
    *,
    settings: Settings | None = None,
    checkpoint: Path | None = None,
    callbacks: Sequence[Any] = (),
    loss: Loss = cross_entropy,
    augment: Augment | None = None,
    progress: bool | str = True,
) -> History:
    """Train `model` in place and return its history, one row for each epoch.

    A row holds epoch, train_loss and train_accuracy (running means over the epoch, in training mode),
    validation_loss and validation_accuracy (where `validation` is given), learning_rate (of the last step), seconds.
    A loss that is not finite ends the training after that epoch: its row stays, `History.diverged` is True.

    Accuracy is the share of right classes, of images or of pixels; with several labels an image (torch's binary
    cross-entropies) the share of right labels. It is left out where it has no meaning, as in a regression.

    Where the last batch would leave one image a device to a model that fails on one image (batch normalisation without
    pixels to average over), it is joined to the batch before; a warning and `History.notes` say so.

    With several devices the callbacks are copies in other processes: what they gather stays there, but for numbers added
    to a row. On this machine they are started anew (so that `loss`, `augment`, callbacks and the model's class must be of a
    module's top level) or, in a notebook and with "ddp_fork", as forks of this one.

    Args:
        model: any module from (N, C, H, W) to what `loss` takes; back on its device and in its mode afterwards, whatever
            ends the training. One with auxiliary outputs says how much their losses count by an attribute `aux_weights`,
            from the outputs' names to weights (GoogLeNet does); its train_loss is the weighted sum, its validation_loss
            that of the main output.
        train: images and labels to learn from.
        validation: images and labels to look at after each epoch.
        settings: `Settings()` when None.
        checkpoint: file written after each epoch (weights, optimiser, random states, history). Where it exists
            the training goes on from it, with the same bits as if it had never stopped; a finished one is only loaded.
        callbacks: objects with `on_step_end` or `on_epoch_end`, see `Callback`.
        loss: function of (outputs, labels); the mean over the batch. It gets all outputs where it takes them.
        augment: function of (images, generator) applied to each training batch.
        progress: True shows a bar where standard error is a terminal; "notebook" asks for a widget; False is silent.

    Raises:
        ValueError: before the first update, with the model as it was: images and labels do not fit together or do not
            suit the model or the loss (type, form, NaN, labels out of range); several outputs that the loss does not take
            and no weights for them; too few images for the devices, or for the model; the device is missing; the
            checkpoint is damaged or belongs to other settings, another model, other initial weights or other data.
    """
    settings = settings or Settings()
    _inputs.check("train", train)
    if validation is not None:
        _inputs.check("validation", validation)
    if progress not in (True, False, "notebook"):
        raise ValueError(f"progress={progress!r}: expected True, False or 'notebook'")
    parts = {"model": model, "train": train, "validation": validation, "loss": loss, "augment": augment}
    strategy = _fabric.strategy(settings)
    _processes.check_can_be_sent(strategy, parts | {"callbacks": tuple(callbacks)})
    note = _single.note_of_last_batch(model, train, settings, loss, augment)
    if note is not None:
        warnings.warn(note, UserWarning, stacklevel=2)
    identity = _identity(model, train, settings, loss, augment) if checkpoint is not None else {}
    job = _Job(
        train, validation, settings, checkpoint, identity, tuple(callbacks), loss, augment, progress, note
    )
    with (
        _keep.modes_and_device(model),
        _checkpoint.own_randomness(settings.seed),
        _fabric.quiet(),
        _fabric.deterministic(),
    ):
        fabric = _fabric.make(settings)
        (history, weights), elsewhere = _processes.launch(fabric, strategy, partial(_train, job=job), model)
        if elsewhere:
            model.load_state_dict(weights)
    return history


@dataclass(frozen=True)
class _Job:
    train: Part
    validation: Part | None
    settings: Settings
    checkpoint: Path | None
    identity: dict[str, Any]
    callbacks: tuple[Any, ...]
    loss: Loss
    augment: Augment | None
    progress: bool | str
    note: str | None  # where the last batch is joined to the one before


def _train(fabric: Fabric, model: nn.Module, job: _Job) -> tuple[History, dict[str, Any]]:
    """Run the loop on one device; `fabric` starts it once for each device."""
    settings = job.settings
    if fabric.world_size > 1:
        seed_everything(settings.seed + fabric.global_rank)
    raw_optimizer = _optimizer(model, settings)
    network, optimizer = fabric.setup(model, raw_optimizer)
    history = _resume(fabric, model, raw_optimizer, job)
    judged = None if job.validation is None else Measure(job.loss, model, "validation", job.validation)
    measure = Measure(job.loss, model, "train", job.train, then=judged)
    images, labels = job.train.images.to(fabric.device), job.train.labels.to(fabric.device)
    join_last = job.note is not None
    in_batches = partial(batches, len(images), settings.batch_size, seed=settings.seed, join_last=join_last)
    steps = math.ceil(len(images) / settings.batch_size) - join_last
    with _fabric.bar(job.progress if fabric.is_global_zero else False, settings.epochs * steps) as bar:
        bar.update(len(history.rows) * steps)

        def update(step: int, x: Tensor, y: Tensor) -> Tensor:
            """Make one update of the weights; return its sums of loss and hits."""
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(settings, step, steps)
            outputs, loss = measure(network, x, y)
            optimizer.zero_grad()
            fabric.backward(loss)
            if settings.clip is not None:
                fabric.clip_gradients(network, optimizer, max_norm=settings.clip, error_if_nonfinite=False)
            optimizer.step()
            _call(job.callbacks, "on_step_end", step, model, loss.detach())
            bar.update()
            return measure.sums(outputs, y, loss)

        while len(history.rows) < settings.epochs and not history.diverged:
            epoch, started = len(history.rows), time.perf_counter()
            noise = generator(settings.seed, epoch, 1 + fabric.global_rank)
            totals = _accuracy.sums_of_nothing(fabric.device)
            network.train()
            for step, batch in enumerate(in_batches(epoch=epoch), start=epoch * steps):
                batch = _share(batch, fabric)
                if len(batch) > 0:
                    x = images[batch] if job.augment is None else job.augment(images[batch], noise)
                    totals += update(step, x, labels[batch])
            found = _accuracy.scores(cast(Tensor, fabric.all_reduce(totals, reduce_op="sum")))
            row: Row = {"epoch": epoch + 1, **{f"train_{name}": value for name, value in found.items()}}
            if judged is not None:
                values = _evaluate(network, judged, fabric.device, 512)
                row |= {f"validation_{name}": value for name, value in values.items()}
            row |= {
                "learning_rate": learning_rate(settings, step, steps),
                "seconds": time.perf_counter() - started,
            }
            history.rows.append(row)
            history.diverged = not math.isfinite(found["loss"])
            _call(job.callbacks, "on_epoch_end", epoch, model, row)
            _save(fabric, model, raw_optimizer, job, history)
            bar.set_postfix_str(", ".join(f"{name} {value:.3g}" for name, value in found.items()))
    return history, model.state_dict()


def evaluate(
    model: nn.Module, part: Part, *, batch_size: int = 512, device: str = "auto", loss: Loss = cross_entropy
) -> dict[str, float]:
    """Return {"loss", "accuracy"} of `model` on `part`, in evaluation mode; the model's mode and device are kept.

    Accuracy is what it is in `fit`, and left out where it has no meaning. Of several outputs the main one is evaluated,
    unless `loss` takes them all.

    Raises:
        ValueError: images and labels do not fit together, or do not suit the model or the loss; a batch size below 1.
    """
    _inputs.check("part", part)
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size}: expected 1 or more")
    target = _device(device)
    with _keep.modes_and_device(model):
        return _evaluate(model.to(target), Measure(loss, model, "part", part), target, batch_size)


def _evaluate(network: nn.Module, measure: Measure, device: torch.device, batch_size: int) -> Scores:
    part, sizes = measure.part, [batch_size] * (len(measure.part.images) // batch_size)
    if rest := len(part.images) - sum(sizes):
        sizes.append(rest)
    if (
        len(sizes) > 1
        and sizes[-1] == 1
        and _single.fails(measure.model, part, measure.criterion.loss, count=1, training=False)
    ):
        sizes[-2:] = [batch_size + 1]  # a normalisation over the batch, in evaluation too
    totals = _accuracy.sums_of_nothing(device)
    with _keep.modes(network), torch.no_grad():
        network.eval()
        for x, y in zip(part.images.split(sizes), part.labels.split(sizes), strict=True):
            x, y = x.to(device), y.to(device)
            outputs, loss = measure(network, x, y)
            totals += measure.sums(outputs, y, loss)
    return _accuracy.scores(totals)


def _share(batch: Tensor, fabric: Fabric) -> Tensor:
    """Return this device's share of a batch; all shares are equal, so a remainder of the batch is left out."""
    whole = len(batch) // fabric.world_size * fabric.world_size
    return batch[fabric.global_rank : whole : fabric.world_size].to(fabric.device)


def _optimizer(model: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.optimizer == "adamw":
        betas = (settings.momentum, 0.999)
        return torch.optim.AdamW(model.parameters(), lr=rate, betas=betas, weight_decay=decay)
    return torch.optim.SGD(model.parameters(), lr=rate, momentum=settings.momentum, weight_decay=decay)


def _identity(
    model: nn.Module, train: Part, settings: Settings, loss: Loss, augment: Augment | None
) -> dict[str, Any]:
    """Return what a checkpoint must agree with before a training goes on from it, by the words for a difference."""
    state = model.state_dict()
    names = {"loss": _name(loss), "augment": _name(augment)}
    return {
        "other settings": {**asdict(settings), "milestones": list(settings.milestones), **names},
        "another model": {name: list(value.shape) for name, value in state.items()},
        "other initial weights (seed torch before the model is made)": _checkpoint.digest(state.values()),
        "other training data": _checkpoint.digest([train.images, train.labels]),
    }


def _name(function: Any) -> str | None:
    return None if function is None else getattr(function, "__qualname__", type(function).__qualname__)


def _resume(fabric: Fabric, model: nn.Module, optimizer: torch.optim.Optimizer, job: _Job) -> History:
    notes = () if job.note is None else (job.note,)
    state = _checkpoint.read(job.checkpoint, job.identity) if job.checkpoint is not None else None
    if state is None:
        return History(notes=notes)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    _checkpoint.set_random_state(state["random"][fabric.global_rank])
    return History(state["rows"], state["diverged"], notes)


def _save(
    fabric: Fabric, model: nn.Module, optimizer: torch.optim.Optimizer, job: _Job, history: History
) -> None:
    if job.checkpoint is None:
        return
    states: list[Any] = [_checkpoint.random_state()]
    if fabric.world_size > 1:
        states *= fabric.world_size
        torch.distributed.all_gather_object(states, _checkpoint.random_state())
    if fabric.is_global_zero:
        content = {"identity": job.identity, "rows": history.rows, "diverged": history.diverged}
        content |= {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "random": states}
        _checkpoint.write(job.checkpoint, content)
    fabric.barrier()


def _call(callbacks: Sequence[Any], hook: str, *arguments: Any) -> None:
    for callback in callbacks:
        function = getattr(callback, hook, None)
        if function is not None:
            function(*arguments)
