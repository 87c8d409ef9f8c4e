"""Weights from a file: whatever lies in it, the answer is the weights or a ValueError that says what was found."""

import argparse
import builtins
import gzip
import io
import json
import pathlib
import pickle
import tarfile
import traceback
import warnings
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from resnetbook import timeline
from resnetbook.timeline import _weights_names, lenet, pretrained

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 1\n"


def network() -> nn.Module:
    torch.manual_seed(3)
    return timeline.create_model("lenet5")


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    return network().state_dict()


def saved(content, **how) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **how)
    return buffer.getvalue()


def as_safetensors(content) -> bytes:
    from safetensors.torch import save

    return save(content)


def as_npz(content) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **{key: value.numpy() for key, value in content.items()})
    return buffer.getvalue()


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("weights.pt")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


class Tampered:
    """What a hostile file asks to be called when it is read."""

    def __reduce__(self):
        return exec, ("import builtins; builtins.tampered = True",)


def scripted() -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), buffer)
    return buffer.getvalue()


def flipped(content: bytes) -> bytes:
    """One bit of the numbers is another: torch reads that without a word."""
    at = content.index(lenet_bytes(content)) + 5
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def lenet_bytes(content: bytes) -> bytes:
    return network().state_dict()["c1.weight"].numpy().tobytes()


def objects() -> np.ndarray:
    return np.array([{"a": 1}], dtype=object)


def npz_of_objects() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, a=objects())
    return buffer.getvalue()


