"""Data: the split is fixed and leaks nothing, a wrong file is never taken for the right one, errors say what to do."""

import hashlib
import io
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from resnetbook.lab import data
from resnetbook.lab.data import files
from resnetbook.lab.data.sets import Part

PAIRS = (("train", "validation"), ("train", "test"), ("validation", "test"))


def leaks(dataset) -> dict[tuple[str, str], int]:
    return {pair: len(data.shared(*(dataset.parts[name].images for name in pair))) for pair in PAIRS}


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """No data folder, an empty cache, and a network that fails the test when it is used."""
    monkeypatch.delenv("RESNETBOOK_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(files, "_checked", set())

    def refuse(*arguments, **options):
        pytest.fail("the network was asked")

    monkeypatch.setattr(files.urllib.request, "urlopen", refuse)
    return tmp_path


def invented(folder: Path, **changes) -> data.Card:
    """A card for the files in `folder`, as `fetch` and `find` read it."""
    entry = data.card("pneumoniamnist")
    content = (folder / "a.bin").read_bytes()
    fields = {**entry.__dict__, "name": "invented", "folder": "invented"}
    fields["files"] = (data.DataFile("a.bin", 1, hashlib.sha256(content).hexdigest()),)
    fields["fetch"] = {"kind": "file", "url": (folder / "a.bin").as_uri()}
    return data.Card(**{**fields, **changes})


# --- digits -----------------------------------------------------------------------------------------------


def test_digits_split():
    digits = data.load("digits", normalise=False)
    assert [len(part) for part in digits.parts.values()] == [1000, 200, 597]
    assert leaks(digits) == dict.fromkeys(PAIRS, 0)
    every = torch.cat([part.images for part in digits.parts.values()])
    assert len(set(data.image_hashes(every))) == 1797
    assert every.min() == 0
    assert every.max() == 1
    for part in digits.parts.values():
        share = part.labels.bincount() / len(part)
        assert share.min() > 0.09
        assert share.max() < 0.11
    again = data.load("digits", normalise=False, seed=5)
    assert torch.equal(digits.test.images, again.test.images)
    # The split is a promise to every record: it never changes.
    assert hashlib.sha256(digits.test.labels.numpy().tobytes()).hexdigest()[:12] == "bd6b5f6bc0bf"


def test_digits_images_belong_to_their_labels():
    from sklearn.datasets import load_digits

    bunch = load_digits()
    truth = dict(zip(data.image_hashes((bunch.images / 16).astype(np.float32)), bunch.target, strict=True))
    part = data.load("digits", normalise=False).test
    assert [truth[value] for value in data.image_hashes(part.images[:, 0])] == part.labels.tolist()


def test_standardised_by_the_training_part():
    raw, digits = data.load("digits", normalise=False), data.load("digits")
    assert abs(float(digits.train.images.mean())) < 1e-5
    assert abs(float(digits.train.images.std(correction=0)) - 1) < 1e-5
    expected = (raw.test.images - raw.train.images.mean()) / raw.train.images.std(correction=0)
    torch.testing.assert_close(digits.test.images, expected)
    torch.testing.assert_close(digits.unnormalise(digits.test.images), raw.test.images)


def test_the_shape_is_that_of_one_image():
    digits = data.load("digits")
    assert digits.shape == (1, 8, 8) == tuple(digits.test.images[0].shape)


def test_train_size_draws_from_training_alone():
    whole, few = data.load("digits", normalise=False), data.load("digits", normalise=False, train_size=100)
    assert few.train.labels.bincount().tolist() == [10] * 10
    assert set(data.image_hashes(few.train.images)) < set(data.image_hashes(whole.train.images))
    assert torch.equal(few.test.images, whole.test.images)
    other = data.load("digits", normalise=False, train_size=100, seed=1)
    assert not torch.equal(few.train.images, other.train.images)
    assert "100" in few.split
    assert "seed 0" in few.split


def test_canvas():
    small = data.load("digits", normalise=False).train.images
    padded = data.load("digits", normalise=False, canvas=20).train.images
    assert padded.shape == (1000, 1, 20, 20)
    assert torch.equal(padded[..., 6:14, 6:14], small)
    assert padded.sum() == small.sum()
    enlarged = data.load("digits", normalise=False, size=16, canvas=32).train.images
    assert enlarged.shape == (1000, 1, 32, 32)
    assert enlarged[..., :8, :].sum() == 0
    # Bilinear enlargement by 2 keeps the mean up to what the clamped border adds or takes.
    assert abs(float(enlarged[..., 8:24, 8:24].mean() / small.mean()) - 1) < 0.02


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"name": "digit"}, ["name='digit'", "digits", "wbc"]),
        ({"name": "digits", "size": 0}, ["size=0"]),
        ({"name": "digits", "size": 16, "canvas": 8}, ["canvas=8", "16"]),
        ({"name": "digits", "train_size": 1001}, ["train_size=1001", "1000"]),
        ({"name": "digits", "train_size": 0}, ["train_size=0"]),
        ({"name": "digits", "deduplicate": True}, ["deduplicate", "canvas"]),
    ],
)
def test_bad_arguments(options, names):
    with pytest.raises(ValueError, match="expected") as error:
        data.load(options.pop("name"), **options)
    assert all(name in str(error.value) for name in names)


