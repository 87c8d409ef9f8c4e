"""Cardinality: equal budgets at every scale, and a pair of 50 layers that is counted exactly."""

import pytest
import torch
from torch import nn

from resnetbook.experiments.timeline import cardinality
from resnetbook.lab.data import ImageSet, Part
from resnetbook.principle.counting import count

QUICK, FULL = (cardinality.EXPERIMENT.scales[scale] for scale in ("quick", "full"))
XRAYS = cardinality.EXPERIMENT.variants["quick"][0]


def noise(channels: int, size: int, classes: int) -> ImageSet:
    part = Part(torch.randn(4, channels, size, size), torch.arange(4))
    return ImageSet("noise", part, part, part, tuple(map(str, range(classes))), "", "", "", "")


@pytest.mark.parametrize(
    ("settings", "images"), [(QUICK, (1, 8, 10)), (XRAYS, (1, 10, 2)), (FULL, (3, 32, 10))]
)
def test_parameters_are_equal_within_five_per_cent_and_multiplications_within_seven(settings, images):
    data = noise(*images)
    found = [
        count(cardinality.network(settings, arm, data), data.shape) for arm in cardinality.trained(settings)
    ]
    parameters, multiplications = ([getattr(c, n) for c in found] for n in ("parameters", "multiplications"))
    assert max(parameters) <= 1.05 * min(parameters)
    assert max(multiplications) <= 1.07 * min(multiplications)


def test_an_arm_has_as_many_groups_as_it_says():
    for arm in cardinality.trained(QUICK):
        network = cardinality.network(QUICK, arm, noise(1, 8, 10))
        groups = {m.groups for m in network.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)}
        assert groups == {1, int(arm.split("-")[1])}


def test_the_counted_pair_is_that_of_the_papers():
    """ResNet-50 has 25,557,032 parameters, ResNeXt-50 (32x4d) 25,028,904, as in torchvision."""
    resnet, resnext = (cardinality.counted(arm) for arm in ("resnet50", "resnext50"))
    assert (resnet["parameters"], resnext["parameters"]) == (25_557_032, 25_028_904)
    assert resnet["parameters_saved"] == resnet["multiplications_saved"] == 0
    assert resnext["parameters_saved"] == pytest.approx(528_128 / 25_557_032)
    assert resnext["multiplications_saved"] == pytest.approx(
        1 - resnext["multiplications"] / resnet["multiplications"]
    )


def test_costs_are_ratios_to_cardinality_1():
    data = noise(1, 8, 10)
    own = cardinality.costs(QUICK, "cardinality-1", data, "cpu")
    assert own["parameter_ratio"] == own["multiplication_ratio"] == 1
    assert own["time_ratio"] > 0
