"""Training on Lightning Fabric: one readable loop for CPU, GPU, mixed precision and several devices.

The data lie in memory as tensors. The order of the images in an epoch follows from `(seed, epoch)` alone, so a training
resumes from its checkpoint bit for bit and needs no state of a data loader.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from resnetbook.lab import _checkpoint, _fabric
from resnetbook.lab._checkpoint import seed_everything
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

Loss = Callable[[Tensor, Tensor], Tensor]
Augment = Callable[[Tensor, torch.Generator], Tensor]
Row = dict[str, float]
_device = device  # `evaluate` has an argument of the same name


class Part(Protocol):
    """Images (N, C, H, W) with labels (N,): `resnetbook.lab.data.Part` or anything with these two tensors."""

    @property
    def images(self) -> Tensor: ...  # noqa: D102

    @property
    def labels(self) -> Tensor: ...  # noqa: D102


@dataclass
class History:
    """What a training did: one row for each epoch; `diverged` where the loss stopped being a number."""

    rows: list[Row] = field(default_factory=list)
    diverged: bool = False

    def __getitem__(self, name: str) -> np.ndarray:
        """Return the column `name`, shape (epochs,); NaN where a row has no such value."""
        if not any(name in row for row in self.rows):
            known = ", ".join(self.rows[0]) if self.rows else "none: no epoch was trained"
            raise ValueError(f"name={name!r}: expected one of the columns {known}")
        return np.array([row.get(name, math.nan) for row in self.rows])

    @property
    def last(self) -> Row:
        """Return the row of the last epoch."""
        return self.rows[-1]

    def table(self) -> str:
        """Return the rows as text, one line for each epoch, to print."""
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        lines = ["  ".join(names)]
        for row in self.rows:
            lines.append("  ".join(f"{row.get(name, math.nan):>{len(name)}.4g}" for name in names))
        return "\n".join([*lines, *(["diverged: the loss is not a number"] if self.diverged else [])])


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

    Args:
        model: any module from (N, C, H, W) to what `loss` takes; back on its device and in its mode afterwards.
        train: images and labels to learn from.
        validation: images and labels to look at after each epoch.
        settings: `Settings()` when None.
        checkpoint: file written after each epoch (weights, optimiser, random states, history). Where it exists
            the training goes on from it, with the same bits as if it had never stopped; a finished one is only loaded.
        callbacks: objects with `on_step_end` or `on_epoch_end`, see `Callback`.
        loss: function of (outputs, labels); the mean over the batch.
        augment: function of (images, generator) applied to each training batch.
        progress: True shows a bar where standard error is a terminal; "notebook" asks for a widget; False is silent.

    Raises:
        ValueError: images and labels do not fit together, the device is missing, or the checkpoint is damaged or
            belongs to other settings, another model, other initial weights or other data.
    """
    settings = settings or Settings()
    for name, part in [("train", train), *([("validation", validation)] if validation is not None else [])]:
        _check(name, part)
    if progress not in (True, False, "notebook"):
        raise ValueError(f"progress={progress!r}: expected True, False or 'notebook'")
    home, modes = _device_of(model), [(m, m.training) for m in model.modules()]
    identity = _identity(model, train, settings, loss, augment) if checkpoint is not None else {}
    job = _Job(train, validation, settings, checkpoint, identity, tuple(callbacks), loss, augment, progress)
    with _checkpoint.own_randomness(settings.seed), _fabric.quiet(), _fabric.deterministic():
        history, weights = _fabric.make(settings).launch(partial(_train, job=job), model)
    if weights is not None:  # several devices: the trained weights come from another copy
        model.load_state_dict(_checkpoint.unpack(weights))
    model.to(home)
    for module, mode in modes:
        module.training = mode
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