def test_part_refuses_unequal_lengths():
    with pytest.raises(ValueError, match="labels: 3 given for 2 images"):
        Part(torch.zeros(2, 1, 4, 4), torch.zeros(3, dtype=torch.int64))


@settings(max_examples=60, deadline=None)
@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=80),
    cuts=st.tuples(st.integers(0, 100), st.integers(0, 100)),
    seed=st.integers(0, 9),
)
def test_stratified_is_exact_and_disjoint(labels, cuts, seed):
    low, high = sorted(cut * len(labels) // 100 for cut in cuts)
    sizes = (low, high - low, len(labels) - high)
    parts = data.stratified(np.array(labels), sizes, seed=seed)
    assert tuple(len(part) for part in parts) == sizes
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(labels)))
    first = np.array(labels)[parts[0]]
    for value in set(labels):
        assert abs((first == value).sum() - labels.count(value) * low / len(labels)) < 1


def test_stratified_refuses_too_many():
    with pytest.raises(ValueError, match="sizes=\\(3, 3\\)"):
        data.stratified(np.zeros(5, dtype=int), (3, 3))


# --- search, checksums, fetch -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", [card.name for card in data.cards() if card.files])
def test_missing_set_says_what_to_do(nowhere, name):
    card = data.card(name)
    with pytest.raises(data.DataMissing) as error:
        data.find(name)
    message = str(error.value)
    for part in (name, f"{card.megabytes:g} MB", card.licence, card.source, "RESNETBOOK_DATA"):
        assert part in message
    assert (f"resnetbook data fetch {name}" in message) == card.fetchable
    assert "\n" not in message
    assert not data.available(name)
    assert isinstance(error.value, FileNotFoundError)


def test_set_without_a_source_is_not_promised(nowhere):
    with pytest.raises(data.DataMissing, match="put together by hand") as error:
        data.fetch("sunnybrook_lv")
    assert "RESNETBOOK_DATA" in str(error.value)


def test_search_order_and_damage(nowhere, monkeypatch):
    source = nowhere / "source"
    source.mkdir()
    (source / "a.bin").write_bytes(b"right")
    monkeypatch.setattr(files, "card", lambda name: invented(source))
    cached, named = nowhere / "cache/resnetbook/invented", nowhere / "named/invented"
    for folder in (cached, named):
        folder.mkdir(parents=True)
        (folder / "a.bin").write_bytes(b"right")
    assert data.find("invented") == cached
    monkeypatch.setenv("RESNETBOOK_DATA", str(nowhere / "named"))
    assert data.find("invented") == named
    # A damaged copy is an error, though a good one lies in the cache.
    (named / "a.bin").write_bytes(b"wrong")
    assert data.find("invented") == named, "sums are checked once per process"
    files._checked.clear()
    with pytest.raises(data.DataMissing, match="not as published"):
        data.find("invented")
    (named / "a.bin").unlink()
    assert data.find("invented") == cached


def test_incomplete_folder_is_an_error(nowhere, monkeypatch):
    folder = nowhere / "cache/resnetbook/invented"
    folder.mkdir(parents=True)
    (folder / "a.bin").write_bytes(b"x")
    entry = invented(folder, files=(data.DataFile("*.bin", 2, "0"),))
    monkeypatch.setattr(files, "card", lambda name: entry)
    with pytest.raises(data.DataMissing, match="incomplete \\(1 of 2 files"):
        data.find("invented")


