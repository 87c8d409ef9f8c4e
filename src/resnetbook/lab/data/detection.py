"""Blood smears with boxes around red cells, white cells and platelets."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from resnetbook.lab.data.cards import card
from resnetbook.lab.data.files import find
from resnetbook.lab.data.sets import DetectionPart, PartedSet

CLASSES = ("RBC", "WBC", "Platelets")
# Nearly the same field of view as BloodImage_00037, which stands in the validation list; this one in the training list.
REPEATED = "BloodImage_00038"


def _boxes(path: Path, scale: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """Boxes (n, 4) and labels (n,) of one annotation file; boxes without area are dropped."""
    rows, labels = [], []
    for found in ElementTree.parse(path).findall("object"):
        corner = [float(found.findtext(f"bndbox/{side}", "nan")) for side in ("xmin", "ymin", "xmax", "ymax")]
        if corner[2] > corner[0] and corner[3] > corner[1]:
            rows.append([value * scale[index % 2] for index, value in enumerate(corner)])
            labels.append(CLASSES.index(found.findtext("name", "")))
    return torch.tensor(rows, dtype=torch.float32).reshape(-1, 4), torch.tensor(labels, dtype=torch.int64)


def bccd(*, size: tuple[int, int] | None = None) -> PartedSet[DetectionPart]:
    """BCCD: images (N, 3, 480, 640) uint8 with boxes, in its own lists: 204 / 87 / 72 images.

    One of the 205 training images is left out, because it shows nearly the same field as one for
    validation; two boxes without area are dropped.

    Args:
        size: (height, width) to scale images and boxes to; None keeps 480 x 640 (335 MB).

    Raises:
        ValueError: `size` is not positive.
        DataMissing: the set is not here.
    """
    if size is not None and min(size) < 1:
        raise ValueError(f"size={size}: expected a positive height and width")
    entry, folder = card("bccd"), find("bccd")
    height, width = size or (480, 640)
    lists = {
        key: (folder / "ImageSets" / f"{key}.txt").read_text(encoding="utf-8").split()
        for key in ("train", "val", "test")
    }
    lists["train"].remove(REPEATED)
    parts = []
    for names in lists.values():
        images, boxes, labels = [], [], []
        for name in names:
            image = Image.open(folder / "JPEGImages" / f"{name}.jpg").convert("RGB")
            if size is not None:
                image = image.resize((width, height), Image.Resampling.BILINEAR)
            images.append(torch.from_numpy(np.array(image)).permute(2, 0, 1))
            found, kinds = _boxes(folder / "Annotations" / f"{name}.xml", (width / 640, height / 480))
            boxes.append(found)
            labels.append(kinds)
        parts.append(DetectionPart(torch.stack(images), tuple(boxes), tuple(labels), tuple(names)))
    train, validation, test = parts
    sizes = " / ".join(str(len(part)) for part in parts)
    split = f"{sizes} images, the set's own lists without a training image that a validation image repeats; patients unknown"
    return PartedSet(
        "bccd", train, validation, test, CLASSES, entry.sha256, split, entry.licence, entry.attribution
    )
