"""The arms of pooling_kinds differ in what halves, and in nothing else."""

import dataclasses

import pytest
import torch
from torch.nn import functional

from resnetbook.experiments.structure._statistics import as_evaluated
from resnetbook.experiments.structure.pooling_kinds import KINDS, Settings, network
from resnetbook.lab.data import load, redrawn

DATA = load("digits", normalise=False)


def build(arm):
    torch.manual_seed(0)
    return network(Settings(), arm, DATA)


def test_parameters_are_equal_but_for_the_strided_convolutions():
    count = {arm: sum(p.numel() for p in build(arm).parameters()) for arm in KINDS}
    extra = 4 * (8 * 8 + 16 * 16)
    assert {n for arm, n in count.items() if arm != "strided"} == {count["max"]}
    assert count["strided"] == count["max"] + extra


def test_what_halves():
    x = torch.randn(2, 8, 8, 8)
    layers = {arm: build(arm).between[0][0] for arm in KINDS}
    positive = x.relu()  # all arms rectify: stochastic pooling has to
    assert torch.equal(layers["max"](x), functional.max_pool2d(positive, 2))
    assert torch.equal(layers["average"](x), functional.avg_pool2d(positive, 2))
    assert torch.equal(layers["none"](x), positive)
    padded = functional.pad(positive, (0, 1, 0, 1), value=-torch.inf)
    assert torch.equal(layers["overlapping"](x), functional.max_pool2d(padded, 3, 2))
    strided, mixed = layers["strided"][1], layers["mixed"][1]
    assert torch.equal(layers["strided"](x), functional.conv2d(positive, strided.weight, stride=2))
    assert (mixed.granularity, mixed.p) == ("layer", 0.5)
    for arm, layer in layers.items():
        assert layer(x).shape[2] == (8 if arm == "none" else 4)


def test_all_other_weights_start_alike():
    first, other = build("max").state_dict(), build("stochastic").state_dict()
    assert first.keys() == other.keys()
    assert all(torch.equal(first[key], other[key]) for key in first)


def test_the_strided_convolution_starts_as_all_others_do():
    weight = build("strided").between[1][0][1].weight  # 16 channels, 2x2: fan_out 64
    assert abs(weight.std() - (2 / 64) ** 0.5) < 0.1 * (2 / 64) ** 0.5


@pytest.mark.parametrize("arm", ["max", "stochastic", "mixed"])
def test_statistics_are_those_of_the_network_as_it_is_evaluated(arm):
    """After the step each norm's mean is that of its input over the training images, pooling as in evaluation."""
    data = redrawn(DATA, 3, train_size=40)
    net = build(arm).train()
    before = torch.get_rng_state()
    watch = as_evaluated(dataclasses.replace(Settings(), batch_size=20), data)
    watch.on_step_end(0, net, torch.zeros(()))
    assert not net.norms[-1][0].running_mean.any()  # half an epoch
    watch.on_step_end(1, net, torch.zeros(()))
    assert torch.equal(before, torch.get_rng_state())
    assert all(module.training for module in net.modules())
    kept, seen = net.norms[-1][0].running_mean.clone(), []
    net.norms[-1][0].register_forward_pre_hook(lambda _, given: seen.append(given[0].mean((0, 2, 3))))
    # With batch statistics throughout, the last norm's input is what the estimate saw.
    for module in net.modules():
        module.training = isinstance(module, torch.nn.BatchNorm2d)
    with torch.no_grad():
        net(data.train.images)
    assert torch.allclose(seen[0], kept, atol=1e-5)
