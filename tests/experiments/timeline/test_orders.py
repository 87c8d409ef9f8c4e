"""The five orders differ in the order alone: same weights, same parameters; two of them are networks of the timeline."""

import pytest
import torch
from torch import nn
from torch.nn.functional import relu

from resnetbook.experiments.timeline._orders import ORDERS, OrderedResNet
from resnetbook.timeline.resnet import CifarResNet
from resnetbook.timeline.resnet_v2 import PreActResNet


def build(order, depth=14):
    torch.manual_seed(0)
    return OrderedResNet(depth, order, widths=(4, 8, 16))


def shake(network):
    """Give normalisations values that they do not start from."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            module.running_mean.normal_(std=0.2)
            module.running_var.uniform_(0.5, 1.5)
    return network.eval()


@pytest.mark.parametrize("order", ORDERS)
def test_one_seed_gives_every_order_the_same_weights_and_parameters(order):
    ours, first = build(order), build("original")
    weights = [[p for p in net.parameters() if p.dim() > 1] for net in (ours, first)]
    assert len(weights[0]) == 14
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in first.parameters())


@pytest.mark.parametrize(("order", "theirs"), [("original", CifarResNet), ("full", PreActResNet)])
def test_two_orders_are_networks_of_the_timeline(order, theirs):
    ours = shake(build(order))
    other = theirs(14, in_channels=1, shortcut="A", widths=(4, 8, 16)).eval()
    renamed = {
        key.replace("stem.0.", "bn1.").replace("tail.0.", "bn."): value
        for key, value in ours.state_dict().items()
    }
    other.load_state_dict(renamed, strict=True)
    x = torch.randn(3, 1, 8, 8)
    assert (ours(x) - other(x)).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("order", "form"),
    [
        ("original", lambda b, x: relu(x + b.bn2(b.conv2(relu(b.bn1(b.conv1(x))))))),
        ("bn-after", lambda b, x: relu(b.bn2(x + b.conv2(relu(b.bn1(b.conv1(x))))))),
        ("relu-before", lambda b, x: x + relu(b.bn2(b.conv2(relu(b.bn1(b.conv1(x))))))),
        ("relu-only", lambda b, x: x + b.bn2(b.conv2(relu(b.bn1(b.conv1(relu(x))))))),
        ("full", lambda b, x: x + b.conv2(relu(b.bn2(b.conv1(relu(b.bn1(x))))))),
    ],
)
def test_each_unit_is_its_line_of_figure_4(order, form):
    network = shake(build(order))
    _, unit = network.blocks[0]
    x = torch.randn(2, 4, 8, 8)
    before = x.clone()
    assert (unit(x) - form(unit, x)).abs().max() < 1e-6
    assert torch.equal(x, before)


def test_an_unknown_order_is_named():
    with pytest.raises(ValueError, match="order='v3'"):
        OrderedResNet(14, "v3")
