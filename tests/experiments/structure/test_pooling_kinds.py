"""The arms of pooling_kinds differ in what halves, and in nothing else."""

import torch
from torch.nn import functional

from resnetbook.experiments.structure.pooling_kinds import KINDS, Settings, network
from resnetbook.lab.data import load

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
    x = torch.rand(2, 8, 8, 8)
    layers = {arm: build(arm).between[0][0] for arm in KINDS}
    assert torch.equal(layers["max"](x), functional.max_pool2d(x, 2))
    assert torch.equal(layers["average"](x), functional.avg_pool2d(x, 2))
    assert torch.equal(layers["none"](x), x)
    padded = functional.pad(x, (0, 1, 0, 1), value=-torch.inf)
    assert torch.equal(layers["overlapping"](x), functional.max_pool2d(padded, 3, 2))
    assert layers["strided"].stride == (2, 2)
    assert layers["mixed"].granularity == "layer"
    assert layers["mixed"].p == 0.5
    for arm, layer in layers.items():
        assert layer(x).shape[2] == (8 if arm == "none" else 4)


def test_all_other_weights_start_alike():
    first, other = build("max").state_dict(), build("stochastic").state_dict()
    assert first.keys() == other.keys()
    assert all(torch.equal(first[key], other[key]) for key in first)
