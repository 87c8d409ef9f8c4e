"""Blocks taken out: a block that adds nothing costs nothing, and what is measured is what a hand-made deletion gives."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from resnetbook.experiments.timeline import deletion, dropped_layers, two_streams
from resnetbook.lab import training
from resnetbook.lab.data import Part, load

SETTINGS = deletion.Settings(networks=("residual-14", "plain-14", "stochastic-14"), together=(2, 6), draws=3)


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


def test_drops_are_those_of_zeroed_branches(trained, data):
    found = deletion.deletions(SETTINGS, trained, data, "cpu")
    whole = training.evaluate(trained, data.test, device="cpu")["accuracy"]
    assert whole > 0.5
    assert len(found["drops"]) == 6
    for (name, _), drop in zip(trained.blocks, found["drops"], strict=True):
        blind = copy.deepcopy(trained)
        last = blind.get_submodule(name).bn2
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        assert training.evaluate(blind, data.test, device="cpu")["accuracy"] == pytest.approx(whole - drop)
    assert found["worst_drop"] == max(found["drops"]) > 0
    assert found["redundant"] * 6 + found["needed"] == 6
    assert found["after_1"] == pytest.approx(whole - sum(found["drops"]) / 6)
    # All six out: only the shortcuts are left, whichever set is drawn.
    for _, block in (blind := copy.deepcopy(trained)).blocks:
        nn.init.zeros_(block.bn2.weight)
        nn.init.zeros_(block.bn2.bias)
    assert found["after_6"] == pytest.approx(training.evaluate(blind, data.test, device="cpu")["accuracy"])


def test_a_block_that_adds_nothing_is_redundant_and_does_not_respond(trained, data):
    blind = copy.deepcopy(trained)
    _, block = blind.blocks[1]
    nn.init.zeros_(block.bn2.weight)
    nn.init.zeros_(block.bn2.bias)
    response = deletion.responses(blind, data.test.images)
    assert [index for index, value in enumerate(response) if value == 0] == [1]
    assert deletion.deletions(SETTINGS, blind, data, "cpu")["drops"][1] == 0
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


def test_arms_of_the_other_two_start_alike(data):
    settings = dropped_layers.Settings(depth=8)
    states = []
    for arm in dropped_layers.arms(settings):
        training.seed_everything(3)
        states.append(dropped_layers.network(settings, arm, data).state_dict())
    assert all(torch.equal(states[0][k], state[k]) for state in states for k in states[0])

    streams = two_streams.Settings(depth=8)
    built = {}
    for arm in two_streams.arms(streams):
        training.seed_everything(3)
        built[arm] = two_streams.network(streams, arm, data)
    counts = {arm: sum(p.numel() for p in net.parameters()) for arm, net in built.items()}
    assert len(set(counts.values())) == 1, counts
    first = built["rir"].state_dict()
    for arm in ("inner", "both", "plain"):
        assert all(torch.equal(first[k], v) for k, v in built[arm].state_dict().items())
    x = data.test.images[:8]
    outputs = [net.eval()(x) for net in built.values()]
    assert all(not torch.equal(a, b) for i, a in enumerate(outputs) for b in outputs[:i])
    assert two_streams.group_sizes(built["resnet"]) == {}
    assert two_streams.group_sizes(built["rir"])["rr"] > 0
