"""Sets of 2-D images with masks: cells, nuclei, vessels, membranes, hearts.

Brightness differs between the images of most of these sets for reasons of recording. So `normalise`
standardises each image by itself; with ``normalise=False`` values are in [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from resnetbook.lab.data.cards import card
from resnetbook.lab.data.classification import WBC_REPEATS
from resnetbook.lab.data.files import find
from resnetbook.lab.data.resampling import resized
from resnetbook.lab.data.sets import PartedSet, SegmentationPart, standardise_each

SegmentationSet = PartedSet[SegmentationPart]


def _mask(values: np.ndarray | Tensor, size: int | None) -> Tensor:
    """(N, H, W) integers at size x size; nearest neighbour, since labels have no in-between."""
    mask = torch.as_tensor(np.asarray(values).astype(np.int64))
    if size is None or mask.shape[-2:] == (size, size):
        return mask
    return functional.interpolate(mask[:, None].float(), size=(size, size), mode="nearest-exact")[:, 0].long()


def _part(
    raw: np.ndarray,
    masks: np.ndarray,
    groups: Sequence[str],
    names: Sequence[str],
    *,
    size: int | None,
    normalise: bool,
    instances: np.ndarray | None = None,
    second: np.ndarray | None = None,
) -> SegmentationPart:
    """Raw uint8 images (N, H, W) or (N, H, W, 3) to a part."""
    array = torch.from_numpy(np.ascontiguousarray(raw)).float().div_(255)
    images = resized(array[:, None] if array.ndim == 3 else array.permute(0, 3, 1, 2), size)
    return SegmentationPart(
        standardise_each(images) if normalise else images.contiguous(),
        _mask(masks, size),
        tuple(groups),
        tuple(names),
        None if instances is None else _mask(instances, size),
        None if second is None else _mask(second, size),
    )


def _set(
    name: str, parts: Sequence[SegmentationPart], classes: tuple[str, ...], split: str
) -> SegmentationSet:
    entry = card(name)
    train, validation, test = parts
    return PartedSet(
        name, train, validation, test, classes, entry.sha256, split, entry.licence, entry.attribution
    )


def _read(path: Path, mode: str) -> np.ndarray:
    return np.asarray(Image.open(path).convert(mode))


def wbc_masks(
    *, size: int = 120, by: Literal["random", "stain"] = "random", normalise: bool = True
) -> SegmentationSet:
    """White blood cells with background 0, cytoplasm 1, nucleus 2; images (N, 3, size, size).

    Five cells that the set shows twice are left out; 295 images remain.

    Args:
        size: side in pixels; the originals are about 120 x 120.
        by: "random" (177 / 59 / 59, seed 0), or "stain": images 1-170, 171-200, 201-300, a shift of colour
            between training and test.
        normalise: standardise each image.

    Raises:
        ValueError: `by` or `size` is unknown.
        DataMissing: the set is not here.
    """
    if by not in ("random", "stain"):
        raise ValueError(f"by={by!r}: expected 'random' or 'stain'")
    folder = find("wbc")
    names = [f"{number:03d}" for number in range(1, 301) if f"{number:03d}" not in WBC_REPEATS]
    if by == "random":
        order = [names[index] for index in np.random.default_rng(0).permutation(len(names))]
        lists = [order[:177], order[177:236], order[236:]]
        split = "177 / 59 / 59 images, permuted, seed 0, five repeated cells left out; patients unknown"
    else:
        bounds = ((1, 170), (171, 200), (201, 300))
        lists = [[name for name in names if low <= int(name) <= high] for low, high in bounds]
        sizes = " / ".join(str(len(chosen)) for chosen in lists)
        split = f"{sizes}: images 1-170, 171-200, 201-300 (two stains), five repeated cells left out"
    parts = []
    for chosen in lists:
        images, masks = [], []
        for name in chosen:
            pixels = torch.from_numpy(_read(folder / "images" / f"{name}.png", "RGB").copy()).float()
            images.append(resized(pixels.permute(2, 0, 1)[None] / 255, size))
            levels = _read(folder / "masks" / f"{name}.png", "L")
            masks.append(_mask(np.digitize(levels, (64, 192))[None], size))
        stack = torch.cat(images).clamp(0, 1)
        stack = standardise_each(stack) if normalise else stack
        parts.append(SegmentationPart(stack, torch.cat(masks), tuple(chosen), tuple(chosen)))
    return _set("wbc", parts, ("background", "cytoplasm", "nucleus"), split)


def dsb2018_fluo(*, size: int | None = None, normalise: bool = True) -> SegmentationSet:
    """Nuclei in fluorescence, (N, 1, 256, 256); masks 0/1, `instances` numbered; 193 / 79 / 62 by field.

    Neighbouring tiles of one field share a group and stay in one part.

    Raises:
        DataMissing: the set is not here.
    """
    with np.load(find("dsb2018_fluo") / "dsb2018_fluo.npz") as archive:
        images, instances = archive["images"], archive["instances"].astype(np.int64)
        group, names = archive["group"], archive["names"]
    number = int(group.max()) + 1
    rank = np.argsort(np.random.default_rng(0).permutation(number))[group]
    part = np.digitize(rank, (0.6 * number, 0.8 * number))
    parts = []
    for value in range(3):
        chosen = part == value
        parts.append(
            _part(
                images[chosen],
                instances[chosen] > 0,
                [str(each) for each in group[chosen]],
                [str(each) for each in names[chosen]],
                size=size,
                normalise=normalise,
                instances=instances[chosen],
            )
        )
    return _set(
        "dsb2018_fluo",
        parts,
        ("background", "nucleus"),
        "193 / 79 / 62 images, by field of view (163 groups permuted with seed 0, 60/20/20 %)",
    )


def chase_db1(*, size: int | None = None, normalise: bool = True) -> SegmentationSet:
    """Retinal vessels, (N, 3, 960, 999), 16 / 4 / 8 images by child; `second` is the second observer.

    At full size the images take 322 MB; `size` makes them square.

    Raises:
        DataMissing: the set is not here.
    """
    folder = find("chase_db1")
    parts = []
    for children in (range(1, 9), range(9, 11), range(11, 15)):
        names = [f"{child:02d}{eye}" for child in children for eye in "LR"]
        images = np.stack([_read(folder / f"Image_{name}.jpg", "RGB") for name in names])
        first, second = (
            np.stack([_read(folder / f"Image_{name}_{observer}HO.png", "1") for name in names])
            for observer in ("1st", "2nd")
        )
        children_of = [name[:2] for name in names]
        parts.append(_part(images, first, children_of, names, size=size, normalise=normalise, second=second))
    split = "16 / 4 / 8 images: children 1-8, 9-10, 11-14 (the customary test images)"
    return _set("chase_db1", parts, ("background", "vessel"), split)


def isbi2012_em(*, size: int | None = None, normalise: bool = True) -> SegmentationSet:
    """Neuronal membranes, (N, 1, 512, 512), mask 1 = membrane; sections 0-19, 20-24, 25-29 of one stack.

    Raises:
        DataMissing: the set is not here.
    """
    folder = find("isbi2012_em")
    parts = []
    for sections in (range(20), range(20, 25), range(25, 30)):
        images = np.stack([_read(folder / "image" / f"{index}.png", "L") for index in sections])
        cells = np.stack([_read(folder / "label" / f"{index}.png", "L") for index in sections])
        names = [str(index) for index in sections]
        parts.append(_part(images, cells < 128, names, names, size=size, normalise=normalise))
    split = "sections 0-19 / 20-24 / 25-29, in blocks, because neighbouring sections are alike"
    return _set("isbi2012_em", parts, ("cell", "membrane"), split)


def sunnybrook_lv(*, size: int | None = None, crop: bool = True, normalise: bool = True) -> SegmentationSet:
    """Left ventricle in short-axis MR, (N, 1, 128, 128) cropped, mask 1 = cavity; 15 / 15 / 15 patients.

    A name is patient/frame; frame // 20 is the slice from base to apex, frame % 20 the phase.

    Args:
        size: side in pixels after cropping; None keeps 128 (256 without cropping).
        crop: keep rows and columns 64 to 191, which hold every mask.
        normalise: standardise each image.

    Raises:
        DataMissing: the set is not here.
    """
    with np.load(find("sunnybrook_lv") / "sunnybrook_lv.npz") as archive:
        window = slice(64, 192) if crop else slice(None)
        images, masks = archive["images"][:, window, window], archive["masks"][:, window, window]
        patient, frame, part = archive["patient"], archive["image_number"], archive["part"]
    parts = []
    for value in (1, 2, 3):
        chosen = part == value
        patients = [str(each) for each in patient[chosen]]
        names = [f"{each}/{number}" for each, number in zip(patients, frame[chosen], strict=True)]
        parts.append(_part(images[chosen], masks[chosen], patients, names, size=size, normalise=normalise))
    split = "260 / 266 / 279 images: parts 1, 2, 3 of the challenge, 15 patients each"
    return _set("sunnybrook_lv", parts, ("background", "left ventricle"), split)