# What lies in the file, made from good weights, and what the message has to say.
FOREIGN = {
    "html": (lambda w: b"<!DOCTYPE html>\n<html><head><title>Sign in</title>", "an HTML page"),
    "html-blank-first": (lambda w: b"\n  <html lang='en'>", "an HTML page"),
    "html-utf16": (lambda w: "<html><body>no".encode("utf-16"), "an HTML page"),
    "xml": (lambda w: b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "an XML or HTML text"),
    "json": (lambda w: json.dumps({"error": "not found"}).encode(), "a text that begins"),
    "text": (lambda w: b"404: Not Found", "a text that begins '404: Not Found'"),
    "text-with-accents": (lambda w: "Téléchargement refusé. ".encode() * 40, "a text that begins"),
    "pointer": (lambda w: POINTER, "a Git LFS pointer"),
    "empty": (lambda w: b"", "an empty file"),
    "zeros": (lambda w: bytes(5000), "nothing but zeros"),
    "gzip": (lambda w: gzip.compress(saved(w)), "a gzip archive: unpack it first"),
    "tar": (lambda w: tarred(saved(w)), "a tar archive: unpack it first"),
    "zip-of-weights": (lambda w: zipped(**{"weights.pt": saved(w)}), "a zip archive of weights.pt"),
    "zip-of-nothing": (lambda w: zipped(), "a zip archive of nothing"),
    "keras": (lambda w: b"\x89HDF\r\n\x1a\n" + bytes(100), "an HDF5 file"),
    "onnx": (lambda w: b"\x08\x07\x12\x07pytorch\x1a\x050.0.1" * 30, "not a file that torch.save wrote"),
    "noise": (lambda w: np.random.default_rng(0).bytes(4000), "not a file that torch.save wrote"),
    "truncated-zip": (lambda w: saved(w)[:100_000], "a zip archive without its end"),
    "truncated-legacy": (
        lambda w: saved(w, _use_new_zipfile_serialization=False)[:100_000], "is damaged or broke off",
    ),
    "truncated-legacy-early": (
        lambda w: saved(w, _use_new_zipfile_serialization=False)[:300], "is damaged or broke off",
    ),
    "truncated-safetensors": (lambda w: as_safetensors(w)[:10_000], "is damaged or broke off"),
    "damaged-zip": (lambda w: flipped(saved(w)), "a damaged archive"),
    "module": (lambda w: saved(network()), "a whole module"),
    "module-legacy": (lambda w: saved(network(), _use_new_zipfile_serialization=False), "a whole module"),
    "module-in-a-checkpoint": (lambda w: saved({"model": network(), "epoch": 3}), "a whole module"),
    "module-by-pickle": (lambda w: pickle.dumps(network()), "a whole module"),
    "hostile": (lambda w: saved({"state_dict": w, "extra": Tampered()}), "objects of"),
    "dict-by-pickle": (lambda w: pickle.dumps({key: value.numpy() for key, value in w.items()}), "not a file that torch.save"),
    "script": (lambda w: scripted(), "a TorchScript archive"),
    "npz-of-objects": (lambda w: npz_of_objects(), "something else than numbers"),
    "npy": (lambda w: b"\x93NUMPY\x01\x00" + bytes(100), "one NumPy array"),
    "tensor": (lambda w: saved(w["c1.weight"]), "one tensor of shape"),
    "list": (lambda w: saved(list(w.values())), "a list, expected a state_dict"),
    "number": (lambda w: saved(3), "a int, expected a state_dict"),
    "none": (lambda w: saved(None), "a NoneType, expected a state_dict"),
    "nothing": (lambda w: saved({}), "no tensors under names"),
    "no-tensors": (lambda w: saved({"epoch": 3, "loss": 0.1}), "'epoch', 'loss'"),
    "numbered": (lambda w: saved(dict(enumerate(w.values()))), "no tensors under names"),
    "optimiser": (lambda w: saved(torch.optim.SGD(network().parameters(), lr=0.1).state_dict()), "an optimiser's state"),
    "meta": (lambda w: saved({k: v.to("meta") for k, v in w.items()}), "c1.weight is a tensor without its numbers"),
    "integers": (lambda w: saved({k: v.to(torch.int8) for k, v in w.items()}), "no floating-point numbers"),
    "complex": (lambda w: saved({k: v.to(torch.complex64) for k, v in w.items()}), "no floating-point numbers"),
    "sparse": (lambda w: saved({k: v.to_sparse() for k, v in w.items()}), "sparse"),
    "two-that-fit": (
        lambda w: saved({"student": w, "teacher": {k: v + 1 for k, v in w.items()}}), "['student'] and ['teacher']",
    ),
    "two-prefixes": (
        lambda w: saved({f"{p}.{k}": v + n for n, p in enumerate(("one", "two")) for k, v in w.items()}), "'one.'",
    ),
    "another-network": (lambda w: saved(nn.Linear(3, 3).state_dict()), "none of the file's names"),
    "a-part": (lambda w: saved({k: w[k] for k in list(w)[:4]}), "10 that the network needs are missing, 0 are not its own"),
    "more": (lambda w: saved({**w, "head.weight": torch.zeros(1)}), "0 that the network needs are missing, 1 are not its own"),
    "nested-part": (lambda w: saved({"state_dict": {f"module.{k}": w[k] for k in list(w)[:4]}}), "['state_dict'] with the prefix"),
    "classes": (
        lambda w: saved(timeline.create_model("lenet5", num_classes=7).state_dict()), "build the network with the published",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FOREIGN)
def test_what_is_no_weights_is_named(case, weights, tmp_path):
    make, words = FOREIGN[case]
    path = tmp_path / "weights.pt"
    path.write_bytes(make(weights))
    model = network()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(ValueError, match="weights") as error:
        pretrained.load(model, "lenet5", path)
    message = str(error.value)
    assert words in message
    assert "\n" not in message
    # Nobody is told to run what the file says, neither here nor in an error shown beneath.
    assert "weights_only" not in "".join(traceback.format_exception(error.value))
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert not hasattr(builtins, "tampered")


def test_a_folder_a_missing_file_and_things_that_are_no_path(weights, tmp_path, monkeypatch):
    (tmp_path / "model.safetensors").write_bytes(as_safetensors(weights))
    with pytest.raises(ValueError, match=r"a folder, expected a file; it holds model\.safetensors"):
        timeline.create_model("lenet5", weights=tmp_path)
    for text in ("", "IMAGENET1K_V1", "x" * 5000, str(tmp_path / "none.pt")):
        with pytest.raises(FileNotFoundError, match="expected a path, 'torchvision' or 'timm'"):
            timeline.create_model("lenet5", weights=text)
    for thing in (weights, network(), 3, True):
        with pytest.raises(ValueError, match=f"weights of type {type(thing).__name__}: expected a path"):
            timeline.create_model("lenet5", weights=thing)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert timeline.create_model("lenet5", weights="~/model.safetensors") is not None


def test_safetensors_is_named_where_it_is_missing(weights, tmp_path, monkeypatch):
    path = tmp_path / "weights.bin"
    path.write_bytes(as_safetensors(weights))
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name.startswith("safetensors"):
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ValueError, match="pip install safetensors"):
        timeline.create_model("lenet5", weights=path)