def _train(fabric: Fabric, model: nn.Module, job: _Job) -> tuple[History, bytes | None]:
    """Run the loop on one device; `fabric` starts it once for each device."""
    settings, several = job.settings, fabric.world_size > 1
    if several:
        seed_everything(settings.seed + fabric.global_rank)
    raw_optimizer = _optimizer(model, settings)
    network, optimizer = fabric.setup(model, raw_optimizer)
    history = _resume(fabric, model, raw_optimizer, job)
    images, labels = job.train.images.to(fabric.device), job.train.labels.to(fabric.device)
    steps = math.ceil(len(images) / settings.batch_size)
    with _fabric.bar(job.progress if fabric.is_global_zero else False, settings.epochs * steps) as bar:
        bar.update(len(history.rows) * steps)

        def update(step: int, x: Tensor, y: Tensor) -> Tensor:
            """Make one update of the weights; return its sums of loss and hits."""
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(settings, step, steps)
            outputs = network(x)
            loss = job.loss(outputs, y)
            optimizer.zero_grad()
            fabric.backward(loss)
            if settings.clip is not None:
                fabric.clip_gradients(network, optimizer, max_norm=settings.clip, error_if_nonfinite=False)
            optimizer.step()
            _call(job.callbacks, "on_step_end", step, model, loss.detach())
            bar.update()
            return _sums(outputs, y, loss)

        while len(history.rows) < settings.epochs and not history.diverged:
            epoch, started = len(history.rows), time.perf_counter()
            order = batches(len(images), settings.batch_size, seed=settings.seed, epoch=epoch)
            noise = generator(settings.seed, epoch, 1 + fabric.global_rank)
            totals = _sums_of_nothing(fabric.device)
            network.train()
            for step, batch in enumerate(order, start=epoch * steps):
                batch = _share(batch, fabric)
                if len(batch) > 0:
                    x = images[batch] if job.augment is None else job.augment(images[batch], noise)
                    totals += update(step, x, labels[batch])
            mean_loss, accuracy = _means(cast(Tensor, fabric.all_reduce(totals, reduce_op="sum")))
            row = {"epoch": epoch + 1, "train_loss": mean_loss, "train_accuracy": accuracy}
            if job.validation is not None:
                values = _evaluate(network, job.validation, fabric.device, job.loss, 512)
                row |= {f"validation_{name}": value for name, value in values.items()}
            row |= {
                "learning_rate": learning_rate(settings, step, steps),
                "seconds": time.perf_counter() - started,
            }
            history.rows.append(row)
            history.diverged = not math.isfinite(mean_loss)
            _call(job.callbacks, "on_epoch_end", epoch, model, row)
            _save(fabric, model, raw_optimizer, job, history)
            bar.set_postfix_str(f"loss {mean_loss:.3g}, accuracy {accuracy:.3f}")
    return history, _checkpoint.pack(model.state_dict()) if several else None


def evaluate(
    model: nn.Module, part: Part, *, batch_size: int = 512, device: str = "auto", loss: Loss = cross_entropy
) -> dict[str, float]:
    """Return {"loss", "accuracy"} of `model` on `part`, in evaluation mode; the model's mode and device are kept."""
    _check("part", part)
    home = _device_of(model)
    target = _device(device)
    result = _evaluate(model.to(target), part, target, loss, batch_size)
    model.to(home)
    return result


def _evaluate(
    network: nn.Module, part: Part, device: torch.device, loss: Loss, batch_size: int
) -> dict[str, float]:
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    totals = _sums_of_nothing(device)
    with torch.no_grad():
        for x, y in zip(part.images.split(batch_size), part.labels.split(batch_size), strict=True):
            x, y = x.to(device), y.to(device)
            outputs = network(x)
            totals += _sums(outputs, y, loss(outputs, y))
    for module, mode in modes:
        module.training = mode
    mean_loss, accuracy = _means(totals)
    return {"loss": mean_loss, "accuracy": accuracy}


def _sums_of_nothing(device: torch.device) -> Tensor:
    """Return zeros for the sums of loss, hits, places judged and images (4,)."""
    return torch.zeros(4, dtype=torch.float32 if device.type == "mps" else torch.float64, device=device)


def _sums(outputs: Tensor, labels: Tensor, loss: Tensor) -> Tensor:
    """Return the batch's sums of loss, hits, places judged and images, without waiting for the GPU."""
    # Class scores (N, K, ...) for integer labels (N, ...): one place an image, or one a pixel. Else no accuracy.
    judged = not labels.is_floating_point() and outputs.ndim == labels.ndim + 1
    hits = (outputs.detach().argmax(1) == labels).sum() if judged else torch.zeros((), device=loss.device)
    places, images = labels.numel() if judged else 0, len(labels)
    return torch.stack([loss.detach() * images, hits, hits.new_tensor(places), hits.new_tensor(images)])


def _means(totals: Tensor) -> tuple[float, float]:
    loss, hits, places, images = totals.tolist()
    return loss / images, hits / places if places else math.nan


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
    state = _checkpoint.read(job.checkpoint, job.identity) if job.checkpoint is not None else None
    if state is None:
        return History()
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    _checkpoint.set_random_state(state["random"][fabric.global_rank])
    return History(state["rows"], state["diverged"])


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


def _check(name: str, part: Part) -> None:
    images, labels = part.images, part.labels
    if images.ndim < 2 or len(images) == 0 or len(images) != len(labels):
        shapes = f"images {tuple(images.shape)} and labels {tuple(labels.shape)}"
        raise ValueError(f"{name}: {shapes}; expected (N, C, H, W) and (N,) with the same N of at least 1")


def _device_of(model: nn.Module) -> torch.device:
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def _call(callbacks: Sequence[Any], hook: str, *arguments: Any) -> None:
    for callback in callbacks:
        function = getattr(callback, hook, None)
        if function is not None:
            function(*arguments)
