"""Images inside packages: values against an independent reading, and facts that a wrong axis or scale would break."""

import importlib.util

import numpy as np
import pytest
import torch

from resnetbook.lab import data
from resnetbook.lab.data import packaged


@pytest.mark.parametrize("name", packaged.PICTURES)
def test_pictures_are_scaled_and_have_channels_first(name: str) -> None:
    skimage_data = pytest.importorskip("skimage.data")
    found = data.picture(name)
    raw = np.asarray(getattr(skimage_data, packaged.PICTURES[name][0])())
    raw = raw if raw.ndim == 3 else raw[..., None]
    scale = 255 if raw.dtype == np.uint8 else 1
    np.testing.assert_allclose(found.image.permute(1, 2, 0).numpy(), raw / scale, atol=1e-6)
    assert found.image.min() >= 0
    assert 0.4 < found.image.max() <= 1
    assert found.licence


def test_the_brain_is_bright_inside_and_dark_outside() -> None:
    pytest.importorskip("nibabel")
    brain = data.mni152().image
    tissues = data.mni152_tissues()
    assert brain.shape == (1, 197, 233, 189)
    assert set(tissues.unique().tolist()) == {0, 1, 2}
    means = [brain[0][tissues == k].mean().item() for k in range(3)]
    assert means[0] < means[1] < means[2], "in T1 white matter is brighter than grey, grey than the rest"
    outside = brain[0] == 0
    assert (tissues[outside] != 0).float().mean() < 0.01
    # Left and right are nearly mirror images along the first axis; a transposed volume would not be.
    mirrored = brain.flip(1)
    assert torch.corrcoef(torch.stack([brain.flatten(), mirrored.flatten()]))[0, 1] > 0.95


def test_dicom_slices_keep_their_order_of_grey_values() -> None:
    pydicom = pytest.importorskip("pydicom")
    files = pytest.importorskip("pydicom.data")
    raw = pydicom.dcmread(files.get_testdata_file("CT_small.dcm", download=False)).pixel_array
    image = data.dicom("ct").image[0].numpy()
    assert image.shape == raw.shape
    assert (image.min(), image.max()) == (0, 1)
    np.testing.assert_allclose(image * (raw.max() - raw.min()) + raw.min(), raw, rtol=1e-4, atol=0.5)


@pytest.mark.parametrize(
    "call", [lambda: data.picture("brain"), lambda: data.mni152("csf"), lambda: data.dicom("us")]
)
def test_unknown_names_are_named(call) -> None:
    with pytest.raises(ValueError, match="expected"):
        call()


def test_a_missing_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(data.DataMissing, match="pip install 'resnetbook\\[medical\\]'"):
        data.mni152()