# How the same weights are wrapped, and the words of the warning that tells what was taken away.
WRAPPED = {
    "state_dict": (lambda w: {"state_dict": w, "epoch": 3}, ["['state_dict']"]),
    "model_state_dict": (lambda w: {"model_state_dict": w, "optimizer": {"state": {}, "param_groups": []}}, ["['model_state_dict']"]),
    "model": (lambda w: {"model": w, "best": torch.tensor(0.9)}, ["['model']"]),
    "ema": (lambda w: {"model_ema": w}, ["['model_ema']"]),
    "model-beside-its-average": (
        lambda w: {"model_ema": {k: v + 1 for k, v in w.items()}, "model": w}, ["['model']", "not taken: ['model_ema']"],
    ),
    "a-name-of-one's-own-beside-its-average": (
        lambda w: {"ema": {k: v + 1 for k, v in w.items()}, "student": w}, ["['student']", "not taken: ['ema']"],
    ),
    "nested-twice": (lambda w: {"checkpoint": {"state_dict": w}}, ["['checkpoint']['state_dict']"]),
    "module": (lambda w: {f"module.{k}": v for k, v in w.items()}, ["'module.'"]),
    "compiled": (lambda w: {f"_orig_mod.{k}": v for k, v in w.items()}, ["'_orig_mod.'"]),
    "both": (lambda w: {f"module._orig_mod.{k}": v for k, v in w.items()}, ["'module.'", "'_orig_mod.'"]),
    "both-the-other-way": (lambda w: {f"_orig_mod.module.{k}": v for k, v in w.items()}, ["'_orig_mod.'", "'module.'"]),
    "lightning": (
        lambda w: {"state_dict": {**{f"model.{k}": v for k, v in w.items()}, "loss.weight": torch.ones(10)}, "hparams": {}},
        ["['state_dict']", "'model.'", "loss.weight"],
    ),
    "lightning-with-average": (
        lambda w: {"state_dict": {**{f"model.{k}": v for k, v in w.items()}, **{f"ema_model.module.{k}": v + 1 for k, v in w.items()}}},
        ["'model.'", "not taken"],
    ),
    "averaged": (lambda w: {"n_averaged": torch.tensor(5), **{f"module.{k}": v for k, v in w.items()}}, ["'module.'", "n_averaged"]),
    "a-name-of-one's-own": (lambda w: {f"my_net.{k}": v for k, v in w.items()}, ["'my_net.'"]),
    "a-part-wrapped": (
        lambda w: {k.replace("c3.", "c3.module.") if k.startswith("c3.") else k: v for k, v in w.items()}, ["'module.'"],
    ),
    "half": (lambda w: {k: v.half() for k, v in w.items()}, ["converted from float16"]),
    "bfloat16-and-double": (
        lambda w: {k: v.bfloat16() if "c" in k else v.double() for k, v in w.items()}, ["converted from bfloat16 and float64"],
    ),
    "options-and-scores-beside": (
        lambda w: {"state_dict": w, "args": argparse.Namespace(lr=0.1), "best": np.float64(0.9), "out": pathlib.Path("x")},
        ["['state_dict']"],
    ),
    "the-same-twice": (lambda w: {"model": w, "state_dict": w}, ["["]),
}  # fmt: skip


@pytest.mark.parametrize("case", WRAPPED)
def test_wrapped_weights_are_taken_and_said(case, weights, tmp_path):
    wrap, words = WRAPPED[case]
    path = tmp_path / "weights.pt"
    path.write_bytes(saved(wrap(weights)))
    with pytest.warns(UserWarning, match="weights for lenet5: ") as told:
        loaded = timeline.create_model("lenet5", weights=path).state_dict()
    text = str(told[0].message)
    assert all(word in text for word in words), text
    assert told[0].filename == __file__
    tolerance = {"half": 1e-3, "bfloat16-and-double": 1e-2}.get(case, 0)
    for key, value in weights.items():
        torch.testing.assert_close(loaded[key], value, rtol=tolerance, atol=tolerance)


FORMS = {
    "zip": saved,
    "legacy": lambda content: saved(content, _use_new_zipfile_serialization=False),
    "ordered": lambda content: saved(OrderedDict(content)),
    "safetensors": as_safetensors,
    "npz": as_npz,
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_file_is_read_without_a_word(form, weights, tmp_path):
    path = tmp_path / "weights.any"
    path.write_bytes(FORMS[form](weights))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = timeline.create_model("lenet5", weights=path).state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in weights.items())


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a,
        lambda a: a.astype(a.dtype.newbyteorder(">")),
        lambda a: np.array(a, order="F"),
        np.longdouble,
    ],
)
def test_arrays_of_any_layout_and_counters_without_dimension(change, tmp_path):
    source = timeline.create_model("resnet20", num_classes=3).state_dict()
    buffer = io.BytesIO()
    np.savez(buffer, **{key: change(value.numpy()) for key, value in source.items()})
    (tmp_path / "weights.npz").write_bytes(buffer.getvalue())
    with warnings.catch_warnings(record=True):
        loaded = timeline.create_model(
            "resnet20", weights=tmp_path / "weights.npz", num_classes=3
        ).state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in source.items())


WORDS = st.sampled_from([*_weights_names.PLAIN, *_weights_names.AVERAGES, "checkpoint", "generator"])


