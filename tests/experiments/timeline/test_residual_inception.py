"""The arms of C36: equal parameters, twins with equal weights; the largest rise of a curve."""

import math

import pytest
import torch

from resnetbook.experiments.timeline import residual_inception
from resnetbook.experiments.timeline.residual_inception import largest_rise
from resnetbook.lab.data import Part, load


def test_arms_have_equal_parameters_and_twins_equal_weights():
    settings, data, nets = residual_inception.Settings(), load("digits"), {}
    for arm in residual_inception.arms(settings):
        torch.manual_seed(0)
        nets[arm] = residual_inception.network(settings, arm, data)
    counts = {arm: sum(p.numel() for p in net.parameters()) for arm, net in nets.items()}
    assert counts["plain"] == counts["residual-0.1"] == counts["residual-1"]
    assert counts["inception"] == pytest.approx(counts["plain"], rel=0.05)
    for arm in ("residual-0.3", "residual-1"):
        for a, b in zip(nets["plain"].parameters(), nets[arm].parameters(), strict=True):
            assert torch.equal(a, b)
    scales = {m.scale for m in nets["residual-0.3"].modules() if hasattr(m, "scale")}
    assert scales == {0.3}
    assert nets["inception"](data.train.images[:2]).shape == (2, 10)


def test_plain_lacks_the_sum_alone_at_scale_1():
    """The modules' sums taken out of the residual network by hand give the plain one's outputs."""
    settings, data, nets = residual_inception.Settings(blocks=1), load("digits"), {}
    for arm in ("plain", "residual-1"):
        torch.manual_seed(0)
        nets[arm] = residual_inception.network(settings, arm, data).eval()
    x = data.test.images[:4]
    assert not torch.allclose(nets["plain"](x), nets["residual-1"](x))
    for module in nets["residual-1"].modules():
        if hasattr(module, "residual"):
            module.residual = False
    assert torch.equal(nets["plain"](x), nets["residual-1"](x))


@pytest.mark.parametrize(
    ("losses", "rise"),
    [
        ([0.6, 0.4, 0.2, 0.1], 1.0),
        ([0.5, 0.1, 0.3, 0.05], 3.0),
        ([0.5, 0.1, 0.2, 0.01, 0.05], 5.0),
        ([0.1, 1e9], math.log(2) / 0.1),
        ([0.1, math.nan, math.nan], math.log(2) / 0.1),
        ([50.0, 40.0, 60.0], 1.0),
    ],
)
def test_the_largest_rise_is_over_the_lowest_before_and_bounded_by_guessing(losses, rise):
    part = Part(torch.zeros(4, 1, 2, 2), torch.tensor([0, 1, 0, 1]))
    assert largest_rise(losses, part) == pytest.approx(rise)
