"""Data for experiments: `load` for images with labels; a loader of its own for each set with masks or boxes.

>>> from resnetbook.lab import data
>>> digits = data.load("digits")
>>> digits.train.images.shape
torch.Size([1000, 1, 8, 8])
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from typing import Any

from resnetbook.lab.data import transforms
from resnetbook.lab.data.cards import Card, DataFile, attribution, card, cards
from resnetbook.lab.data.cifar10 import cifar10
from resnetbook.lab.data.classification import cifar10_jpeg, mednist_small, wbc
from resnetbook.lab.data.detection import bccd
from resnetbook.lab.data.digits import digits, on_canvas
from resnetbook.lab.data.files import DataMissing, available, cache_dir, fetch, find
from resnetbook.lab.data.medmnist import medmnist, sizes_here
from resnetbook.lab.data.medmnist_facts import facts
from resnetbook.lab.data.packaged import Picture, dicom, mni152, mni152_tissues, picture
from resnetbook.lab.data.redrawing import redrawn
from resnetbook.lab.data.resampling import check_size
from resnetbook.lab.data.segmentation import (
    chase_db1,
    dsb2018_fluo,
    isbi2012_em,
    sunnybrook_lv,
    wbc_masks,
)
from resnetbook.lab.data.sets import (
    DetectionPart,
    ImageSet,
    Part,
    PartedSet,
    SegmentationPart,
    draw,
    drawn_from,
    image_hashes,
    shared,
    standardise,
    standardise_each,
    stratified,
)
from resnetbook.lab.data.volumes import adrenalmnist3d, hippocampus

__all__ = [
    "Card",
    "DataFile",
    "DataMissing",
    "DetectionPart",
    "ImageSet",
    "Part",
    "PartedSet",
    "Picture",
    "SegmentationPart",
    "adrenalmnist3d",
    "attribution",
    "available",
    "bccd",
    "cache_dir",
    "card",
    "cards",
    "chase_db1",
    "dicom",
    "draw",
    "dsb2018_fluo",
    "fetch",
    "find",
    "hippocampus",
    "image_hashes",
    "isbi2012_em",
    "load",
    "medmnist",
    "mni152",
    "mni152_tissues",
    "on_canvas",
    "picture",
    "redrawn",
    "shared",
    "sizes_here",
    "standardise",
    "standardise_each",
    "stratified",
    "sunnybrook_lv",
    "transforms",
    "wbc_masks",
]

_LOADERS: dict[str, Callable[..., ImageSet]] = {
    "digits": digits,
    "wbc": wbc,
    "mednist_small": mednist_small,
    "cifar10": cifar10,
    "cifar10_jpeg": cifar10_jpeg,
    **{name: partial(medmnist, name) for name in facts()},
}
_OPTIONS = {"digits": {"canvas"}, **{name: {"deduplicate", "resample"} for name in facts()}}


def load(
    name: str,
    *,
    size: int | None = None,
    train_size: int | None = None,
    seed: int = 0,
    normalise: bool = True,
    **options: Any,
) -> ImageSet:
    """Load a classification set in its fixed split.

    Args:
        name: digits, wbc, mednist_small, cifar10, cifar10_jpeg, or a set of MedMNIST such as bloodmnist or organmnist3d.
        size: side of the images in pixels; None keeps the set's own (wbc: 32; MedMNIST: 28). MedMNIST's published sizes,
            28, 64, 128 and 224 pixels or 28 and 64 voxels, come from files of their own. `split` says what was resampled.
        train_size: draw that many training images, stratified; None keeps all.
        seed: of that drawing alone; the split itself never changes.
        normalise: standardise by the mean and deviation of the training images; else values in [0, 1].
        **options: `canvas` (digits); `deduplicate`, `resample` (MedMNIST: see `medmnist`).

    Raises:
        ValueError: no such set, size or option.
        DataMissing: the set is not on this machine.
    """
    if name not in _LOADERS:
        raise ValueError(f"name={name!r}: expected one of {', '.join(_LOADERS)}{_meant(name)}")
    known = _OPTIONS.get(name, set())
    for option in options:
        if option not in known:
            raise ValueError(
                f"{option}: not an option of {name!r}, expected one of {sorted(known) or 'none'}"
            )
    check_size(size)
    given = options if size is None else {"size": size, **options}
    if name in facts():  # some are too large to be drawn from after they were decoded
        data = medmnist(name, train_size=train_size, seed=seed, **given)
    else:
        data = _LOADERS[name](**given)
        if train_size is not None:
            train = draw(data.train, train_size, seed=seed)
            data = replace(data, train=train, split=drawn_from(data.split, data.task, train_size, seed))
    return standardise(data) if normalise else data


def _meant(name: str) -> str:
    """What was probably meant by an unknown name, for the message."""
    stem, _, size = str(name).lower().rpartition("_")
    if size.isdigit() and int(size) in getattr(facts().get(stem), "sizes", ()):
        return f"; that size is load({stem!r}, size={size})"
    near = get_close_matches(str(name).lower(), _LOADERS, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
