"""Where a set may lie: every way in which people name the folder finds it, and no error recommends what was just done."""

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resnetbook.lab import data
from resnetbook.lab.data import files, places

CONTENT = b"right"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder of its own, nothing in it, and no variable set."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RESNETBOOK_DATA", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(files, "_checked", set())
    return tmp_path


def invented(name: str, paths: tuple[str, ...], **changes) -> data.Card:
    """A card like the real one of `name`, whose files have the content of these tests."""
    digest = hashlib.sha256(CONTENT).hexdigest()
    entries = tuple(data.DataFile(path, 1, digest) for path in paths)
    return data.Card(**{**data.card(name).__dict__, "files": entries, "sha256": digest, **changes})


CARDS = {
    "pneumoniamnist": invented("pneumoniamnist", ("pneumoniamnist.npz",)),
    "cifar10": invented("cifar10", ("data_batch_1", "test_batch")),
    "wbc": invented("wbc", ("labels.csv", "images/001.png")),
}


@pytest.fixture
def small(home, monkeypatch):
    """The cards of `CARDS`."""
    monkeypatch.setattr(files, "card", CARDS.__getitem__)
    return home


def put(folder: Path, name: str, content: bytes = CONTENT) -> Path:
    for entry in CARDS[name].files:
        (folder / entry.path).parent.mkdir(parents=True, exist_ok=True)
        (folder / entry.path).write_bytes(content)
    return folder


# Where the files lie below the home folder, and what RESNETBOOK_DATA says (None: unset; {home} is the home folder).
LAYOUTS = {
    "family": ("pneumoniamnist", "data/medmnist", "{home}/data"),
    "flat": ("pneumoniamnist", "data", "{home}/data"),
    "the-folder-itself": ("pneumoniamnist", "data/medmnist", "{home}/data/medmnist"),
    "the-file": ("pneumoniamnist", "data/medmnist", "{home}/data/medmnist/pneumoniamnist.npz"),
    "slash": ("pneumoniamnist", "data/medmnist", "{home}/data/medmnist/"),
    "dots": ("pneumoniamnist", "data/medmnist", "{home}/data/../data/./medmnist"),
    "tilde": ("pneumoniamnist", "data/medmnist", "~/data"),
    "tilde-alone": ("pneumoniamnist", "medmnist", "~"),
    "tilde-to-the-folder": ("pneumoniamnist", "data/medmnist", "~/data/medmnist"),
    "variable": ("pneumoniamnist", "data", "$HOME/data"),
    "variable-in-braces": ("pneumoniamnist", "data", "${{HOME}}/data"),
    "quoted": ("pneumoniamnist", "data", "'~/data'"),
    "blanks": ("pneumoniamnist", "my data", "  {home}/my data \n"),
    "package-named": ("pneumoniamnist", ".medmnist", "~/.medmnist"),
    "package-unset": ("pneumoniamnist", ".medmnist", None),
    "package-set-empty": ("pneumoniamnist", ".medmnist", ""),
    "package-elsewhere": ("pneumoniamnist", "data/.medmnist", "{home}/data"),
    "package-though-another-is-named": ("pneumoniamnist", ".medmnist", "{home}"),
    "cache": ("pneumoniamnist", ".cache/resnetbook/medmnist", None),
    "cifar": ("cifar10", "data/cifar10", "~/data"),
    "cifar-as-torchvision": ("cifar10", "data/cifar-10-batches-py", "~/data"),
    "cifar-as-torchvision-in-its-folder": ("cifar10", "data/cifar10/cifar-10-batches-py", "~/data"),
    "cifar-the-folder-itself": ("cifar10", "data/cifar-10-batches-py", "~/data/cifar-10-batches-py"),
    "cifar-cache": ("cifar10", ".cache/resnetbook/cifar10", None),
    "folders": ("wbc", "data/wbc", "~/data"),
    "folders-the-folder-itself": ("wbc", "data/wbc", "~/data/wbc"),
}


@pytest.mark.parametrize("case", LAYOUTS)
def test_found_wherever_people_keep_it(case, small, monkeypatch):
    name, folder, variable = LAYOUTS[case]
    where = put(small / folder, name)
    if variable is not None:
        monkeypatch.setenv("RESNETBOOK_DATA", variable.format(home=small))
    assert data.find(name).resolve() == where.resolve()
    assert data.available(name)


def test_a_relative_folder_and_the_cache_with_a_tilde(small, monkeypatch):
    put(small / "work/data", "pneumoniamnist")
    monkeypatch.chdir(small / "work")
    monkeypatch.setenv("RESNETBOOK_DATA", "data")
    assert data.find("pneumoniamnist").resolve() == small / "work/data"
    monkeypatch.setenv("RESNETBOOK_DATA", "")
    monkeypatch.setenv("XDG_CACHE_HOME", "~/elsewhere")
    assert data.cache_dir() == small / "elsewhere/resnetbook"
    assert put(small / "elsewhere/resnetbook/wbc", "wbc") == data.find("wbc")


