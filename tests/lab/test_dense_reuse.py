"""Connections are found where they are, a cut is undone, and what a cut costs is seen."""

import pytest
import torch

from resnetbook.experiments.timeline.dense_reuse import connections, cut, rises, sizes_of_weights
from resnetbook.timeline.densenet import CifarDenseNet


@pytest.fixture
def network():
    torch.manual_seed(0)
    return CifarDenseNet(16, 3, bottleneck=False, compression=1.0).eval()


def test_each_block_has_its_triangle(network):
    found = connections(network)
    assert len(found) == 3 * 4 * 5 // 2
    assert [(c.target, c.source) for c in found[:6]] == [(1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2)]
    assert [c.weight.shape[1] for c in found if c.block == 2 and c.target == 4] == [16 + 4 * 3, 3, 3, 3]


def test_a_cut_layer_does_not_see_the_source_and_sees_it_again_afterwards(network):
    block = network.features.denseblock1
    chosen = [c for c in connections(network) if c.block == 1 and c.source == 1]
    seen = []
    x = torch.randn(2, 16, 6, 6)
    first = block.denselayer1.conv1
    with torch.no_grad():
        for factor in (1.0, 5.0):  # another source 1 must change nothing but itself
            before = first.weight.clone()
            first.weight *= factor
            with cut(chosen):
                seen.append(block(x))
            assert not torch.equal(block(x), seen[-1])
            first.weight.copy_(before)
    assert torch.equal(seen[0][:, :16], seen[1][:, :16])
    assert not torch.equal(seen[0][:, 16:19], seen[1][:, 16:19])
    assert torch.equal(seen[0][:, 19:], seen[1][:, 19:])
    assert all(c.weight.abs().max() > 0 for c in chosen)


def test_sizes_are_relative_to_the_layer(network):
    with torch.no_grad():
        for c in connections(network):
            c.weight.fill_(3.0 if c.source == 0 else 1.0)
    found = sizes_of_weights(network)
    first = dict(zip([(c.block, c.target, c.source) for c in connections(network)], found, strict=True))
    assert first[1, 1, 0] == pytest.approx(1)
    mean = (16 * 3 + 3 * 1) / 19
    assert first[1, 2, 0] == pytest.approx(3 / mean)
    assert first[1, 2, 1] == pytest.approx(1 / mean)


def test_a_connection_that_is_not_used_costs_nothing(network):
    x = torch.randn(4, 3, 8, 8)
    with torch.no_grad():
        unused = [c for c in connections(network) if c.source == 2]
        for c in unused:
            c.weight.zero_()
        expected = network(x)
        found = rises(network, lambda: float((network(x) - expected).abs().max()))
    for c, rise in zip(connections(network), found, strict=True):
        assert (rise == 0) == (c.source == 2), (c.block, c.target, c.source)
