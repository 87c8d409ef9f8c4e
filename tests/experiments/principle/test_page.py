"""The networks that run in a page: trained alike, exported within their rounding, and what is committed is what it says."""

import math
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from resnetbook import cli
from resnetbook.experiments.principle import _page, _page_picture, _page_script
from resnetbook.lab import data, training
from resnetbook.lab.data import transforms
from resnetbook.principle import paths
from resnetbook.principle.folding import folded
from resnetbook.principle.twins import TwinNet, twins

ROOT = Path(__file__).parents[3]
STATIC = ROOT / "book" / "_static"
SHORT = training.Settings(epochs=1, batch_size=100, device="cpu")
tiny = partial(_page.train, settings=SHORT, depth=8, widths=(2, 3, 4))


@pytest.fixture(scope="module")
def digits():
    return _page.digits()


@pytest.fixture(scope="module")
def small(digits):
    return replace(digits, train=digits.train.subset(range(300)))


@pytest.fixture
def pair():
    torch.manual_seed(3)
    plain, residual = twins(14, widths=(3, 3, 5))
    for network in (plain, residual):
        with torch.no_grad():
            network(torch.randn(64, 1, 8, 8))  # statistics other than 0 and 1
    return {"residual": residual.eval(), "plain": plain.eval()}


@pytest.fixture
def written(tmp_path, pair, digits):
    return _page_script.write(tmp_path / "weights.js", pair, digits)


def test_both_are_trained_from_the_same_weights_and_kept_in_checkpoints(small, tmp_path):
    networks = tiny(small, tmp_path)
    assert {name: network.blocks[0][1].residual for name, network in networks.items()} == {
        "residual": True,
        "plain": False,
    }
    assert not any(network.training for network in networks.values())
    torch.manual_seed(SHORT.seed)
    start = twins(8, widths=(2, 3, 4))[0].fc.weight
    assert all(0 < (network.fc.weight - start).abs().max() < 1 for network in networks.values())
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    again = tiny(small, tmp_path)
    for name, network in networks.items():
        state = again[name].state_dict()
        assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    with pytest.raises(ValueError, match="belongs to a training with other settings"):
        tiny(small, tmp_path, settings=replace(SHORT, epochs=2))


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        ((0.5, 0.25 / 0.35, 0.5, 0.5), lambda x: x),
        ((0.5, 0.0, 0.5, 0.5), lambda x: transforms.scale(x, 0.75, fill=0.0)),
        ((1.0, 0.25 / 0.35, 0.5, 0.5), lambda x: transforms.rotate(x, 12, fill=0.0)),
        ((0.5, 0.25 / 0.35, 1.0, 0.5), lambda x: transforms.shift(x, 0, -1, fill=0.0)),
        ((0.5, 0.25 / 0.35, 0.5, 0.0), lambda x: transforms.shift(x, 1, 0, fill=0.0)),
    ],
)
def test_each_movement_is_that_of_the_transforms(monkeypatch, digits, drawn, expected):
    """Drawings replaced by known ones: angle, size, shift to the side, shift along."""
    values = iter(drawn)
    monkeypatch.setattr(torch, "rand", lambda count, generator: torch.full((count,), next(values)))
    x = digits.train.images[:4]
    torch.testing.assert_close(_page.moved(x, torch.Generator()), expected(x), atol=2e-5, rtol=0)


def test_images_move_by_drawings_of_their_own(digits):
    x = digits.train.images[:1].expand(3, -1, -1, -1)
    first, second, third = _page.moved(x, torch.Generator().manual_seed(1))
    assert min((first - second).abs().max(), (first - third).abs().max()) > 0.05
    torch.testing.assert_close(_page.moved(x, torch.Generator().manual_seed(1))[0], first)