@settings(max_examples=30, deadline=None)
@given(
    nesting=st.lists(WORDS, max_size=3),
    prefix=st.lists(WORDS, max_size=3),
    others=st.dictionaries(
        st.sampled_from(["epoch", "optimizer", "rng", "step"]), st.integers() | st.text(max_size=5)
    ),
    form=st.sampled_from(["zip", "legacy"]),
)
def test_any_nesting_and_prefix_gives_the_same_weights(
    tmp_path_factory, weights, nesting, prefix, others, form
):
    content = {".".join([*prefix, key]): value for key, value in weights.items()}
    for word in reversed(nesting):
        content = {**others, word: content}
    path = tmp_path_factory.mktemp("any") / "weights.pt"
    path.write_bytes(FORMS[form](content))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        loaded = timeline.create_model("lenet5", weights=path).state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in weights.items())
    assert bool(told) == bool(nesting or prefix)


@settings(max_examples=60, deadline=None)
@given(
    form=st.sampled_from(sorted(FORMS)),
    share=st.floats(0, 0.999),
    at=st.floats(0, 1),
    byte=st.integers(0, 255),
)
def test_a_file_cut_anywhere_or_damaged_gives_a_value_error(tmp_path_factory, weights, form, share, at, byte):
    whole = FORMS[form](weights)
    path = tmp_path_factory.mktemp("cut") / "weights.pt"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match="weights"):
        timeline.create_model("lenet5", weights=path)
    if form in ("zip", "npz"):  # the other forms carry no sums
        place = int(at * (len(whole) - 1))
        path.write_bytes(whole[:place] + bytes([byte]) + whole[place + 1 :])
        try:
            loaded = timeline.create_model("lenet5", weights=path).state_dict()
        except ValueError:
            return
        assert all(torch.equal(loaded[key], value) for key, value in weights.items())


@settings(max_examples=80, deadline=None)
@given(
    start=st.sampled_from(
        [
            b"",
            b"PK\x03\x04",
            b"\x80\x02",
            b"\x80\x04\x95",
            b"<",
            b"\x93NUMPY",
            b"\x08\x00\x00\x00\x00\x00\x00\x00{",
        ]
    ),
    rest=st.binary(max_size=300),
)
def test_any_bytes_give_a_value_error(tmp_path_factory, start, rest):
    path = tmp_path_factory.mktemp("bytes") / "weights.pt"
    path.write_bytes(start + rest)
    with pytest.raises(ValueError, match="weights"):
        timeline.create_model("lenet5", weights=path)


@pytest.mark.parametrize(
    "name",
    ["lenet5", "alexnet", "googlenet", "resnet20", "resnet50", "wrn16_4", "resnet_init18", "rir18_wide", "densenet121", "dpn68",
     "inception_v3", "nasnet_a_mobile", "resnext50_32x4d"],
)  # fmt: skip
def test_no_network_uses_a_wrappers_word_in_its_names(name, on_meta):
    """Else a prefix could be taken from a name that is the network's own."""
    parts = {part for key in on_meta(name).state_dict() for part in key.split(".")}
    assert not parts & {*_weights_names.PLAIN, *_weights_names.AVERAGES}


def test_a_file_with_timms_names_is_translated(weights, tmp_path, monkeypatch):
    """Who saves timm's state_dict on another machine, as the message offline recommends, can load it here."""
    monkeypatch.setattr(lenet, "TIMM_KEYS", [(r"^stem\.", "c1."), (r"^head\.", "output.")], raising=False)
    theirs = {
        key.replace("c1.", "stem.").replace("output.", "head."): value for key, value in weights.items()
    }
    assert theirs.keys() != weights.keys()
    path = tmp_path / "weights.pt"
    path.write_bytes(saved({"state_dict": {f"module.{key}": value for key, value in theirs.items()}}))
    with pytest.warns(UserWarning, match="timm's names were brought to ours"):
        loaded = timeline.create_model("lenet5", weights=path).state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in weights.items())


@pytest.mark.parametrize("content", [b"<html>", POINTER, b"", b"PK\x03\x04 half a download"])
def test_a_damaged_copy_in_torchvisions_cache_is_named(content, tmp_path, monkeypatch):
    import torchvision

    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    file = torchvision.models.ResNet18_Weights.IMAGENET1K_V1.url.rpartition("/")[2]
    (folder / file).write_bytes(content)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(
        ValueError, match="without this file in its cache torchvision fetches it again"
    ) as error:
        timeline.create_model("resnet18", weights="torchvision")
    assert file in str(error.value)


def test_a_transfer_that_broke_off_is_a_connection_error(tmp_path, monkeypatch):
    def broken(*arguments, **options):
        raise RuntimeError('invalid hash value (expected "f37072fd", got "0")')

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", broken)
    with pytest.raises(ConnectionError, match=r"could not be fetched .*invalid hash"):
        timeline.create_model("resnet18", weights="torchvision")
