"""CIFAR-10 under its own name: batches written here in its author's form, its split, its places, and a hostile batch."""

import dataclasses
import gzip
import hashlib
import io
import json
import os
import pickle
import pickletools
import struct
import tarfile
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from resnetbook import cli
from resnetbook.lab import data
from resnetbook.lab.data import files
from resnetbook.lab.data.cifar10 import read_batch

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
FILES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta"]


class Python2(pickle._Pickler):
    """Writes texts and buffers as Python 2 did, when the batches were made: as byte strings."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def _byte_string(self, content):
        content = content.encode("latin1") if isinstance(content, str) else content
        short = len(content) < 256
        self.write(b"U" + bytes([len(content)]) if short else b"T" + struct.pack("<i", len(content)))
        self.write(content)

    dispatch[bytes] = dispatch[str] = _byte_string


def python2(content: dict) -> bytes:
    """Pickle in protocol 2, with the name that numpy's module had."""
    buffer = io.BytesIO()
    Python2(buffer, protocol=2).dump(content)
    return buffer.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def batch(number: int, count: int) -> dict:
    generator = np.random.default_rng(number)
    rows = generator.integers(0, 256, (count, 3072), dtype=np.uint8)
    labels = [int(label) for label in np.arange(count) % 10]
    return {"batch_label": b"a batch", "labels": labels, "data": rows, "filenames": [b"a.png"] * count}


BATCHES = [batch(number, 40) for number in range(1, 6)]
TEST = batch(6, 30)


