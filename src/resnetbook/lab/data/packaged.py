"""Real images that arrive inside packages: no download, no folder, one image or volume each.

They show mechanics (super-resolution, tissue classes, three dimensions), never generalisation: one image has no
patients to split by. scikit-image brings the pictures, nilearn the brain, pydicom the slices; all three come with
the extra `medical`.
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from resnetbook.lab.data.files import DataMissing

# name: (function of skimage.data, what it shows, licence, attribution)
PICTURES: dict[str, tuple[str, str, str, str]] = {
    "retina": ("retina", "fundus of a normal left eye, 1411x1411 RGB", "CC0", "scikit-image, M. Häggström"),
    "microaneurysms": (
        "microaneurysms",
        "fundus with lesions, 102x102",
        "CC0",
        "scikit-image, HRF image 07_dr",
    ),
    "ihc": (
        "immunohistochemistry",
        "colonic glands, 512x512 RGB",
        "no known restriction",
        "scikit-image, Center for Microscopy and Molecular Imaging",
    ),
    "cell": ("cell", "one cell, quantitative phase, 660x550", "CC0", "scikit-image"),
    "phantom": (
        "shepp_logan_phantom",
        "drawn head phantom, 400x400; not real",
        "BSD-3-Clause",
        "scikit-image",
    ),
}
_DICOM = {"ct": "CT_small.dcm", "mr": "MR_small.dcm"}
_MNI = "mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"
MNI_NOTICE = (
    "ICBM 2009a template, (c) 1993-2009 L. Collins, Montreal Neurological Institute, McGill University"
)


@dataclass(frozen=True)
class Picture:
    """One image or volume: `image` is (C, H, W) or (1, D, H, W), float32 in [0, 1]."""

    name: str
    image: Tensor
    shows: str
    licence: str
    attribution: str


def _package(module: str, distribution: str) -> Path:
    # Finding the folder without importing the package: nilearn alone would cost seconds.
    found = importlib.util.find_spec(module)
    if found is None or not found.submodule_search_locations:
        raise DataMissing(f"these images arrive inside {distribution}: pip install 'resnetbook[medical]'")
    return Path(found.submodule_search_locations[0])


def picture(name: str) -> Picture:
    """Return a picture that scikit-image ships: one of `PICTURES`, (C, H, W) in [0, 1].

    Raises:
        ValueError: no such picture.
        DataMissing: scikit-image is not installed.
    """
    if name not in PICTURES:
        raise ValueError(f"name={name!r}: expected one of {', '.join(PICTURES)}")
    _package("skimage", "scikit-image")
    function, shows, licence, source = PICTURES[name]
    array = np.asarray(getattr(importlib.import_module("skimage.data"), function)())
    image = torch.from_numpy(array.astype(np.float32)) / (255 if array.dtype == np.uint8 else 1)
    return Picture(name, image.permute(2, 0, 1) if image.dim() == 3 else image[None], shows, licence, source)


def mni152(kind: str = "t1") -> Picture:
    """Return the MNI152 template, an average of 152 adult brains: (1, 197, 233, 189) at 1 mm, in [0, 1].

    Args:
        kind: "t1" intensity (0 outside the brain), "gm" or "wm" probability of grey or white matter.

    Raises:
        ValueError: another kind.
        DataMissing: nilearn or nibabel is not installed.
    """
    if kind not in ("t1", "gm", "wm"):
        raise ValueError(f"kind={kind!r}: expected 't1', 'gm' or 'wm'")
    path = _package("nilearn", "nilearn") / "datasets" / "data" / _MNI.format(kind)
    _package("nibabel", "nibabel")
    nibabel: Any = importlib.import_module("nibabel")
    volume = torch.from_numpy(np.asarray(nibabel.load(path).dataobj, dtype=np.float32)) / 255
    return Picture(f"mni152_{kind}", volume[None], "average brain of 152 adults", "MNI notice", MNI_NOTICE)


def mni152_tissues() -> Tensor:
    """Return tissue classes of the MNI152 template, (197, 233, 189) int64: 0 other, 1 grey, 2 white matter.

    The likelier of the two tissues, or 0 where both together are less likely than half.
    """
    grey, white = mni152("gm").image[0], mni152("wm").image[0]
    tissue = torch.where(white >= grey, 2, 1)
    return torch.where(grey + white < 128 / 255, 0, tissue)


def dicom(name: str) -> Picture:
    """Return a small DICOM slice that pydicom ships: "ct" (1, 128, 128) or "mr" (1, 64, 64), scaled to [0, 1].

    Raises:
        ValueError: another name.
        DataMissing: pydicom is not installed.
    """
    if name not in _DICOM:
        raise ValueError(f"name={name!r}: expected 'ct' or 'mr'")
    _package("pydicom", "pydicom")
    pydicom: Any = importlib.import_module("pydicom")
    find: Any = importlib.import_module("pydicom.data")
    array = pydicom.dcmread(find.get_testdata_file(_DICOM[name], download=False)).pixel_array.astype(
        np.float32
    )
    image = torch.from_numpy((array - array.min()) / (array.max() - array.min()))
    return Picture(name, image[None], f"down-sized {name.upper()} slice", "MIT", "pydicom's test files")
