"""One network, any unit, pooling and head: it learns with each, and one axis changes while the rest stays."""

import pytest
import torch

from resnetbook.principle.gradient_flow import GradientFlow
from resnetbook.structure import StructureNet
from resnetbook.structure.pooling import NAMES as POOLS
from resnetbook.structure.residual_unit import NAMES as UNITS
from resnetbook.structure.structure_net import HEADS

CHOICES = [("unit", n) for n in UNITS] + [("pool", n) for n in POOLS] + [("head", n) for n in HEADS]


def loss_of(net, x, labels):
    if hasattr(net.head, "companions"):
        return net.head.loss(net.all_scores(x), labels)
    if hasattr(net.head, "cost"):
        return net.head.loss(net(x), labels)
    return torch.nn.functional.cross_entropy(net(x), labels)


@pytest.mark.parametrize(("axis", "name"), CHOICES)
def test_it_learns_sixteen_images_by_heart(axis, name):
    torch.manual_seed(0)
    net = StructureNet(**{axis: name}, num_classes=4, widths=(8, 16))
    x = torch.randn(16, 1, 8, 8)
    labels = torch.arange(16) % 4
    optimiser = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(60):
        optimiser.zero_grad()
        loss_of(net, x, labels).backward()
        optimiser.step()
    net.train()
    assert (net(x).argmax(1) == labels).float().mean() > 0.9


@pytest.mark.parametrize("unit", UNITS)
def test_units_are_found_and_split(unit):
    torch.manual_seed(1)
    net = StructureNet(unit, num_classes=3, widths=(4, 8), count=2)
    with GradientFlow(net) as flow:
        net(torch.randn(2, 1, 8, 8)).sum().backward()
    assert flow.blocks == ["stages.0.0", "stages.0.1", "stages.1.0", "stages.1.1"]
    assert set(flow.split) == set(flow.blocks)


def test_a_changed_pooling_leaves_all_other_weights():
    torch.manual_seed(2)
    first = StructureNet(pool="max")
    other = StructureNet(pool="stochastic")
    other.load_state_dict(first.state_dict())
    count = {pool: sum(p.numel() for p in StructureNet(pool=pool).parameters()) for pool in POOLS}
    assert {n for pool, n in count.items() if pool != "parallel"} == {count["max"]}
    assert count["parallel"] > count["max"]


def test_the_convolutional_head_is_the_linear_one():
    torch.manual_seed(3)
    linear, dense = StructureNet().eval(), StructureNet(head="fully-convolutional").eval()
    dense.load_state_dict(
        {
            k.replace("head.", "head.score."): v[..., None, None] if k == "head.weight" else v
            for k, v in linear.state_dict().items()
        }
    )
    x = torch.randn(2, 1, 12, 12)
    torch.testing.assert_close(dense(x), linear(x))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"unit": "dense"}, "name='dense'"),
        ({"pool": "median"}, "name='median'"),
        ({"head": "tree"}, "head='tree': expected one of linear"),
        ({"widths": ()}, r"widths=\(\)"),
        ({"count": 0}, "count=0"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        StructureNet(**settings)


def test_images_that_are_too_small_are_refused():
    with pytest.raises(ValueError, match="H and W of 4 or more"):
        StructureNet()(torch.zeros(1, 1, 3, 8))


def test_stem_and_transitions_start_with_hes_weights():
    torch.manual_seed(4)
    net = StructureNet(widths=(256, 512))
    for conv, fan_out in ((net.stem, 9 * 256), (net.between[0][1], 512)):
        assert conv.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.06)