@settings(max_examples=60, deadline=None)
@given(
    folder=st.lists(
        st.sampled_from(["data", "my data", "x", "médecine", "a.b", "medmnist"]), min_size=1, max_size=3
    ),
    inside=st.sampled_from(["", "medmnist", ".medmnist"]),
    start=st.sampled_from(["{home}", "~", "$HOME"]),
    end=st.sampled_from(["", "/", "//", "/."]),
    around=st.sampled_from(["{}", " {} ", "'{}'", '"{}"', "{}\n"]),
)
def test_any_way_to_write_the_folder_finds_it(tmp_path_factory, folder, inside, start, end, around):
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        patch.setenv("HOME", str(home))
        patch.setenv("RESNETBOOK_DATA", around.format("/".join([start.format(home=home), *folder]) + end))
        patch.setattr(files, "_checked", set())
        patch.setattr(files, "card", CARDS.__getitem__)
        where = put(home.joinpath(*folder) / inside, "pneumoniamnist")
        assert data.find("pneumoniamnist").resolve() == where.resolve()


@pytest.mark.parametrize("name", CARDS)
@pytest.mark.parametrize(
    ("variable", "made", "says"),
    [
        ("~/data", "data", "names ~/data"),
        ("{home}/data", "data", "put it into one of these folders"),
        ("~/data", None, "RESNETBOOK_DATA is '~/data', and there is no folder ~/data"),
        ("/no/such place", None, "there is no folder /no/such place"),
        (None, None, "set RESNETBOOK_DATA to a folder that holds it"),
        ("", None, "set RESNETBOOK_DATA to a folder that holds it"),
    ],
)
def test_missing_says_where_was_looked_and_not_what_was_done(small, monkeypatch, name, variable, made, says):
    if made:
        (small / made).mkdir()
    if variable is not None:
        monkeypatch.setenv("RESNETBOOK_DATA", variable.format(home=small))
    with pytest.raises(data.DataMissing) as error:
        data.find(name)
    message = str(error.value)
    assert says in message
    assert "\n" not in message
    if made:
        assert "set RESNETBOOK_DATA" not in message
        assert CARDS[name].files[0].path in message
        for place in places.places(CARDS[name]):
            assert places.shown(place.folder) in message


def test_a_damaged_copy_is_named_with_its_folder_and_has_to_go(small, monkeypatch):
    put(small / "data", "pneumoniamnist", b"<!DOCTYPE html><html>")
    put(small / ".cache/resnetbook/medmnist", "pneumoniamnist")
    monkeypatch.setenv("RESNETBOOK_DATA", "~/data")
    with pytest.raises(data.DataMissing, match=r"an HTML page.* in ~/data: remove pneumoniamnist\.npz there"):
        data.find("pneumoniamnist")
    (small / "data/pneumoniamnist.npz").write_bytes(b"")
    with pytest.raises(data.DataMissing, match=r"an empty file"):
        data.find("pneumoniamnist")
    (small / "data/pneumoniamnist.npz").unlink()
    (small / "data/pneumoniamnist.npz").mkdir()
    with pytest.raises(data.DataMissing, match=r"cannot be read .pneumoniamnist\.npz"):
        data.find("pneumoniamnist")


def test_files_of_another_set_in_a_folder_of_all_kinds_hide_nothing(small, monkeypatch):
    """`labels.csv` and `images/001.png` may be anybody's; they are no damaged copy of the cells."""
    put(small / "data", "wbc", b"another set's")
    monkeypatch.setenv("RESNETBOOK_DATA", "~/data")
    with pytest.raises(
        data.DataMissing, match=r"not on this machine .*what ~/data holds is not as published"
    ):
        data.find("wbc")
    put(small / ".cache/resnetbook/wbc", "wbc")
    assert data.find("wbc") == small / ".cache/resnetbook/wbc"


def test_the_named_folder_comes_before_the_cache_and_both_before_the_package(small, monkeypatch):
    package, cached, named = (
        put(small / folder, "pneumoniamnist")
        for folder in (".medmnist", ".cache/resnetbook/medmnist", "data/medmnist")
    )
    monkeypatch.setenv("RESNETBOOK_DATA", "~/data")
    for expected in (named, cached, package):
        assert data.find("pneumoniamnist") == expected
        os.remove(expected / "pneumoniamnist.npz")


def test_a_set_is_located_where_all_of_it_lies_or_where_a_part_lies_in_its_own_folder(small, monkeypatch):
    """In a folder of all kinds of data a `labels.csv` alone may be another set's; in the set's own folder it is not."""
    monkeypatch.setenv("RESNETBOOK_DATA", str(small / "data"))
    entry, flat, own = CARDS["wbc"], small / "data", small / "data" / "wbc"
    assert files.located(entry) is None
    put(flat, "wbc")
    assert files.located(entry) == flat
    (flat / "images" / "001.png").unlink()
    assert files.located(entry) is None
    own.mkdir()
    (own / "labels.csv").write_bytes(b"anything")
    assert files.located(entry) == own
