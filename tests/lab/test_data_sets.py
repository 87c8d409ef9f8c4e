"""Real sets: counts as published, no leakage between parts; and the transforms. Skipped where a set is missing."""

import numpy as np
import pytest
import torch
from PIL import Image

from resnetbook.lab import data
from resnetbook.lab.data.classification import WBC_REPEATS

PAIRS = (("train", "validation"), ("train", "test"), ("validation", "test"))


def real(loader, *arguments, **options):
    """Load a real set, or skip with the sentence that says how to get it."""
    try:
        return loader(*arguments, **options)
    except data.DataMissing as error:
        pytest.skip(str(error))


def leaks(dataset) -> dict[tuple[str, str], int]:
    return {pair: len(data.shared(*(dataset.parts[name].images for name in pair))) for pair in PAIRS}


CLASS_COUNTS = {
    "pneumoniamnist": [[1214, 3484], [135, 389], [234, 390]],
    "wbc": [[104, 31, 28, 13], [35, 11, 9, 4], [34, 10, 10, 5]],
    "mednist_small": [[240] * 6, [80] * 6, [80] * 6],
    "adrenalmnist3d": [[929, 259], [76, 22], [229, 69]],
}


@pytest.mark.parametrize("name", CLASS_COUNTS)
def test_classification_sets(name):
    found = real(data.load, name, normalise=False)
    assert [part.labels.bincount().tolist() for part in found.parts.values()] == CLASS_COUNTS[name]
    assert leaks(found) == dict.fromkeys(PAIRS, 0)
    for part in found.parts.values():
        assert part.images.dtype == torch.float32
        assert part.labels.dtype == torch.int64
        assert part.images.min() >= 0
        assert part.images.max() <= 1
    assert found.checksum == data.card(name).sha256


def test_pneumoniamnist_repeats():
    """The published file has eight images in train and validation; the default drops them from train."""
    whole = real(data.load, "pneumoniamnist", normalise=False, deduplicate=False)
    assert leaks(whole) == {PAIRS[0]: 8, PAIRS[1]: 0, PAIRS[2]: 0}
    assert len(whole.train) == 4708
    clean = data.load("pneumoniamnist", normalise=False)
    assert len(clean.train) == 4698
    assert "without 10 training images" in clean.split


def test_wbc_repeats_are_the_same_cells():
    folder = real(data.find, "wbc")

    def grey(name):
        image = Image.open(folder / "images" / f"{name}.png").convert("L").resize((40, 40))
        return np.asarray(image, dtype=float)

    for later, earlier in WBC_REPEATS.items():
        template, image = grey(later)[4:36, 4:36], grey(earlier)
        best = max(
            np.corrcoef(template.ravel(), image[y : y + 32, x : x + 32].ravel())[0, 1]
            for y in range(9)
            for x in range(9)
        )
        assert best > 0.95


def test_wbc_sizes():
    found = real(data.load, "wbc", size=48)
    assert found.shape == (3, 48, 48)
    assert real(data.load, "wbc").shape == (3, 32, 32)


@pytest.mark.slow
def test_cifar10_jpeg():
    found = real(data.load, "cifar10_jpeg", normalise=False)
    assert [len(part) for part in found.parts.values()] == [45_000, 5_000, 10_000]
    assert leaks(found) == dict.fromkeys(PAIRS, 0)
    assert found.test.labels.bincount().tolist() == [1000] * 10


@pytest.mark.parametrize(
    ("loader", "options", "sizes", "foreground"),
    [
        (data.wbc_masks, {}, (177, 59, 59), 0.313),
        (data.wbc_masks, {"by": "stain"}, (166, 29, 100), 0.313),
        (data.dsb2018_fluo, {}, (193, 79, 62), 0.077),
        (data.chase_db1, {"size": 240}, (16, 4, 8), 0.069),
        (data.isbi2012_em, {}, (20, 5, 5), 0.220),
        (data.sunnybrook_lv, {}, (260, 266, 279), 0.017 * 4),
        (data.hippocampus, {}, (180, 28, 52), 3295 / (48 * 64 * 48)),
    ],
    ids=["wbc", "wbc-stain", "dsb2018_fluo", "chase_db1", "isbi2012_em", "sunnybrook_lv", "hippocampus"],
)
def test_segmentation_sets(loader, options, sizes, foreground):
    if loader is data.hippocampus:
        pytest.importorskip("nibabel")
    found = real(loader, **options)
    assert tuple(len(part) for part in found.parts.values()) == sizes
    assert leaks(found) == dict.fromkeys(PAIRS, 0)
    for first, second in PAIRS:
        assert not set(found.parts[first].groups) & set(found.parts[second].groups)
    masks = torch.cat([part.masks for part in found.parts.values()])
    assert sorted(masks.unique().tolist()) == list(range(len(found.classes)))
    assert float((masks > 0).float().mean()) == pytest.approx(foreground, rel=0.05)
    spread = found.train.images.flatten(2).std(dim=2)
    assert spread.median() == pytest.approx(1, abs=0.01) or loader is data.hippocampus


def test_nuclei_are_numbered():
    found = real(data.dsb2018_fluo)
    counts = [int(part.instances.amax(dim=(1, 2)).sum()) for part in found.parts.values()]
    assert counts == [5206, 2538, 1799]
    assert all(torch.equal(part.instances > 0, part.masks > 0) for part in found.parts.values())


