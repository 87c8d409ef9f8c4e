"""What a training or an evaluation refuses before it begins: images and labels of another form, NaN, labels out of range."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from resnetbook.lab._criterion import Kind


def check(name: str, part: Any) -> None:
    """Refuse a part that is not two tensors of the same N with finite images.

    Raises:
        ValueError: names the part, what was found and what was expected.
    """
    images: Any = getattr(part, "images", None)
    labels: Any = getattr(part, "labels", None)
    for field, value in (("images", images), ("labels", labels)):
        if not isinstance(value, Tensor):
            kind = type(part if value is None else value).__name__
            raise ValueError(f"{name}: its {field}: expected a torch.Tensor, found {kind}")
    if images.ndim < 2 or labels.ndim < 1 or len(images) == 0 or len(images) != len(labels):
        shapes = f"images {tuple(images.shape)} and labels {tuple(labels.shape)}"
        raise ValueError(f"{name}: {shapes}; expected (N, C, H, W) and (N,) with the same N of at least 1")
    check_finite(name, "images", images)


def check_finite(name: str, field: str, values: Tensor) -> None:
    """Refuse NaN and infinite values."""
    # A sum is quick and needs no memory; where it leaves the range of numbers, each value is looked at.
    if not values.is_floating_point() or bool(values.sum().isfinite()):
        return
    rows = values.reshape(len(values), -1).split(512)
    bad = torch.cat([~chunk.isfinite().all(1) for chunk in rows])
    if bool(bad.any()):
        first, count = int(bad.nonzero()[0]), int(bad.sum())
        raise ValueError(
            f"{name}: {count} of {len(values)} {field} hold NaN or infinite values, the first at index {first}; "
            "expected finite numbers"
        )


def check_labels(name: str, labels: Tensor, kind: Kind, outputs: Tensor | None) -> None:
    """Refuse labels that the loss would take and get wrong, or take at some batch only.

    Args:
        name: of the part.
        labels: of all its images.
        kind: of the loss.
        outputs: the main output for some images.

    Raises:
        ValueError: names the part, what was found and what was expected.
    """
    if kind.from_torch:
        check_finite(name, "labels", labels)
    if outputs is None or not kind.takes:
        return
    if not labels.is_floating_point():
        if kind.takes == "classes" and outputs.ndim == labels.ndim + 1:
            counted = labels[labels != kind.ignored]
            classes = outputs.shape[1]
            if counted.numel() and (int(counted.min()) < 0 or int(counted.max()) >= classes):
                found = f"labels from {int(counted.min())} to {int(counted.max())}"
                raise ValueError(
                    f"{name}: {found}; expected 0 to {classes - 1}, since the model has {classes} outputs"
                )
    elif outputs.shape[1:] == labels.shape[1:] and (float(labels.min()) < 0 or float(labels.max()) > 1):
        found = f"labels from {float(labels.min()):g} to {float(labels.max()):g}"
        raise ValueError(f"{name}: {found}; expected 0 to 1 for the loss {kind.name}")
    elif kind.takes == "classes" and outputs.shape == (len(outputs), *labels.shape[1:]) and labels.ndim > 1:
        total = labels.sum(1, dtype=torch.float32)
        # A softmax would share one image's probability among its labels, without a word.
        if bool(((total - 1).abs() > 0.01).any()):
            raise ValueError(
                f"{name}: labels {form(labels)} that add up to {float(total.min()):g} to {float(total.max()):g}; "
                f"expected 1 for the loss {kind.name} (one-hot or probabilities), or, for several labels an image, "
                "loss=torch.nn.functional.binary_cross_entropy_with_logits"
            )


def wrong_dtype(name: str, images: Tensor, model: nn.Module) -> ValueError | None:
    """Return what to say where a model did not take images of another type than its weights; None for the same type."""
    weights = next((p.dtype for p in model.parameters() if p.is_floating_point()), images.dtype)
    if images.dtype == weights:
        return None
    remedy = "images.float() / 255" if images.dtype == torch.uint8 else f"images.to({weights})"
    return ValueError(
        f"{name}: images of {images.dtype}; expected {weights}, as the model's weights, such as {remedy}"
    )


def wrong_labels(name: str, labels: Tensor, kind: Kind, outputs: Any, error: BaseException) -> ValueError:
    """Return what to say where torch's loss did not take the labels."""
    found = f"{form(labels)} of {labels.dtype}"
    wanted = "the outputs' form" if isinstance(error, UserWarning) else "labels that it takes"
    if isinstance(outputs, Tensor):
        found += f" with outputs {form(outputs)} of {outputs.dtype}"
        if kind.takes == "classes" and outputs.ndim > 1:
            classes = f"{form(outputs[:, 0])} of torch.int64, 0 to {outputs.shape[1] - 1}"
            wanted = f"{classes}, or {form(outputs)} of floats (one-hot or probabilities)"
        elif kind.takes:
            wanted = f"{form(outputs)} of floats from 0 to 1"
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    return ValueError(f"{name}: labels {found}; expected for the loss {kind.name}: {wanted} (torch: {said})")


def form(tensor: Tensor) -> str:
    """Return the shape with N for the number of images."""
    sizes = [str(size) for size in tensor.shape[1:]]
    return f"(N, {', '.join(sizes)})" if sizes else "(N,)" if tensor.ndim else "()"