def write(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in zip(FILES, [*BATCHES, TEST, {"label_names": NAMES, "num_vis": 3072}], strict=True):
        (folder / name).write_bytes(python2(content))
    return folder


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """Make the sums of small batches the published ones; return where they may be written."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RESNETBOOK_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(files, "_checked", set())
    source = write(tmp_path / "source/cifar-10-batches-py")
    entries = tuple(
        data.DataFile(name, 1, md5=hashlib.md5((source / name).read_bytes()).hexdigest()) for name in FILES
    )
    assert [entry.path for entry in data.card("cifar10").files] == FILES
    changed = dataclasses.replace(data.card("cifar10"), files=entries)
    real = files.card
    monkeypatch.setattr(files, "card", lambda name: changed if name == "cifar10" else real(name))
    return tmp_path


@pytest.mark.parametrize(
    "folder",
    [
        "data/cifar10",
        "data/cifar-10-batches-py",
        "data/cifar10/cifar-10-batches-py",
        "data",
        ".cache/resnetbook/cifar10",
    ],
)
def test_images_labels_and_split(publish, folder):
    write(publish / folder)
    found = data.load("cifar10", normalise=False)
    assert [len(part) for part in found.parts.values()] == [180, 20, 30]
    assert found.classes == tuple(NAMES)
    assert found.task == "multi-class"
    # Red, green and blue planes of 32 rows, as the author's page describes a row of data.
    rows = torch.from_numpy(TEST["data"].astype(np.float64)).reshape(30, 3, 32, 32) / 255
    torch.testing.assert_close(found.test.images, rows.float(), rtol=0, atol=1e-7)
    assert found.test.labels.tolist() == TEST["labels"]
    assert found.train.labels.bincount().tolist() == [18] * 10
    assert found.validation.labels.bincount().tolist() == [2] * 10
    both = torch.cat([found.train.images, found.validation.images])
    whole = np.concatenate([each["data"] for each in BATCHES]).reshape(-1, 3, 32, 32).astype(
        np.float32
    ) / np.float32(255)
    assert sorted(data.image_hashes(both.contiguous())) == sorted(data.image_hashes(whole))
    assert (
        found.split
        == "official test part of 30; 20 of the training images, stratified, seed 0, for validation"
    )
    lines = "".join(
        f"{hashlib.sha256((publish / folder / name).read_bytes()).hexdigest()}  {name}\n" for name in FILES
    )
    assert found.checksum == hashlib.sha256(lines.encode()).hexdigest()
    half = data.load("cifar10", size=16)
    assert half.shape == (3, 16, 16)
    assert "resampled to 16 x 16 from the 32 x 32" in half.split


def test_the_split_is_that_of_the_jpeg_copy():
    """The same rule on the same labels picks the same images."""
    labels = np.arange(50_000) % 10
    first = data.stratified(labels, (45_000, 5_000), seed=0)
    from resnetbook.lab.data.classification import natural_images

    small = np.zeros((50_000, 1, 1, 3), np.uint8)
    small[:, 0, 0, 0], small[:, 0, 0, 1] = np.arange(50_000) // 256, np.arange(50_000) % 256
    made = natural_images(
        data.card("cifar10_jpeg"), (small, labels), (small[:10], labels[:10]), tuple(NAMES), None
    )
    for part, chosen in zip((made.train, made.validation), first, strict=True):
        pixels = (part.images[:, :2, 0, 0] * 255).round().long()
        assert (pixels[:, 0] * 256 + pixels[:, 1]).tolist() == chosen.tolist()
    assert (
        made.split
        == "official test part of 10; 5,000 of the training images, stratified, seed 0, for validation"
    )


def test_torchvision_reads_the_same(publish, monkeypatch):
    """The independent reader, on the files of this test."""
    import torchvision

    write(publish / "data/cifar-10-batches-py")
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "_check_integrity", lambda self: True)
    meta = (publish / "data/cifar-10-batches-py/batches.meta").read_bytes()
    monkeypatch.setattr(
        torchvision.datasets.CIFAR10,
        "meta",
        {"filename": "batches.meta", "key": "label_names", "md5": hashlib.md5(meta).hexdigest()},
    )
    theirs = torchvision.datasets.CIFAR10(publish / "data", train=False)
    ours = data.load("cifar10", normalise=False).test
    expected = torch.from_numpy(theirs.data).permute(0, 3, 1, 2).float() / 255
    torch.testing.assert_close(ours.images, expected, rtol=0, atol=1e-7)
    assert ours.labels.tolist() == theirs.targets


def test_sums_and_names_are_torchvisions():
    from torchvision.datasets import CIFAR10

    theirs = dict([*CIFAR10.train_list, *CIFAR10.test_list, (CIFAR10.meta["filename"], CIFAR10.meta["md5"])])
    card = data.card("cifar10")
    assert {entry.path: entry.md5 for entry in card.files} == theirs
    assert card.fetch["url"] == CIFAR10.url
    assert CIFAR10.base_folder in card.layouts


def test_a_damaged_batch_is_refused(publish, capsys):
    folder = write(publish / "data/cifar10")
    (folder / "data_batch_3").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(
        data.DataMissing, match=r"the MD5 of data_batch_3 differs; it is a Git LFS pointer.*~/data/cifar10"
    ):
        data.load("cifar10")
    os.remove(folder / "data_batch_3")
    with pytest.raises(data.DataMissing, match=r"incomplete \(0 of 1 files data_batch_3\)"):
        data.load("cifar10")
    assert cli.main(["data", "list"]) == 0
    assert (
        next(line for line in capsys.readouterr().out.splitlines() if line.startswith("cifar10 ")).split()[1]
        == "no"
    )


def test_fetched_from_the_archive(publish, monkeypatch):
    packed = publish / "packed.tar.gz"
    with tarfile.open(packed, "w:gz") as archive:
        for name in [*FILES, "readme.html"]:
            content = (
                (publish / "source/cifar-10-batches-py" / name).read_bytes() if name in FILES else b"<html>"
            )
            for member in (f"cifar-10-batches-py/{name}", f"cifar-10-batches-py/../../{name}.escaped"):
                entry = tarfile.TarInfo(member)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        link = tarfile.TarInfo("cifar-10-batches-py/data_batch_9")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    changed = dataclasses.replace(
        files.card("cifar10"), fetch={**data.card("cifar10").fetch, "url": packed.as_uri()}
    )
    monkeypatch.setattr(files, "card", lambda name: changed)
    assert data.fetch("cifar10") == publish / ".cache/resnetbook/cifar10"
    assert sorted(
        path.name for path in (publish / ".cache/resnetbook").rglob("*") if path.is_file()
    ) == sorted(FILES)
    assert len(data.load("cifar10").test) == 30
    (publish / "packed.tar.gz").write_bytes(gzip.compress(b"no archive"))
    with pytest.raises(data.DataMissing, match="could not be fetched"):
        data.fetch("cifar10")


def test_an_experiment_runs_on_it(publish, capsys):
    write(publish / "data/cifar10")
    words = [
        "run",
        "inception_module",
        "--scale",
        "live",
        "--seeds",
        "2",
        "--device",
        "cpu",
        "--workers",
        "1",
        "--set",
        "data=cifar10",
        "--set",
        "size=16",
    ]
    small = ["train_size=40", "validation_size=10", "epochs=1", "narrow=16", "rates=0.05"]
    folders = ["--folder", str(publish / "records"), "--runs", str(publish / "runs")]
    assert cli.main([*words, *(word for one in small for word in ("--set", one)), *folders]) == 0
    (record,) = (publish / "records").glob("*.json")
    found = json.loads(record.read_text())["data"]
    assert found["name"] == "cifar10"
    assert found["checksum"] == files.checksum("cifar10")
    assert "resampled to 16 x 16" in found["split"]


class Tampered:
    def __reduce__(self):
        return os.getcwd, ()


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps({"data": Tampered()}, protocol=2),
        pickle.dumps({"data": Tampered()}, protocol=4),
        pickle.dumps([1, 2]),
        python2(TEST)[:2000],
        b"",
        b"<html>",
    ],
)
def test_a_batch_calls_nothing_and_is_named(tmp_path, content):
    (tmp_path / "data_batch_1").write_bytes(content)
    with pytest.raises(ValueError, match="data_batch_1: expected a batch of CIFAR-10"):
        read_batch(tmp_path / "data_batch_1")


def test_the_batches_of_this_test_are_in_the_authors_form():
    names = {
        str(argument) for opcode, argument, _ in pickletools.genops(python2(TEST)) if opcode.name == "GLOBAL"
    }
    assert names == {"numpy.core.multiarray _reconstruct", "numpy ndarray", "numpy dtype"}
    assert python2(TEST)[:2] == b"\x80\x02"
