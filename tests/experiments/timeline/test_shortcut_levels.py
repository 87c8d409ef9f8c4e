"""The arms differ in the outer shortcuts and in stochastic depth alone."""

import pytest
import torch

from resnetbook.experiments.timeline import shortcut_levels
from resnetbook.lab.data import load

SETTINGS = shortcut_levels.Settings(depth=14, widths=(2, 4, 8))


def build(arm):
    torch.manual_seed(0)
    return shortcut_levels.network(SETTINGS, arm, load("digits"))


@pytest.mark.parametrize("arm", shortcut_levels.arms(SETTINGS))
def test_what_the_networks_share_starts_from_the_same_weights(arm):
    state, first = build(arm).state_dict(), build("resnet").state_dict()
    assert all(torch.equal(state[name], value) for name, value in first.items())
    more = {name for name in state if name not in first}
    assert all(name.startswith("level_shortcuts") for name in more)
    # Three projections (a convolution each) where maps change their size; the shortcut over the first stage needs none.
    convolutions = [name for name in more if state[name].dim() == 4]
    assert len(convolutions) == (3 if arm.startswith("ror") else 0)


@pytest.mark.parametrize("arm", shortcut_levels.arms(SETTINGS))
def test_blocks_are_dropped_in_two_arms_alone(arm):
    rates = [block.survival for block in build(arm).modules() if hasattr(block, "survival")]
    assert len(rates) == 6
    assert (min(rates) < 1) == arm.endswith("-sd")
