"""Handwritten digits, 8 x 8, from scikit-learn: real images that need no download."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from resnetbook.lab.data.cards import card
from resnetbook.lab.data.files import DataMissing
from resnetbook.lab.data.resampling import said
from resnetbook.lab.data.sets import ImageSet, Part, stratified

SIZES = (1000, 200, 597)


def on_canvas(images: Tensor, size: int | None, canvas: int | None) -> Tensor:
    """Enlarge images to `size` pixels (bilinear) and centre them on a dark canvas of `canvas` pixels.

    Args:
        images: (N, C, H, W), H = W, dark background of value 0.
        size: side of the enlarged image; None keeps it.
        canvas: side of the canvas; None means `size`.

    Raises:
        ValueError: a side is not positive, or the canvas is smaller than the image.
    """
    side = images.shape[-1] if size is None else size
    if side < 1:
        raise ValueError(f"size={size}: expected a positive number of pixels")
    if canvas is not None and canvas < side:
        raise ValueError(f"canvas={canvas}: expected at least the image's {side} pixels")
    if side != images.shape[-1]:
        images = functional.interpolate(
            images, size=(side, side), mode="bilinear", align_corners=False, antialias=side < images.shape[-1]
        )
    margin = (canvas or side) - side
    before = margin // 2
    return functional.pad(images, (before, margin - before, before, margin - before))


def digits(*, size: int | None = None, canvas: int | None = None) -> ImageSet:
    """The 1,797 digits in 1000 / 200 / 597, stratified, the same split always (seed 0); values in [0, 1].

    Raises:
        ValueError: `size` or `canvas` is not usable (see `on_canvas`).
        DataMissing: scikit-learn carries other images than the known ones.
    """
    from sklearn.datasets import load_digits

    entry = card("digits")
    bunch = load_digits()
    raw = bunch.images.astype(np.uint8).tobytes() + bunch.target.astype(np.uint8).tobytes()
    if hashlib.sha256(raw).hexdigest() != entry.sha256:
        raise DataMissing(
            "data set 'digits' in the installed scikit-learn is not the one that the book knows"
        )
    images = torch.from_numpy((bunch.images / 16.0).astype(np.float32))[:, None]
    whole = Part(on_canvas(images, size, canvas), torch.from_numpy(bunch.target.astype(np.int64)))
    train, validation, test = (whole.subset(chosen) for chosen in stratified(bunch.target, SIZES, seed=0))
    return ImageSet(
        "digits",
        train,
        validation,
        test,
        classes=tuple(str(digit) for digit in range(10)),
        checksum=entry.sha256,
        split=said("1000 / 200 / 597 images, stratified by class, seed 0; writers are unknown", 8, size),
        licence=entry.licence,
        attribution=entry.attribution,
    )
