"""MedMNIST: all 18 sets in all their sizes, from files written here in the publisher's form; and the real ones, if here."""

import copy
import hashlib
import importlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from resnetbook import cli
from resnetbook.lab import data
from resnetbook.lab.data import files, medmnist_facts

# Functions of the package have the names of these modules.
cards, medmnist = (importlib.import_module(f"resnetbook.lab.data.{name}") for name in ("cards", "medmnist"))

PARTS = ("train", "val", "test")
FACTS = medmnist_facts.facts()
LABELS = {"chestmnist": 14}


def content(name: str, size: int, counts=(9, 3, 4)) -> dict[str, np.ndarray]:
    """Arrays as a file of MedMNIST holds them: samples uint8, channels last; labels (N, k)."""
    entry, generator = FACTS[name], np.random.default_rng(size)
    shape = (size,) * entry.dimensions + ((3,) if entry.channels == 3 else ())
    arrays = {}
    for part, count in zip(PARTS, counts, strict=True):
        arrays[f"{part}_images"] = generator.integers(0, 256, (count, *shape), dtype=np.uint8)
        highest = 2 if entry.task == "multi-label" else len(entry.classes)
        arrays[f"{part}_labels"] = generator.integers(
            0, highest, (count, LABELS.get(name, 1)), dtype=np.uint8
        )
    return arrays


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """Write a file into a data folder and make its sum the published one."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RESNETBOOK_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(files, "_checked", set())
    table = copy.deepcopy(medmnist_facts._table())
    monkeypatch.setattr(medmnist_facts, "_table", lambda: table)
    caches = (medmnist_facts.facts, cards.cards, cards._larger)

    def write(name: str, size: int, counts=(9, 3, 4)) -> dict[str, np.ndarray]:
        arrays = content(name, size, counts)
        path = tmp_path / "data/medmnist" / f"{FACTS[name].stem(size)}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **arrays)
        table[name]["md5"][str(size)] = hashlib.md5(path.read_bytes()).hexdigest()
        table[name].get("sha256", {}).pop(str(size), None)
        files._checked.clear()
        for cached in caches:
            cached.cache_clear()
        return arrays

    yield write
    for cached in caches:
        cached.cache_clear()


def channels_first(images: np.ndarray, name: str) -> torch.Tensor:
    """Samples in [0, 1] as a loader has to return them, computed in another way than it does."""
    scaled = torch.from_numpy(images.astype(np.float64) / 255).float()
    if name == "adrenalmnist3d":
        scaled = (torch.from_numpy(images) > 127).float()
    return scaled.movedim(-1, 1) if FACTS[name].channels == 3 else scaled.unsqueeze(1)


@pytest.mark.parametrize("name", FACTS)
def test_every_set_in_every_size_from_its_own_file(name, publish):
    entry = FACTS[name]
    sizes = (28, 64) if entry.dimensions == 3 else (28, 64, 128, 224)
    assert entry.sizes == sizes
    written = {size: publish(name, size) for size in sizes}
    for size in (None, *sizes):
        options = {"deduplicate": False} if name == "pneumoniamnist" else {}
        found = data.load(name, size=size, normalise=False, **options)
        arrays = written[size or 28]
        assert found.shape == (entry.channels, *(size or 28,) * entry.dimensions)
        for part, key in zip(found.parts.values(), PARTS, strict=True):
            torch.testing.assert_close(
                part.images, channels_first(arrays[f"{key}_images"], name), rtol=0, atol=1e-7
            )
            labels = arrays[f"{key}_labels"]
            if entry.task == "multi-label":
                assert part.labels.dtype == torch.float32
                assert part.labels.tolist() == labels.tolist()
            else:
                assert part.labels.dtype == torch.int64
                assert part.labels.tolist() == labels[:, 0].tolist()
        assert found.task == entry.task
        assert found.classes == entry.classes
        assert found.name == entry.stem(size or 28)
        assert "resampled" not in found.split
        path = data.find(found.name) / f"{found.name}.npz"
        assert found.checksum == hashlib.sha256(path.read_bytes()).hexdigest()
    standard = data.load(name, size=28)
    axes = (0, *range(2, standard.train.images.ndim))
    assert standard.train.images.mean(axes).abs().max() < 1e-4


def test_tasks_are_those_of_the_paper():
    tasks = {name: entry.task for name, entry in FACTS.items()}
    assert tasks.pop("chestmnist") == "multi-label"
    assert tasks.pop("retinamnist") == "ordinal"
    two = {name for name, entry in FACTS.items() if len(entry.classes) == 2}
    assert {name for name, task in tasks.items() if task == "binary"} == two
    colour = {name for name, entry in FACTS.items() if entry.channels == 3}
    assert colour == {"pathmnist", "dermamnist", "retinamnist", "bloodmnist"}


def test_numbers_of_samples_are_those_of_the_sources():
    """Sets that are a source whole: as many images as the source says that it has (Yang et al. 2023, Methods)."""
    sources = {"pathmnist": 107_180, "chestmnist": 112_120, "dermamnist": 10_015, "octmnist": 109_309, "pneumoniamnist": 5_856,
               "retinamnist": 1_600, "breastmnist": 780, "bloodmnist": 17_092, "tissuemnist": 236_386, "adrenalmnist3d": 1_584}  # fmt: skip
    assert {name: sum(FACTS[name].samples) for name in sources} == sources
    assert len(FACTS) == 18
    assert sum(entry.dimensions == 3 for entry in FACTS.values()) == 6


def test_each_file_has_a_sum_of_its_own_and_those_at_hand_have_it():
    sums = [value for entry in FACTS.values() for value in entry.md5.values()]
    assert len(sums) == len(set(sums)) == 60
    assert all(len(value) == 32 and int(value, 16) >= 0 for value in sums)
    present = 0
    for entry in FACTS.values():
        for size in entry.sizes:
            stem = entry.stem(size)
            if data.available(stem):
                content = (data.find(stem) / f"{stem}.npz").read_bytes()
                assert hashlib.md5(content).hexdigest() == entry.md5[size]
                assert hashlib.sha256(content).hexdigest() == entry.sha256.get(size, files.checksum(stem))
                present += 1
    if not present:
        pytest.skip("no file of MedMNIST at hand")


# Files that are here, the size asked for, with or without resample=True, and the size that is read (None: DataMissing).
SOURCES = [
    ((28,), 28, False, 28),
    ((28,), 64, False, None),
    ((28,), 224, False, None),
    ((28,), 64, True, 28),
    ((64,), None, False, None),
    ((64,), None, True, 64),
    ((128, 224), 64, True, 128),
    ((28, 64), 224, True, 64),
    ((28, 64), 64, True, 64),
    ((28, 64), 28, True, 28),
    ((28,), 14, False, 28),
    ((28, 64, 128), 14, False, 28),
    ((64,), 14, False, 64),
    ((28,), 32, False, 28),
    ((28, 64), 32, False, 64),
    ((28, 128), 65, False, 128),
    ((28, 64), 300, False, 64),
    ((), 28, False, None),
    ((), 28, True, None),
    ((), 14, False, None),
]


@pytest.mark.parametrize(("here", "wanted", "resample", "read"), SOURCES)
def test_another_file_is_taken_only_when_told_and_said(here, wanted, resample, read, publish):
    for size in here:
        publish("breastmnist", size)
    if read is None:
        with pytest.raises(data.DataMissing) as error:
            data.load("breastmnist", size=wanted, resample=resample)
        message = str(error.value)
        if wanted in (None, 28, 64, 224):
            assert f"{FACTS['breastmnist'].stem(wanted or 28)}.npz" in message
        assert ("resample=True" in message) == bool(here)
        assert all(str(size) in message for size in here)
        return
    found = data.load("breastmnist", size=wanted, resample=resample, normalise=False)
    side = wanted or 28
    assert found.shape == (1, side, side)
    assert found.name == FACTS["breastmnist"].stem(read)
    told = f"resampled to {side} x {side} from the {read} x {read} of {found.name}.npz"
    assert (told in found.split) == (side != read)
    assert ("resampled" in found.split) == (side != read)
    original = data.load("breastmnist", size=read, normalise=False).test.images
    torch.testing.assert_close(found.test.images.mean(), original.mean(), rtol=0.05, atol=0)


@pytest.mark.parametrize("name", ["organmnist3d", "adrenalmnist3d"])
def test_volumes_are_resampled_only_when_told(name, publish):
    publish(name, 28)
    for size in (14, 32, 128):
        with pytest.raises(ValueError, match=rf"size={size}: expected 28 or 64.*resample=True"):
            data.load(name, size=size)
    with pytest.raises(data.DataMissing, match=f"{name}_64.npz"):
        data.load(name, size=64)
    whole = data.load(name, normalise=False).train.images
    half = data.load(name, size=14, resample=True, normalise=False)
    means = whole.unflatten(4, (14, 2)).unflatten(3, (14, 2)).unflatten(2, (14, 2)).mean((3, 5, 7))
    expected = (means >= 0.5).float() if name == "adrenalmnist3d" else means
    torch.testing.assert_close(half.train.images, expected)
    assert "resampled to 14 x 14 x 14 from the 28 x 28 x 28" in half.split
    assert data.load(name, size=64, resample=True).shape == (1, 64, 64, 64)


@settings(max_examples=25, deadline=None)
@given(
    size=st.integers(1, 80),
    name=st.sampled_from(["breastmnist", "bloodmnist", "organmnist3d", "adrenalmnist3d"]),
)
def test_a_constant_sample_stays_constant_at_any_size(size, name):
    entry = FACTS[name]
    shape = (2, *(28,) * entry.dimensions, *((3,) if entry.channels == 3 else ()))
    found = medmnist._scaled(np.full(shape, 51, np.uint8), entry, size)
    assert found.shape == (2, entry.channels, *(size,) * entry.dimensions)
    expected = 0.0 if name == "adrenalmnist3d" else 0.2
    torch.testing.assert_close(found, torch.full_like(found, expected))


@pytest.mark.parametrize("size", [0, -1, 1.5, "64", True, 64.0])
def test_sizes_that_are_none(size, publish):
    publish("breastmnist", 28)
    with pytest.raises(ValueError, match=r"size=.*expected"):
        data.load("breastmnist", size=size)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("BloodMNIST", "did you mean 'bloodmnist'"),
        ("bloodmnst", "did you mean 'bloodmnist'"),
        ("bloodmnist_64", r"load\('bloodmnist', size=64\)"),
        ("organmnist3d_64", r"load\('organmnist3d', size=64\)"),
        ("organmnist", "did you mean"),
    ],
)
def test_a_name_that_is_nearly_right_is_put_right(name, says):
    with pytest.raises(ValueError, match=says):
        data.load(name)


def test_drawing_from_a_set_with_several_labels(publish):
    publish("chestmnist", 28, counts=(40, 3, 4))
    whole = data.load("chestmnist", normalise=False).train
    few = data.load("chestmnist", normalise=False, train_size=10, seed=2)
    assert few.train.labels.shape == (10, 14)
    rows = {bytes(row.numpy().tobytes()) for row in whole.images}
    assert all(row.numpy().tobytes() in rows for row in few.train.images)
    assert len(set(data.image_hashes(few.train.images))) == 10
    assert "10 of the training images drawn with all alike, seed 2" in few.split
    with pytest.raises(ValueError, match=r"labels: shape \(40, 14\), expected \(N,\)"):
        data.stratified(whole.labels.numpy(), (10,))


@pytest.mark.parametrize("name", ["bloodmnist", "retinamnist", "fracturemnist3d", "chestmnist"])
def test_drawn_before_it_is_decoded_as_after(name, publish):
    """Drawing early saves memory and changes nothing."""
    publish(name, 28, counts=(50, 3, 4))
    whole = data.load(name, normalise=False)
    few = data.load(name, normalise=False, train_size=20, seed=4)
    after = data.draw(whole.train, 20, seed=4)
    assert torch.equal(few.train.images, after.images)
    assert torch.equal(few.train.labels, after.labels)
    assert few.split.startswith(
        f"50 / 3 / 4 {FACTS[name].unit}, official split; 20 of the training images drawn with "
    )
    with pytest.raises(ValueError, match="train_size=51: expected 1 to 50"):
        data.load(name, train_size=51)


def test_images_that_stand_in_two_parts_can_be_left_out(publish):
    arrays = publish("bloodmnist", 28)
    assert len(data.load("bloodmnist").train) == 9
    raw = {key: value.copy() for key, value in arrays.items()}
    raw["train_images"][2], raw["train_images"][5] = raw["val_images"][1], raw["test_images"][0]
    kept, words = medmnist._unshared(raw)
    assert np.flatnonzero(~kept).tolist() == [2, 5]
    assert words == ", without 2 training images that also stand in validation or test"


def test_a_file_that_is_not_as_published_is_refused_with_both_sums(publish, tmp_path):
    publish("bloodmnist", 64)
    path = tmp_path / "data/medmnist/bloodmnist_64.npz"
    np.savez(path, **content("bloodmnist", 28))
    files._checked.clear()
    with pytest.raises(
        data.DataMissing, match=r"the MD5 of bloodmnist_64\.npz differs: \w{8}\.\.\., published \w{8}"
    ):
        data.load("bloodmnist", size=64)
    assert not data.available("bloodmnist_64")


def test_the_list_shows_every_set_with_the_sizes_at_hand(publish, capsys):
    publish("organamnist", 28)
    publish("organamnist", 128)
    publish("synapsemnist3d", 64)
    assert cli.main(["data", "list"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert set(FACTS) <= set(lines)
    assert "28* 64 128* 224 " in lines["organamnist"]
    assert lines["organamnist"].split()[1] == "yes"
    assert "28 64* " in lines["synapsemnist3d"]
    assert lines["synapsemnist3d"].split()[1] == "no"
    for name, entry in FACTS.items():
        assert entry.licence in lines[name]


@pytest.mark.parametrize("name", [entry.stem(size) for entry in FACTS.values() for size in entry.sizes])
def test_cards_state_licence_source_and_task(name, capsys):
    assert cli.main(["data", "show", name]) == 0
    text = capsys.readouterr().out
    card = data.card(name)
    assert card.source in text
    assert "Zenodo record 10519652" in text
    assert card.licence in text
    assert card.attribution in text
    assert ("Show no images" in text) == (card.licence == "CC BY-NC 4.0") == (not card.printable)
    assert card.licence == ("CC BY-NC 4.0" if name.startswith("derma") else "CC BY 4.0")
    assert card.fetch["url"] == f"https://zenodo.org/records/10519652/files/{name}.npz?download=1"
    assert [entry.path for entry in card.files] == [f"{name}.npz"]
