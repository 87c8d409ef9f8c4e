"""A grown network computes what it grew from, and both arms go on from one state."""

import dataclasses

import pytest
import torch
from torch import nn

from resnetbook.experiments.principle import growth
from resnetbook.lab import fitting

SETTINGS = growth.Settings(widths=(2, 4, 8), epochs_before=1, train_size=200)


@pytest.fixture(scope="module")
def data():
    return fitting.images_of(SETTINGS, 0)


def test_a_grown_network_computes_the_same_and_one_without_the_zero_does_not(data):
    shallow = growth.start(SETTINGS, "shallow", 0, "cpu", data).eval()
    grown = growth.start(SETTINGS, "grown", 0, "cpu", data).eval()
    x = data.test.images[:32]
    assert len(grown.blocks) == len(shallow.blocks) + 6
    assert torch.equal(shallow(x), grown(x))
    nn.init.ones_(grown.layer1[-1].bn2.weight)
    assert not torch.allclose(shallow(x), grown(x))


def test_a_depth_that_cannot_be_reached_is_named(data):
    model = growth.trained(SETTINGS, data, 0, "cpu")
    with pytest.raises(ValueError, match="deep is 10"):
        growth.grow(model, dataclasses.replace(SETTINGS, deep=10))
