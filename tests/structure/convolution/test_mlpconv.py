"""MLP convolution: a small network at every pixel."""

import pytest
import torch
from torch.nn import functional

from resnetbook.structure.convolution import MLPConv2d, NetworkInNetwork


def test_it_is_a_multilayer_perceptron_on_each_window():
    torch.manual_seed(0)
    layer = MLPConv2d(2, (5, 4, 3), 3).double()
    x = torch.randn(2, 2, 6, 7, dtype=torch.float64)
    pixels = functional.unfold(x, 3, padding=1).transpose(1, 2)  # (N, places, 2 * 9)
    for conv in layer.convs:
        pixels = functional.linear(pixels, conv.weight.flatten(1), conv.bias).relu()
    torch.testing.assert_close(layer(x).flatten(2).transpose(1, 2), pixels)


def test_with_identities_behind_it_is_the_plain_convolution():
    torch.manual_seed(1)
    layer, x = MLPConv2d(2, (4, 4, 4), 5), torch.randn(1, 2, 8, 8)
    with torch.no_grad():
        for conv in layer.convs[1:]:
            conv.weight.copy_(torch.eye(4)[:, :, None, None])
            conv.bias.zero_()
    torch.testing.assert_close(layer(x), layer.convs[0](x).relu())


def test_the_1x1_part_does_not_know_where_a_pixel_stands():
    torch.manual_seed(2)
    layer = MLPConv2d(3, (4, 2), 1)
    x = torch.randn(1, 3, 5, 5)
    order = torch.randperm(25)
    moved = x.flatten(2)[..., order].reshape(x.shape)
    torch.testing.assert_close(layer(moved).flatten(2), layer(x).flatten(2)[..., order])


def test_it_can_say_either_or_where_one_filter_cannot():
    """Exclusive or of two pixels: no linear filter with ReLU and threshold separates it, two hidden units do."""
    layer = MLPConv2d(2, (2, 1), 1)
    with torch.no_grad():
        layer.convs[0].weight.copy_(torch.tensor([[1.0, -1], [-1, 1]])[:, :, None, None])
        layer.convs[0].bias.zero_()
        layer.convs[1].weight.fill_(1)
        layer.convs[1].bias.zero_()
    x = torch.tensor([[0.0, 0, 1, 1], [0, 1, 0, 1]]).reshape(1, 2, 1, 4)
    assert layer(x).flatten().tolist() == [0, 1, 1, 0]


def test_the_papers_network_has_its_count_and_averages_its_last_maps():
    torch.manual_seed(3)
    net = NetworkInNetwork().eval()
    assert sum(p.numel() for p in net.parameters()) == 966_986
    x = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(net(x), functional.adaptive_avg_pool2d(net.features(x), 1).flatten(1))
    assert net.features(torch.zeros(1, 3, 32, 32)).shape == (1, 10, 8, 8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MLPConv2d(1, ()), r"channels=\(\)"),
        (lambda: MLPConv2d(1, (4, 0)), "channels=0"),
        (lambda: MLPConv2d(2, (4,))(torch.zeros(1, 1, 4, 4)), r"expected \(N, 2, H, W\)"),
        (lambda: NetworkInNetwork()(torch.zeros(1, 3, 4, 4)), "H and W of 8 or more"),
        (lambda: NetworkInNetwork(0), "num_classes=0"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
