"""Connections are found where they are, a cut is undone, and what a cut costs is seen."""

import pytest
import torch

from resnetbook.experiments.timeline._connections import (
    connections,
    cut,
    cut_at_random,
    rises,
    sizes_of_weights,
)
from resnetbook.experiments.timeline.dense_reuse import share_of_skips, worth
from resnetbook.lab.data import ImageSet, Part
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


def test_connections_that_skip_pass_a_layer():
    torch.manual_seed(0)
    found = connections(CifarDenseNet(16, 3, bottleneck=False, compression=1.0))
    assert [(c.target, c.source) for c in found[:10] if c.skips] == [(3, 1), (4, 1), (4, 2)]


def test_a_random_cut_takes_as_many_maps_of_the_layer_and_gives_them_back(network):
    connection = next(c for c in connections(network) if c.block == 1 and c.target == 4 and c.source == 2)
    before = connection.layer.clone()
    seen = set()
    for seed in range(150):
        with cut_at_random(connection, torch.Generator().manual_seed(seed)):
            gone = [i for i in range(25) if not connection.layer[:, i].any()]
            assert len(gone) == 3
            kept = [i for i in range(25) if i not in gone]
            assert torch.equal(connection.layer[:, kept], before[:, kept])
            seen |= set(gone)
        assert torch.equal(connection.layer, before)
        assert network.features.denseblock1.denselayer4.conv1.weight.data_ptr() == connection.layer.data_ptr()
    assert seen == set(range(25))


def test_the_share_is_none_where_old_maps_are_not_read_and_all_where_nothing_else_is(network):
    x = torch.randn(8, 3, 8, 8)

    def share():
        with torch.no_grad():
            expected = network(x)
            return share_of_skips(network, lambda: float((network(x) - expected).square().sum()), x, 0)

    mixed = share()
    assert 0.1 < mixed["skip_share"] < 0.99
    assert mixed["skip_share"] != mixed["skip_share_again"]
    with torch.no_grad():
        for c in connections(network):
            if c.skips:
                c.weight.zero_()
    assert share()["skip_share"] == 0
    with torch.no_grad():
        for c in connections(network):
            c.weight.zero_()
    assert share()["skip_share"] == 0.5


def test_worth_is_what_each_image_loses(network):
    part = Part(torch.randn(50, 3, 8, 8), torch.arange(50) % 10)
    data = ImageSet("x", part, part, part, tuple("0123456789"), "", "", "", "")
    skipping = [c for c in connections(network) if c.skips]
    with torch.no_grad():
        right = network(part.images).argmax(1) == part.labels
        with cut(skipping):
            left = network(part.images).argmax(1) == part.labels
    found = worth(network, skipping, data, part.images)
    assert torch.equal(found[""], right.float() - left.float())
    assert found[""].abs().sum() > 0
    assert not torch.equal(found[""], found["_again"])