def test_patients_and_crop():
    found = real(data.sunnybrook_lv, normalise=False)
    assert [len(set(part.groups)) for part in found.parts.values()] == [15, 15, 15]
    whole = data.sunnybrook_lv(crop=False, normalise=False)
    for name in found.parts:
        assert whole.parts[name].masks.sum() == found.parts[name].masks.sum()


def test_two_observers_agree_as_published():
    found = real(data.chase_db1, normalise=False)
    first = torch.cat([part.masks for part in found.parts.values()])
    second = torch.cat([part.second for part in found.parts.values()])
    overlap = (2.0 * (first & second).sum((1, 2)) / (first.sum((1, 2)) + second.sum((1, 2)))).mean()
    assert float(overlap) == pytest.approx(0.777, abs=0.005)


def test_boxes():
    found = real(data.bccd, size=(120, 160))
    counts = [torch.cat(part.labels).bincount().tolist() for part in found.parts.values()]
    assert counts[2] == [805, 71, 69]
    assert sum(map(sum, counts)) == 4888 - 2 - len(annotations("BloodImage_00038"))
    for part in found.parts.values():
        boxes = torch.cat(part.boxes)
        assert (boxes[:, 2] > boxes[:, 0]).all()
        assert (boxes[:, 3] > boxes[:, 1]).all()
        assert boxes[:, 2].max() <= 160
        assert boxes[:, 3].max() <= 120
    assert "BloodImage_00037" in found.validation.names
    assert "BloodImage_00038" not in found.train.names


def annotations(name: str) -> list[str]:
    return (data.find("bccd") / "Annotations" / f"{name}.xml").read_text().split("<object>")[1:]


# --- transforms -------------------------------------------------------------------------------------------


@pytest.fixture
def images():
    return torch.randn(3, 2, 9, 9, generator=torch.Generator().manual_seed(0))


def test_shift_moves_the_content(images):
    moved = data.transforms.shift(images, 2, -3, fill=0)
    assert torch.equal(moved[..., 2:, :-3], images[..., :-2, 3:])
    assert moved[..., :2, :].abs().sum() == 0
    assert moved[..., -3:].abs().sum() == 0
    assert torch.equal(data.transforms.shift(images, 0, 0), images)
    assert (data.transforms.shift(images, 20, 0, fill=7) == 7).all()


def test_shift_by_half_a_pixel_is_the_mean_of_neighbours(images):
    moved = data.transforms.shift(images, 0, 0.5)
    torch.testing.assert_close(moved[..., 1:], (images[..., 1:] + images[..., :-1]) / 2, rtol=0, atol=1e-5)


def test_rotation_is_counter_clockwise(images):
    turned = data.transforms.rotate(images, 90)
    torch.testing.assert_close(turned, torch.rot90(images, 1, (-2, -1)), rtol=0, atol=1e-5)
    wide = images[..., :5, :]
    torch.testing.assert_close(data.transforms.rotate(wide, 180), wide.flip((-2, -1)), rtol=0, atol=1e-5)


def test_scale_about_the_centre(images):
    assert torch.allclose(data.transforms.scale(images, 1.0), images, atol=1e-5)
    square = torch.zeros(1, 1, 16, 16)
    square[..., 6:10, 6:10] = 1
    assert float(data.transforms.scale(square, 2.0).sum()) == pytest.approx(4 * float(square.sum()), rel=0.02)
    assert float(data.transforms.scale(square, 0.5).sum()) == pytest.approx(float(square.sum()) / 4, rel=0.3)


def test_edges_take_the_background():
    digits = data.load("digits", canvas=16)
    background = float(digits.train.images.min())
    for moved in (
        data.transforms.shift(digits.train.images[:8], 3, 3),
        data.transforms.rotate(digits.train.images[:8], 30),
        data.transforms.scale(digits.train.images[:8], 0.7),
    ):
        assert float(moved.min()) == pytest.approx(background, abs=1e-5)
        assert float(moved[..., 0, 0].max()) == pytest.approx(background, abs=1e-5)


def test_noise_is_seeded(images):
    assert torch.equal(data.transforms.noise(images, 0.5), data.transforms.noise(images, 0.5))
    drawn = torch.randn(images.shape, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(data.transforms.noise(images, 0.5, seed=3) - images, 0.5 * drawn)
    assert torch.equal(data.transforms.noise(images, 0), images)
    assert not torch.equal(data.transforms.noise(images, 0.5), data.transforms.noise(images, 0.5, seed=1))
    many = torch.zeros(50, 1, 32, 32)
    assert float(data.transforms.noise(many, 0.3).std()) == pytest.approx(0.3, rel=0.02)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: data.transforms.scale(x, 0), "factor=0"),
        (lambda x: data.transforms.noise(x, -1), "deviation=-1"),
        (lambda x: data.transforms.shift(x[0], 1, 1), "images: shape"),
        (lambda x: data.transforms.rotate(x.long(), 1), "int64"),
    ],
)
def test_transforms_refuse(images, call, message):
    with pytest.raises(ValueError, match=message):
        call(images)