@pytest.fixture
def from_disk(nowhere, monkeypatch):
    """As `nowhere`, but addresses of files may be opened."""
    monkeypatch.undo()
    monkeypatch.delenv("RESNETBOOK_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(nowhere / "cache"))
    monkeypatch.setattr(files, "_checked", set())
    (nowhere / "a.bin").write_bytes(b"content")
    return nowhere


def cached_files(folder: Path) -> list[str]:
    root = folder / "cache/resnetbook"
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_fetch_a_file(from_disk, monkeypatch):
    monkeypatch.setattr(files, "card", lambda name: invented(from_disk))
    assert (data.fetch("invented") / "a.bin").read_bytes() == b"content"
    assert data.find("invented") == data.find("invented", download=True)
    assert cached_files(from_disk) == ["invented/a.bin"]


@pytest.mark.parametrize("trouble", ["sum", "gone"])
def test_a_failed_fetch_leaves_nothing(from_disk, monkeypatch, trouble):
    entry = invented(from_disk)
    if trouble == "sum":
        (from_disk / "a.bin").write_bytes(b"other content")
    else:
        (from_disk / "a.bin").unlink()
    monkeypatch.setattr(files, "card", lambda name: entry)
    with pytest.raises(
        data.DataMissing, match="not as published" if trouble == "sum" else "could not be fetched"
    ):
        data.fetch("invented")
    assert cached_files(from_disk) == []


def test_fetch_the_cells_from_their_original_layout(from_disk, monkeypatch):
    """BMP images become PNG with the same pixels; the table gets names; other files stay out."""
    rng = np.random.default_rng(0)
    pixels = [rng.integers(0, 255, (6, 5, 3), dtype=np.uint8) for _ in range(2)]
    mask = rng.integers(0, 2, (6, 5), dtype=np.uint8) * 255
    table = b"image,label,class\n001,2,lymphocyte\n002,1,neutrophil\n"
    with zipfile.ZipFile(from_disk / "source.zip", "w") as archive:
        for number, (folder, array, kind) in enumerate(
            [
                ("Dataset 1", pixels[0], "bmp"),
                ("Dataset 1", pixels[1], "bmp"),
                ("Dataset 2", pixels[1], "bmp"),
            ]
        ):
            buffer = io.BytesIO()
            Image.fromarray(array).save(buffer, format="BMP")
            archive.writestr(f"repo-1/{folder}/{number % 2 + 1:03d}.{kind}", buffer.getvalue())
        buffer = io.BytesIO()
        Image.fromarray(mask).save(buffer, format="PNG")
        archive.writestr("repo-1/Dataset 1/001.png", buffer.getvalue())
        archive.writestr("repo-1/../../escape.bmp", b"outside")
        archive.writestr("repo-1/Class Labels of Dataset 1.csv", "image ID,class label\n1,2\n2,1\n")

    def pixel_sum(array):
        return hashlib.sha256(repr(array.shape).encode() + array.tobytes()).hexdigest()

    def lines(folder, arrays):
        text = "".join(f"{pixel_sum(a)}  {folder}/{n:03d}.png\n" for n, a in enumerate(arrays, 1))
        return hashlib.sha256(text.encode()).hexdigest()

    entry = data.Card(
        **{
            **data.card("wbc").__dict__,
            "files": (
                data.DataFile("images/*.png", 2, lines("images", pixels), "pixels"),
                data.DataFile("masks/*.png", 1, lines("masks", [mask]), "pixels"),
                data.DataFile("labels.csv", 1, hashlib.sha256(table).hexdigest()),
            ),
            "fetch": {**data.card("wbc").fetch, "url": (from_disk / "source.zip").as_uri()},
        }
    )
    monkeypatch.setattr(files, "card", lambda name: entry)
    home = data.fetch("wbc")
    assert (home / "labels.csv").read_bytes() == table
    assert np.array_equal(np.asarray(Image.open(home / "images/002.png")), pixels[1])
    assert cached_files(from_disk) == [
        "wbc/images/001.png",
        "wbc/images/002.png",
        "wbc/labels.csv",
        "wbc/masks/001.png",
    ]


def test_digits_have_nothing_to_fetch():
    assert data.available("digits")
    with pytest.raises(data.DataMissing, match="arrives with scikit-learn"):
        data.fetch("digits")
    with pytest.raises(ValueError, match="made of files"):
        data.find("digits")


# --- cards ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("card", data.cards(), ids=lambda card: card.name)
def test_cards_are_complete(card):
    text = card.text
    base = data.card(card.name.removesuffix("_64"))
    for field in ("licence", "attribution", "citation", "source", "title"):
        assert getattr(base, field) in text, field
    assert "Traps:" in text
    assert not re.search(r"(^|[\s`])/\w+/", text), "a path of some machine"
    assert card.printable or "Show no images" in text
    assert data.attribution(card.name) == card.attribution
    for file in card.files:
        # Of MedMNIST and CIFAR-10 the publishers' own sums are MD5.
        assert file.published in (("sha256", file.sha256), ("md5", file.md5))
        assert re.fullmatch(r"[0-9a-f]{64}|[0-9a-f]{32}", file.published[1])
        assert ("*" in file.path) == (file.count > 1)


def test_unknown_card():
    with pytest.raises(ValueError, match="name='nothing'"):
        data.card("nothing")
