"""Both blocks can represent every target, and start as the design says."""

import math

import pytest
import torch
from torch import nn

from resnetbook.experiments.principle import one_block


def pair(start="he", expansion=4):
    blocks = []
    for residual in (False, True):
        torch.manual_seed(3)
        blocks.append(one_block.Block(3, residual=residual, expansion=expansion, start=start))
    return blocks


@pytest.mark.parametrize("expansion", [1, 4])
@pytest.mark.parametrize(("one", "other"), [(1.0, 0.0), (1.0, 0.1), (0.0, 1.0)])
def test_both_blocks_can_represent_every_target(expansion, one, other):
    kernel, x = nn.Conv2d(3, 3, 3, padding=1, bias=False), torch.rand(2, 3, 5, 5)
    identity = nn.init.dirac_(torch.zeros(3, 3, 3, 3))
    for block in pair(expansion=expansion):
        with torch.no_grad():
            block.conv1.weight[:3] = identity
            block.conv2.weight.zero_()
            block.conv2.weight[:, :3] = (one - float(block.residual)) * identity + other * kernel.weight
        torch.testing.assert_close(block(x), one * x + other * kernel(x), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("start", ["he", "silent"])
def test_a_pair_starts_from_the_same_weights(start):
    plain, residual = pair(start)
    for name, weight in plain.state_dict().items():
        assert torch.equal(weight, residual.state_dict()[name])


def test_a_silent_branch_is_zero_and_the_same_start_is_one_function():
    x = torch.rand(2, 3, 5, 5)
    plain, residual = pair("silent")
    assert torch.equal(residual(x), x)
    assert plain(x).abs().max() == 0
    plain, residual = pair("same")
    assert torch.equal(plain.conv1.weight, residual.conv1.weight)
    torch.testing.assert_close(plain(x), x)
    assert torch.equal(residual(x), x)
    assert plain.conv1.weight[3:].abs().min() > 0  # the other hidden maps are He's in both


@pytest.mark.parametrize("data", ["noise", "digits"])
def test_all_arms_of_a_seed_see_the_same_inputs_none_below_zero(data):
    settings = one_block.Settings(data)
    first, again, other = (one_block.inputs_of(settings, seed) for seed in (5, 5, 6))
    x = first(200)
    assert torch.equal(x, again(200))
    assert not torch.equal(x, other(200))
    assert not torch.equal(x, first(200))  # fresh ones in every step
    assert x.shape == (200, settings.channels, settings.size, settings.size)
    assert x.min() == 0
    assert float(x.square().mean()) == pytest.approx(0.5, rel=0.25)


def test_steps_are_read_on_the_line_of_the_logarithm():
    errors = {0: 1.0, 5: 0.1, 10: 1e-3}
    assert one_block.steps_to(errors, 1e-2, 2000) == (pytest.approx(7.5), 1.0)
    assert one_block.steps_to(errors, 0.1, 2000) == (pytest.approx(5.0), 1.0)
    assert one_block.steps_to(errors, 1.0, 2000) == (1.0, 1.0)
    assert one_block.steps_to(errors, 1e-4, 2000) == (2000.0, 0.0)
    assert one_block.steps_to({0: 1.0, 5: math.nan}, 1e-2, 2000) == (2000.0, 0.0)


def test_an_arm_that_begins_at_the_coarse_error_is_not_read_there():
    settings = one_block.Settings()
    coarse = {arm for arm in one_block.ARMS if "steps_to_coarse" in one_block.limits(settings, arm)}
    left = {f"near-{kind}-{start}" for kind in ("plain", "residual") for start in ("silent", "same")}
    assert coarse == set(one_block.ARMS) - left
    errors, _ = one_block.learn(settings, "near-residual-silent", 0, 1e-3, 0.5, torch.device("cpu"))
    assert errors[0] == pytest.approx(settings.coarse, rel=0.3)
