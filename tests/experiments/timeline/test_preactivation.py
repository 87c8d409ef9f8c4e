"""Versions 1 and 2 differ in the order alone, and each claim is read at the depth that the design names."""

import pytest
import torch

from resnetbook import survey
from resnetbook.experiments.timeline import preactivation
from resnetbook.lab.data import load
from resnetbook.timeline.resnet_v2 import PreActBlock

EXPERIMENT = preactivation.EXPERIMENT


def test_versions_of_a_depth_have_equal_parameters_and_first_weights():
    settings, nets = preactivation.Settings(widths=(2, 4, 8)), {}
    for version in ("v1", "v2"):
        torch.manual_seed(0)
        nets[version] = preactivation.network(settings, f"{version}-14", load("digits"))
    first, second = ([p for p in net.parameters() if p.dim() > 1] for net in nets.values())
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert len({sum(p.numel() for p in net.parameters()) for net in nets.values()}) == 1
    kinds = {version: type(net.blocks[0][1]) for version, net in nets.items()}
    assert (kinds["v2"] is PreActBlock, kinds["v1"] is PreActBlock) == (True, False)


@pytest.mark.parametrize("scale", ["quick", "full"])
def test_training_is_read_at_the_greatest_depth_and_generalisation_at_the_smallest(scale):
    depths = EXPERIMENT.scales[scale].depths
    for decision in survey.claim("C16").decisions:
        if decision.scale == scale:
            depth = min(depths) if decision.metric == "test_accuracy" else max(depths)
            assert (decision.a, decision.b) == (f"v2-{depth}", f"v1-{depth}")
