"""The arms of shared_units: equal kernels where they are said to be equal."""

import dataclasses

import pytest

from resnetbook.experiments.structure.shared_units import Settings, arms, network
from resnetbook.lab.data import load

DATA = load("digits", normalise=False)


def kernels(net):
    return sum(p.numel() for name, p in net.named_parameters() if p.dim() == 4 and name.startswith("stages"))


@pytest.mark.parametrize("widths", [(8, 16, 32), (16, 32, 64)])
def test_shared_and_shallow_have_as_many_kernels_and_nearly_as_many_parameters(widths):
    settings = dataclasses.replace(Settings(), widths=widths)
    nets = {arm: network(settings, arm, DATA) for arm in arms(settings)}
    assert kernels(nets["shared"]) == kernels(nets["shallow"]) == 8 * 9 * sum(w * w for w in widths)
    assert kernels(nets["deep"]) == 12 * 9 * sum(w * w for w in widths)
    count = {arm: sum(p.numel() for p in net.parameters()) for arm, net in nets.items()}
    assert 1 < count["shared"] / count["shallow"] < 1.005
    assert count["deep"] / count["shared"] > 1.4
    assert [len(net.stages[0]) for net in nets.values()] == [6, 6, 4]
