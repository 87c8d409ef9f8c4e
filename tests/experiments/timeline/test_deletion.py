"""Blocks taken out: a block that adds nothing costs nothing, and what is measured is what a hand-made deletion gives."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from resnetbook.experiments.timeline import deletion
from resnetbook.lab import measuring, training
from resnetbook.lab.data import Part, load

SETTINGS = deletion.Settings(
    networks=("residual-14", "plain-14", "stochastic-14"), together=(2, 6), draws=3, short=8, images=50
)


@pytest.fixture(scope="module")
def data():
    digits = load("digits", train_size=100)
    return replace(digits, test=Part(digits.test.images[:120], digits.test.labels[:120]))


@pytest.fixture(scope="module")
def trained(data):
    training.seed_everything(0)
    model = deletion.network(SETTINGS, "residual-14", data)
    settings = training.Settings(epochs=6, learning_rate=0.05, batch_size=25, seed=0, device="cpu")
    training.fit(model, data.train, settings=settings, progress=False)
    return model


def silent(model, names):
    """Return a copy whose blocks of these names add nothing: the same network by other means than a deletion."""
    blind = copy.deepcopy(model)
    for name in names:
        last = blind.get_submodule(name).bn2
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
    return blind


def accuracy(model, data):
    return training.evaluate(model, data.test, device="cpu")["accuracy"]


def test_drops_are_those_of_zeroed_branches(trained, data):
    found = deletion.deletions(SETTINGS, trained, data)
    whole, names = accuracy(trained, data), [name for name, _ in trained.blocks]
    assert whole > 0.5
    assert len(found["drops"]) == 6
    left = []
    for name, drop, again in zip(names, found["drops"], found["drops_again"], strict=True):
        blind = silent(trained, [name])
        left.append(accuracy(blind, data))
        assert left[-1] == pytest.approx(whole - drop)
        with measuring.reestimated(blind, data.train.images[: SETTINGS.images]):
            assert accuracy(blind, data) == pytest.approx(whole - again)
    assert found["drops"] != found["drops_again"]
    assert found["worst_drop"] == max(found["drops"]) > 0
    assert found["after_1"] == pytest.approx(sum(left) / 6)
    assert found["kept_1"] == pytest.approx(sum(left) / 6 / whole)
    assert found["kept_block_2"] == pytest.approx(sum(left[1::2]) / 3 / whole)
    # All six out: only the shortcuts are left, whichever set is drawn; three of them, never a stage's first: one set alone.
    assert found["after_6"] == pytest.approx(accuracy(silent(trained, names), data))
    assert found["short_accuracy"] == pytest.approx(accuracy(silent(trained, names[1::2]), data))
    for metric, rows in found["outcomes"].items():
        assert len(rows) == 120
        assert float(rows.mean()) == pytest.approx(found[metric], abs=1e-6)


def test_a_network_of_the_short_depth_is_left_whole_and_a_shorter_one_is_not_asked():
    names = [f"layer{stage}.{block}" for stage in (1, 2, 3) for block in range(2)]
    sets = [
        [
            out
            for metric, out in deletion.sets_of_blocks(replace(SETTINGS, short=depth), names)
            if metric == "short_accuracy"
        ]
        for depth in (8, 14, 20)
    ]
    assert sets == [[["layer1.1", "layer2.1", "layer3.1"]] * 3, [[]], []]


def test_little_is_little_for_sure():
    """Of 100 images two are lost: .02 with an error of .014, so that the cost may be .043 and is not surely below .04."""
    clean = torch.ones(100, dtype=torch.bool)
    left = clean.clone()
    left[:2] = False
    assert deletion.costs_little(clean, left, 0.044)
    assert not deletion.costs_little(clean, left, 0.042)
    assert deletion.costs_little(clean, clean, 0.001)
    assert not deletion.costs_little(left, left, 0.0)


def test_a_block_that_adds_nothing_is_redundant_and_does_not_respond(trained, data):
    blind = copy.deepcopy(trained)
    _, block = blind.blocks[1]
    nn.init.zeros_(block.bn2.weight)
    nn.init.zeros_(block.bn2.bias)
    response = deletion.responses(blind, data.test.images)
    assert [index for index, value in enumerate(response) if value == 0] == [1]
    assert deletion.deletions(SETTINGS, blind, data)["drops"][1] == 0
    blind.eval()
    x = torch.relu(blind.bn1(blind.conv1(data.test.images)))
    first = blind.blocks[0][1]
    assert response[0] == pytest.approx((first.branch(x).norm() / x.norm()).item(), rel=1e-4)


def test_twins_and_the_stochastic_network_start_from_the_same_weights(data):
    states = []
    for arm in SETTINGS.networks:
        training.seed_everything(3)
        states.append(deletion.network(SETTINGS, arm, data).state_dict())
    for other in states[1:]:
        assert states[0].keys() == other.keys()
        assert all(torch.equal(states[0][key], other[key]) for key in other)
