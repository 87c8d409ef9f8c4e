"""The probe reads what its features hold, and the control has as many features as the pooled maps."""

import pytest
import torch
from torch import nn

from resnetbook.experiments.principle import pooling_information as experiment
from resnetbook.lab import fitting, measuring
from resnetbook.lab.data import Part

SETTINGS = experiment.Settings(width=4, epochs=2)


class Known(nn.Sequential):
    """A network whose maps are the images."""

    def __init__(self):
        super().__init__()
        self.add_module("maps", nn.Conv2d(1, 1, 1, bias=False))
        self.add_module("pool", nn.MaxPool2d(2))
        nn.init.ones_(self.maps.weight)


def test_features_of_the_three_arms():
    x = torch.arange(16.0).view(1, 1, 4, 4)
    found = {
        arm: experiment.features(Known(), x, arm).flatten().tolist() for arm in experiment.arms(SETTINGS)
    }
    assert found["unpooled"] == x.flatten().tolist()
    assert found["pooled"] == [5, 7, 13, 15]
    assert found["subsampled"] == [0, 2, 8, 10]


def test_a_probe_reads_labels_and_knows_nothing_where_there_is_nothing():
    labels = torch.arange(300) % 10
    images = nn.functional.one_hot(labels, 16).float().view(-1, 1, 4, 4)
    part, nothing = Part(images, labels), Part(0 * images, labels)
    for known, least, most in ((part, 1.0, 1.0), (nothing, 0.0, 0.2)):
        found = experiment.probe(Known(), "unpooled", known, 0.1)
        rows = experiment.features(Known(), known.images, "unpooled").numpy()
        assert least <= found.score(rows, labels.numpy()) <= most


def test_every_arm_probes_the_same_network_and_mode_gap_sees_wrong_statistics():
    data = fitting.images_of(SETTINGS, 0)
    nets = [experiment.trained(SETTINGS, arm, data, 0, "cpu") for arm in ("pooled", "unpooled")]
    states = [net.state_dict() for net in nets]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    model, before = nets[0], {name: value.clone() for name, value in states[0].items()}
    assert measuring.mode_gap(model, data.train) < 0.1
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    norm = model.get_submodule("maps")[1]
    assert norm.momentum == pytest.approx(0.1)
    norm.running_var.fill_(1e-4)
    norm.running_mean.fill_(3.0)
    assert measuring.mode_gap(model, data.train) > 0.3
