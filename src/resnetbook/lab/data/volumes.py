"""3-D sets: shapes of the adrenal gland with a label, hippocampus in MR with masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional

from resnetbook.lab.data.cards import card
from resnetbook.lab.data.files import find
from resnetbook.lab.data.medmnist import medmnist
from resnetbook.lab.data.sets import ImageSet, PartedSet, SegmentationPart, standardise_each


def adrenalmnist3d(*, size: int = 28, resample: bool = False) -> ImageSet:
    """Shapes of adrenal glands drawn in CT, (N, 1, size, size, size) of 0 and 1; 0 normal, 1 hyperplasia.

    The official split, by patient: 1188 / 98 / 298. Always "normal" scores 0.768 on the test part.

    Args:
        size: 28, or 64 (a second file; 1.7 GB in memory).
        resample: allow another size, made from one of these.

    Raises:
        ValueError: another size.
        DataMissing: the set is not here.
    """
    return medmnist("adrenalmnist3d", size=size, resample=resample)


def hippocampus(
    *, shape: tuple[int, int, int] = (48, 64, 48), normalise: bool = True
) -> PartedSet[SegmentationPart]:
    """Hippocampus in T1 MR, (N, 1, D, H, W); masks 0 background, 1 anterior, 2 posterior; 180 / 28 / 52.

    Intensities differ by four orders of magnitude between volumes, so `normalise` standardises each one
    (else they are divided by their maximum). Volumes are padded at both ends, never resized.

    Args:
        shape: size after padding; (48, 64, 48) holds every volume.
        normalise: standardise each volume before padding with 0.

    Raises:
        ValueError: `shape` is too small for a volume.
        DataMissing: the set is not here.
        ImportError: nibabel is missing (it comes with the extra `medical`).
    """
    import nibabel

    entry, folder = card("hippocampus"), find("hippocampus")
    paths = sorted((folder / "images").glob("*.nii.gz"))
    order = np.random.default_rng(0).permutation(len(paths))
    parts = []
    for chosen in (order[:180], order[180:208], order[208:]):
        images, masks, names = [], [], []
        for index in chosen:
            path = paths[index]
            scan: Any = nibabel.load(path)
            drawn: Any = nibabel.load(folder / "labels" / path.name)
            image = torch.from_numpy(np.asarray(scan.dataobj, dtype=np.float32))[None, None]
            mask = torch.from_numpy(np.asarray(drawn.dataobj, dtype=np.int64))
            image = standardise_each(image) if normalise else image / image.max().clamp_min(1e-6)
            room = [goal - side for goal, side in zip(shape, mask.shape, strict=True)]
            if min(room) < 0:
                raise ValueError(f"shape={shape}: expected at least {tuple(mask.shape)} ({path.name})")
            margins = [side for space in reversed(room) for side in (space // 2, space - space // 2)]
            images.append(functional.pad(image, margins))
            masks.append(functional.pad(mask, margins)[None])
            names.append(path.name.removesuffix(".nii.gz"))
        parts.append(SegmentationPart(torch.cat(images), torch.cat(masks), tuple(names), tuple(names)))
    train, validation, test = parts
    return PartedSet(
        "hippocampus",
        train,
        validation,
        test,
        ("background", "anterior", "posterior"),
        entry.sha256,
        "180 / 28 / 52 volumes, names permuted with seed 0; left and right side of a subject cannot be told",
        entry.licence,
        entry.attribution,
    )
