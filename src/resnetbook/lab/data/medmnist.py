"""The 18 sets of MedMNIST v2: images and volumes with one label, several labels or a grade, in every published size.

Source: J. Yang et al., Scientific Data 10:41, 2023. A published size is read from its own file. Where that file is not
here the answer is an error, not another file's images enlarged: `resample=True` asks for those. A size that is not
published can only be resampled, so to ask for one is to ask for that, and the set's `split` says from what.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from resnetbook.lab.data.cards import card
from resnetbook.lab.data.files import DataMissing, checksum, find, located
from resnetbook.lab.data.medmnist_facts import Facts, facts
from resnetbook.lab.data.resampling import check_size, resized, resized_volumes, said
from resnetbook.lab.data.sets import ImageSet, Part, chosen, drawn_from, image_hashes

PARTS = ("train", "val", "test")
# Sets whose volumes are shapes and nothing else: a voxel is inside or outside.
SHAPES = ("adrenalmnist3d",)


def medmnist(
    name: str,
    *,
    size: int | None = None,
    resample: bool = False,
    deduplicate: bool | None = None,
    train_size: int | None = None,
    seed: int = 0,
) -> ImageSet:
    """Load one set of MedMNIST in its official split, values in [0, 1].

    Images are (N, C, size, size), volumes (N, 1, size, size, size), C being 1 or 3. Labels are (N,) int64; of a multi-label
    set (N, labels) float32 of 0 and 1; grades of an ordinal set are integers in their order. `ImageSet.task` names which.

    Args:
        name: a name of `facts()`, such as "bloodmnist".
        size: 28, 64, 128 or 224 pixels; 28 or 64 voxels; None means 28. Another number of pixels is resampled from the
            next larger file that is here, else from the largest.
        resample: where the file of `size` is not here, resample another size that is; also allows other sizes for volumes.
        deduplicate: leave out training images that stand in another part too; None does so for PneumoniaMNIST alone.
        train_size, seed: draw that many training images before they become floating-point numbers, which take four times
            the memory; None keeps all.

    Raises:
        ValueError: no such set, a size that volumes do not have, or too large a `train_size`.
        DataMissing: the file of that size is not here, or not as published; the message names the sizes that are.
    """
    if name not in facts():
        raise ValueError(f"name={name!r}: expected one of {', '.join(facts())}")
    check_size(size)
    entry = facts()[name]
    wanted = entry.sizes[0] if size is None else size
    if entry.dimensions == 3 and wanted not in entry.sizes and not resample:
        raise ValueError(
            f"size={size!r}: expected {' or '.join(map(str, entry.sizes))}, the published sizes; "
            "resample=True makes others from them"
        )
    source = _source(entry, wanted, resample)
    stem = entry.stem(source)
    parts, numbers = [], []
    with np.load(find(stem) / f"{stem}.npz") as archive:
        split = entry.split
        kept: Any = slice(None)
        if deduplicate or (deduplicate is None and name == "pneumoniamnist"):
            kept, words = _unshared(archive)
            split += words
        for key in PARTS:
            images, labels = archive[f"{key}_images"], _labels(archive[f"{key}_labels"], entry)
            if key == "train":
                images, labels = images[kept], labels[kept]
            numbers.append(len(labels))
            if key == "train" and train_size is not None:
                drawn = chosen(labels, train_size, seed=seed)
                images, labels = images[drawn], labels[drawn]
            parts.append(Part(_scaled(images, entry, wanted), labels))
    split = f"{' / '.join(map(str, numbers))} {entry.unit}, {split}"
    split = said(split, source, wanted, of=f"{stem}.npz", dimensions=entry.dimensions)
    if train_size is not None:
        split = drawn_from(split, entry.task, train_size, seed)
    train, validation, test = parts
    known = card(stem)
    return ImageSet(
        stem,
        train,
        validation,
        test,
        entry.classes,
        checksum(stem),
        split,
        known.licence,
        known.attribution,
        task=entry.task,
    )


def sizes_here(name: str) -> tuple[int, ...]:
    """The published sizes of a set of MedMNIST whose files are on this machine; () for other sets. No sum is checked."""
    entry = facts().get(name)
    sizes = entry.sizes if entry is not None else ()
    return tuple(size for size in sizes if entry is not None and located(card(entry.stem(size))) is not None)


def _source(entry: Facts, wanted: int, resample: bool) -> int:
    """The published size to read for the size wanted.

    Raises:
        DataMissing: no file will do.
    """
    here = sizes_here(entry.name)
    if wanted in here:
        return wanted
    if here and (resample or wanted not in entry.sizes):
        return min((size for size in here if size >= wanted), default=here[-1])
    best = min((size for size in entry.sizes if size >= wanted), default=entry.sizes[-1])
    try:
        find(entry.stem(best))
    except DataMissing as error:
        if not here:
            raise
        hint = f"here is size {' and '.join(map(str, here))}, and resample=True makes {wanted} from that"
        raise DataMissing(f"{error}; {hint}") from None
    return best


def _unshared(archive: Mapping[str, np.ndarray]) -> tuple[np.ndarray, str]:
    """Which training samples stand in no other part, (N,) bool, and what to say of the others."""
    validation, test = (set(image_hashes(archive[f"{part}_images"])) for part in ("val", "test"))
    hashes = image_hashes(archive["train_images"])
    held_out = validation | test
    kept = np.array([value not in held_out for value in hashes])
    where = "validation or test" if test & set(hashes) else "validation"
    return kept, f", without {int((~kept).sum())} training images that also stand in {where}"


def _scaled(images: np.ndarray, entry: Facts, size: int) -> Tensor:
    """Bring uint8 samples (N, H, W), (N, H, W, 3) or (N, D, H, W) to float32 in [0, 1], channels first, sides `size`."""
    pixels = images.transpose(0, 3, 1, 2) if entry.channels == 3 else images[:, None]
    if entry.name in SHAPES:
        return resized_volumes(torch.from_numpy(pixels > 127).float(), size).ge(0.5).float()
    scaled = np.ascontiguousarray(pixels, dtype=np.float32)
    scaled /= 255
    whole = torch.from_numpy(scaled)
    return resized(whole, size) if entry.dimensions == 2 else resized_volumes(whole, size)


def _labels(labels: np.ndarray, entry: Facts) -> Tensor:
    """Labels as published, (N, k) integers, as the task has them: k float32 for each sample, or one int64."""
    if entry.task == "multi-label":
        return torch.from_numpy(labels.astype(np.float32))
    return torch.from_numpy(labels[:, 0].astype(np.int64))
