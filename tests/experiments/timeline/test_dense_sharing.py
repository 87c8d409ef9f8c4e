"""A dense block whose layers read alike is a residual network; one whose layers do not is another function."""

import pytest
import torch

from resnetbook.experiments.timeline.dense_sharing import ResidualTwin, Settings, difference, run, share
from resnetbook.timeline.densenet import DenseBlock


@pytest.fixture
def block():
    torch.manual_seed(0)
    return DenseBlock(5, 6, 4).double()


def test_sharing_makes_each_matrix_the_first_columns_of_the_last(block):
    share(block)
    *others, last = block.children()
    assert all(
        torch.equal(layer.conv1.weight, last.conv1.weight[:, : layer.conv1.in_channels]) for layer in others
    )


def test_a_shared_block_is_a_residual_network_and_its_own_weights_are_not(block):
    x = torch.randn(3, 6, 5, 5, dtype=torch.double)
    assert difference(block, ResidualTwin(block), x) > 0.01
    twin = ResidualTwin(share(block))
    assert twin.eval()(x)[:, 6:].abs().max() > 0.01
    assert difference(block, twin, x) < 1e-12


def test_the_twin_is_residual(block):
    """Its state after each block is the state before it and the branch: with silent branches it never changes."""
    twin, states = ResidualTwin(share(block)), []
    for branch in twin.outer:
        torch.nn.init.zeros_(branch[2].weight)
    for inner in twin.inner:
        inner.register_forward_pre_hook(lambda module, args: states.append(args[0]))
    x = torch.randn(3, 6, 5, 5, dtype=torch.double)
    twin(x)
    assert len(states) == 5
    assert all(torch.equal(state, states[0]) for state in states)
    assert states[0].abs().max() > 0.01


def test_the_experiment_counts_what_sharing_saves():
    found = run(Settings(layers=4, in_channels=6, growth_rate=4, images=2, side=4), "shared", 0, None)
    assert found["difference"] < 1e-12
    # Four matrices of 16 rows read 6, 10, 14 and 18 channels; shared, each channel is read once: 18.
    reads = 16 * (6 + 10 + 14 + 18 - 18) + 2 * (6 + 10 + 14 + 18 - 18)
    assert found["parameters_block"] - found["parameters_twin"] == reads
