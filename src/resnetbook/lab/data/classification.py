"""Sets of images with one label each: blood cells, kinds of radiograph, natural images."""

from __future__ import annotations

import csv
import io
from functools import lru_cache
from itertools import pairwise

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from resnetbook.lab.data.cards import Card, card
from resnetbook.lab.data.files import checksum, find
from resnetbook.lab.data.resampling import resized, said
from resnetbook.lab.data.sets import ImageSet, Part, stratified

WBC_CLASSES = ("neutrophil", "lymphocyte", "monocyte", "eosinophil")
# Five cells stand in the set twice: 139 equals 112 byte for byte, the other pairs are other crops of one
# photograph (correlation of the grey images 0.96 to 0.995, and to the eye). The later image is left out.
WBC_REPEATS = {"084": "071", "139": "112", "158": "157", "169": "167", "171": "166"}


def _image_set(
    entry: Card, parts: list[tuple[Tensor, Tensor]], classes: tuple[str, ...], split: str
) -> ImageSet:
    train, validation, test = (Part(images, labels) for images, labels in parts)
    return ImageSet(
        entry.name,
        train,
        validation,
        test,
        classes,
        checksum(entry.name),
        split,
        entry.licence,
        entry.attribution,
    )


def wbc(*, size: int | None = None) -> ImageSet:
    """White blood cells, (N, 3, size, size) in [0, 1], four types; 32 pixels unless `size` says more.

    The one basophil is left out: a class of one cannot be split; so are five cells that the set shows a
    second time (`WBC_REPEATS`). 294 images remain: 176 / 59 / 59, stratified, the same split always
    (seed 0). Patients are unknown.

    Raises:
        DataMissing: the set is not here.
    """
    entry, side = card("wbc"), 32 if size is None else size
    folder = find(entry.name)
    with (folder / "labels.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["image"] not in WBC_REPEATS]
    rows = [row for row in rows if row["class"] in WBC_CLASSES]
    images = []
    for row in rows:
        pixels = np.asarray(Image.open(folder / "images" / f"{row['image']}.png").convert("RGB"))
        image = torch.from_numpy(pixels.astype(np.float32) / 255).permute(2, 0, 1)[None]
        images.append(resized(image, side))
    whole = torch.cat(images).clamp(0, 1)
    labels = np.array([WBC_CLASSES.index(row["class"]) for row in rows])
    parts = [
        (whole[torch.from_numpy(chosen)], torch.from_numpy(labels[chosen]).long())
        for chosen in stratified(labels, (176, 59, 59), seed=0)
    ]
    split = (
        "176 / 59 / 59 images, stratified by class, seed 0; the one basophil and five repeated cells "
        "left out; patients unknown"
    )
    return _image_set(entry, parts, WBC_CLASSES, said(split, pixels.shape[0], side))


@lru_cache(maxsize=2)
def _decoded(path: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Decode a packed file of JPEG images once: (N, H, W) or (N, H, W, 3) uint8, and the other arrays."""
    with np.load(path) as archive:
        arrays = {key: archive[key] for key in archive.files if key != "jpeg"}
        packed = archive["jpeg"]
    bounds = arrays["offsets"]
    images = [
        np.asarray(Image.open(io.BytesIO(packed[start:stop].tobytes()))) for start, stop in pairwise(bounds)
    ]
    return np.stack(images), arrays


def mednist_small(*, size: int | None = None) -> ImageSet:
    """CT, MR and X-ray of six body parts, (N, 1, 64, 64) in [0, 1]; 1440 / 480 / 480, balanced.

    Raises:
        DataMissing: the set is not here.
    """
    entry = card("mednist_small")
    images, arrays = _decoded(str(find(entry.name) / "mednist_small.npz"))
    parts = []
    for value in range(3):
        chosen = arrays["split"] == value
        scaled = torch.from_numpy(images[chosen].astype(np.float32) / 255)[:, None]
        parts.append((resized(scaled, size), torch.from_numpy(arrays["labels"][chosen].astype(np.int64))))
    classes = tuple(str(name) for name in arrays["classes"])
    split = "1440 / 480 / 480 images, the split stored in the file; patients unknown"
    return _image_set(entry, parts, classes, said(split, images.shape[1], size))


def natural_images(
    entry: Card,
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    classes: tuple[str, ...],
    size: int | None,
) -> ImageSet:
    """Make a set of pairs (images (N, H, W, 3) uint8, labels (N,) int64): a tenth of the training images, stratified by
    class, seed 0, becomes the validation part."""
    images, labels = train
    held_out = len(labels) // 10
    chosen = stratified(labels, (len(labels) - held_out, held_out), seed=0)
    parts = []
    for pixels, target in [*((images[indices], labels[indices]) for indices in chosen), test]:
        scaled = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(255)
        parts.append((resized(scaled, size), torch.from_numpy(target)))
    split = f"official test part of {len(test[1]):,}; {held_out:,} of the training images, stratified, seed 0, for validation"
    return _image_set(entry, parts, classes, said(split, images.shape[1], size))


def cifar10_jpeg(*, size: int | None = None) -> ImageSet:
    """CIFAR-10 (JPEG), (N, 3, 32, 32) in [0, 1]; 45,000 / 5,000 / 10,000.

    Not CIFAR-10: its chroma is halved. Name results made with it "CIFAR-10 (JPEG)".

    Raises:
        DataMissing: the set is not here.
    """
    entry = card("cifar10_jpeg")
    folder = find(entry.name)
    images, arrays = _decoded(str(folder / "train.npz"))
    test, test_arrays = _decoded(str(folder / "test.npz"))
    return natural_images(
        entry,
        (images, arrays["labels"].astype(np.int64)),
        (test, test_arrays["labels"].astype(np.int64)),
        tuple(str(name) for name in arrays["classes"]),
        size,
    )
