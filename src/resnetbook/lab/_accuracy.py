"""What counts as a hit, and the sums behind mean loss and accuracy."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from resnetbook.lab._criterion import Kind
from resnetbook.lab.history import Scores

Judge = Callable[
    [Tensor, Tensor], tuple[Tensor, int | Tensor]
]  # of (outputs, labels): hits and places judged


def judge_of(kind: Kind, outputs: Tensor | None, *labels: Tensor) -> Judge | None:
    """Return what counts hits and places judged; None where accuracy has no meaning.

    Classes: the largest score against the label, one place an image, or one a pixel; labels may be one-hot, with
    cross-entropy also probabilities. Several labels an image: each is a place, where the loss is torch's and so says
    whether 0 or .5 parts yes from no. Regression, and a single score under another loss, have no accuracy.

    Args:
        kind: of the loss.
        outputs: the main output for some images.
        labels: of all images, tensors of equal form.
    """
    one = labels[0]
    if outputs is None:
        return None
    if not one.is_floating_point() and outputs.ndim == one.ndim + 1:
        if outputs.shape[1] == 1 and kind.takes != "classes":
            return None
        with_ignored = kind.takes == "classes" and any(bool((y == kind.ignored).any()) for y in labels)
        return partial(_classes_but, ignored=kind.ignored) if with_ignored else _classes
    if outputs.ndim != one.ndim or outputs.shape[1:] != one.shape[1:]:
        return None
    if kind.takes in ("logits", "shares"):
        return partial(_each_label, threshold=0.0 if kind.takes == "logits" else 0.5)
    several = one.ndim > 1 and one.shape[1] > 1 and one.is_floating_point()
    return _largest if several and all(_one_hot(kind, y) for y in labels) else None


def _one_hot(kind: Kind, labels: Tensor) -> bool:
    adds_up = bool(((labels.sum(1) - 1).abs() < 1e-3).all())
    return adds_up and (kind.takes == "classes" or bool(((labels == 0) | (labels == 1)).all()))


def _classes(outputs: Tensor, labels: Tensor) -> tuple[Tensor, int]:
    return (outputs.argmax(1) == labels).sum(), labels.numel()


def _classes_but(outputs: Tensor, labels: Tensor, ignored: int) -> tuple[Tensor, Tensor]:
    counted = labels != ignored
    return ((outputs.argmax(1) == labels) & counted).sum(), counted.sum()


def _largest(outputs: Tensor, labels: Tensor) -> tuple[Tensor, int]:
    right = outputs.argmax(1) == labels.argmax(1)
    return right.sum(), right.numel()


def _each_label(outputs: Tensor, labels: Tensor, threshold: float) -> tuple[Tensor, int]:
    return ((outputs > threshold) == (labels > 0.5)).sum(), labels.numel()


def sums_of_nothing(device: torch.device) -> Tensor:
    """Return zeros for the sums of loss, hits, places judged and images (4,)."""
    return torch.zeros(4, dtype=torch.float32 if device.type == "mps" else torch.float64, device=device)


def sums(judge: Judge | None, outputs: Tensor | None, labels: Tensor, loss: Tensor) -> Tensor:
    """Return the batch's sums of loss, hits, places judged and images, without waiting for the GPU."""
    images = len(labels)
    hits: Tensor = torch.zeros((), device=loss.device)
    places: int | Tensor = 0
    if judge is not None and outputs is not None:
        hits, places = judge(outputs.detach(), labels)
    counted = places if isinstance(places, Tensor) else hits.new_tensor(places)
    return torch.stack([loss.detach() * images, hits, counted, hits.new_tensor(images)])


def scores(totals: Tensor) -> Scores:
    """Return the mean loss, and the accuracy where anything was judged."""
    loss, hits, places, images = totals.tolist()
    return Scores({"loss": loss / images} | ({"accuracy": hits / places} if places else {}))
