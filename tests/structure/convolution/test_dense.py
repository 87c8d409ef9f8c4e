"""Dense connection: a convolution of a concatenation is a sum of convolutions."""

import pytest
import torch

from resnetbook.structure.convolution import DenseConv2d


def test_each_layer_sums_what_every_map_before_it_sends():
    torch.manual_seed(0)
    block = DenseConv2d(3, 2, 4).double()
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    maps = x
    for layer, conv in enumerate(block.convs):
        parts = block.from_each(layer, maps)
        assert len(parts) == layer + 1
        summed = torch.stack(parts).sum(0) + conv.bias.reshape(1, -1, 1, 1)
        torch.testing.assert_close(summed, conv(maps))
        maps = torch.cat([maps, summed.relu()], 1)
    torch.testing.assert_close(block(x), maps)
    assert block.connections == sum(layer + 1 for layer in range(4)) == 10


def test_x_is_handed_on_untouched_and_no_layer_hands_it_on_alone():
    x = torch.randn(1, 3, 4, 4)
    assert torch.equal(DenseConv2d(3, 2, 0)(x), x)
    y = DenseConv2d(3, 2, 3)(x)
    assert torch.equal(y[:, :3], x)
    assert y.shape[1] == 9


def test_the_gradient_reaches_the_first_layer_directly():
    """With all later layers silenced, layer 0 still answers to the output."""
    torch.manual_seed(1)
    block = DenseConv2d(1, 1, 3)
    with torch.no_grad():
        for conv in block.convs[1:]:
            conv.weight.zero_()
            conv.bias.zero_()
    block(torch.randn(1, 1, 4, 4))[:, 1].sum().backward()
    assert block.convs[0].weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: DenseConv2d(1, 0, 1), "growth=0"),
        (lambda: DenseConv2d(1, 1, -1), "layers=-1"),
        (lambda: DenseConv2d(2, 1, 1)(torch.zeros(1, 1, 4, 4)), r"expected \(N, 2, H, W\)"),
        (lambda: DenseConv2d(2, 1, 1).from_each(1, torch.zeros(1, 3, 4, 4)), "layer=1: expected 0 to 0"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