def test_what_is_read_is_the_folded_network_within_its_rounding(written, pair, digits):
    for name, network in _page_script.read(written).items():
        whole = dict(folded(pair[name]).named_parameters())
        for key, value in network.named_parameters():
            exact = whole[key].detach()
            if key.endswith("bias"):
                assert torch.equal(value, exact)
            else:
                step = exact.flatten(1).abs().amax(1) / (2**15 - 1)
                error = (value - exact).flatten(1).abs().amax(1)
                assert (error <= 0.51 * step).all()
                assert (error > 0).any()
        with torch.no_grad():
            x = digits.test.images[:100]
            expected = pair[name](x)
            assert (network(x) - expected).abs().max() <= 1e-3 * expected.abs().max()
            assert not torch.equal(network(x), expected)


def test_one_network_gives_the_same_bytes_and_is_written_twice_without_a_change(
    written, pair, digits, tmp_path
):
    again = _page_script.write(tmp_path / "again.js", pair, digits)
    assert again.read_bytes() == written.read_bytes()
    twice = _page_script.write(tmp_path / "twice.js", _page_script.read(written), digits)
    first, second = (_page_script.read(path) for path in (written, twice))
    for name, network in first.items():
        for key, value in network.named_parameters():
            torch.testing.assert_close(dict(second[name].named_parameters())[key], value, rtol=1e-6, atol=0)


def test_channels_of_zeros_are_written_as_zeros(pair, digits, tmp_path):
    with torch.no_grad():
        pair["plain"].conv1.weight[1] = 0
    network = _page_script.read(_page_script.write(tmp_path / "w.js", pair, digits))["plain"]
    assert (network.conv1.weight[1] == 0).all()
    assert all(value.isfinite().all() for value in network.parameters())


def test_the_command_writes_script_and_picture_and_takes_the_checkpoints(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(_page, "train", tiny)
    arguments = ["export-js", "-o", str(tmp_path / "out"), "--checkpoints", str(tmp_path / "kept")]
    assert cli.main(arguments) == 0
    said = capsys.readouterr().out
    script = tmp_path / "out" / "network-weights.js"
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {"residual.ckpt", "plain.ckpt"}
    for name, network in _page_script.read(script).items():
        accuracy = training.evaluate(network, _page.digits().test, device="cpu")["accuracy"]
        assert f"{name}: accuracy {accuracy:.4f}" in said
    files = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert len(files) == 2
    assert cli.main(arguments) == 0  # both trainings are finished: only loaded
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == files


def test_without_a_checkout_the_folder_must_be_named(monkeypatch):
    monkeypatch.setattr(_page, "checkout", lambda: None)
    with pytest.raises(ValueError, match="folder=None: expected the folder"):
        _page.export()


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            TwinNet(8, widths=(2, 3, 4), shortcut="B"),
            r"9|10 layers: expected one channel and shortcuts of type A, so 8 layers",
        ),
        (TwinNet(8, widths=(2, 3, 4), in_channels=3), "of 3 channels with 8 layers: expected one channel"),
    ],
)
def test_other_networks_are_refused(network, message, digits, tmp_path):
    with pytest.raises(ValueError, match=message):
        _page_script.write(tmp_path / "w.js", {"residual": network}, digits)
    assert not list(tmp_path.iterdir())


def test_images_that_are_no_sixteenths_are_refused(pair, tmp_path):
    with pytest.raises(ValueError, match="images: expected values from 0 to 1 in steps of 1/16"):
        _page_script.write(tmp_path / "w.js", pair, data.load("digits"))
    assert not list(tmp_path.iterdir())


def test_another_script_is_refused(tmp_path):
    path = tmp_path / "other.js"
    path.write_text("window.other = 1;\n")
    with pytest.raises(
        ValueError, match=r"path='other.js': expected a script that `resnetbook export-js` wrote"
    ):
        _page_script.read(path)


def test_the_committed_script_says_what_its_networks_do(digits):
    path = STATIC / "network-weights.js"
    found, networks = _page_script.content(path), _page_script.read(path)
    assert path.stat().st_size < 400_000
    assert found["attribution"] == data.attribution("digits")
    assert found["tested"] == len(digits.test) == 597
    assert [entry["label"] for entry in found["images"]] == [*range(10), *range(10)]
    stored = {
        tuple(x.flatten().tolist()): int(y)
        for x, y in zip(digits.test.images, digits.test.labels, strict=True)
    }
    assert all(
        stored[tuple(_page_script.image(entry).flatten().tolist())] == entry["label"]
        for entry in found["images"]
    )
    x = _page_script.image(found["images"][found["shown"]])[None, None]
    assert set(networks) == {"residual", "plain"}
    for name, network in networks.items():
        entry = found["networks"][name]
        assert (
            sum(isinstance(module, nn.Conv2d | nn.Linear) for module in network.modules())
            == entry["depth"]
            == 20
        )
        assert network.blocks[0][1].residual == entry["residual"] == (name == "residual")
        # One image of 597 may turn with the order of additions on another processor.
        accuracy = training.evaluate(network, digits.test, device="cpu")["accuracy"]
        assert accuracy == pytest.approx(entry["accuracy"], abs=1.1 / 597)
        assert accuracy > 0.95
        with torch.no_grad():
            assert entry["prepared"]["on"] == pytest.approx(network(x).softmax(1)[0].tolist(), abs=1e-4)
            with paths.lesion(network, network.blocks[found["off"]][0]):
                assert entry["prepared"]["off"] == pytest.approx(network(x).softmax(1)[0].tolist(), abs=1e-4)
        assert len(entry["prepared"]["sizes"]) == 10


def test_the_picture_shows_what_the_script_says(tmp_path):
    found = _page_script.content(STATIC / "network-weights.js")
    figure = _page_picture._draw(found)
    picture, on, off, along = figure.axes
    np.testing.assert_allclose(
        picture.images[0].get_array(), _page_script.image(found["images"][found["shown"]])
    )
    for axes, state in ((on, "on"), (off, "off")):
        heights = [[bar.get_height() for bar in bars] for bars in axes.containers]
        assert heights == [found["networks"][kind]["prepared"][state] for kind in ("residual", "plain")]
    assert off.get_title(loc="left") + off.get_title() == f"block {found['off'] + 1} off"
    assert [line.get_ydata().tolist() for line in along.lines] == [
        found["networks"][kind]["prepared"]["sizes"] for kind in ("residual", "plain")
    ]
    assert [text.get_text() for text in along.get_legend().get_texts()] == ["residual", "plain"]
    made = _page_picture.write(tmp_path / "a.png", STATIC / "network-weights.js")
    assert made.read_bytes().startswith(b"\x89PNG")
    with Image.open(made) as new, Image.open(STATIC / "network.png") as committed:
        assert new.size == committed.size


def test_the_committed_picture_is_the_one_that_is_drawn_now(tmp_path):
    """Another version of matplotlib draws text elsewhere, so only the pinned one is held to the pixels, and it says so."""
    (pinned,) = re.findall(r"(?m)^matplotlib==(\S+)", (ROOT / "requirements.txt").read_text("utf-8"))
    if matplotlib.__version__ != pinned:
        pytest.skip(f"drawn with matplotlib {pinned}, here is {matplotlib.__version__}")
    made = _page_picture.write(tmp_path / "a.png", STATIC / "network-weights.js")
    with Image.open(made) as new, Image.open(STATIC / "network.png") as committed:
        difference = np.abs(np.asarray(new.convert("L"), float) - np.asarray(committed.convert("L"), float))
    assert difference.mean() < 2  # fonts may differ a little between machines


def test_the_form_of_the_script_is_the_one_that_pages_read():
    """Each key that network.js and network-page.js take from it is there."""
    found = _page_script.content(STATIC / "network-weights.js")
    page, computed = ((STATIC / name).read_text() for name in ("network-page.js", "network.js"))
    taken = re.search(r"const \{ (.*?) \} = window\.rbNetworks", page)[1]
    assert {name.split(":")[0].strip() for name in taken.split(",")} <= set(found)
    layer = found["networks"]["residual"]["layers"][0]
    assert set(re.findall(r"layer\.(\w+)", computed)) - {"weights", "offsets"} <= set(layer)
    assert math.isqrt(found["levels"]) ** 2 == found["levels"]  # a cell is a square of dots
