"""Parallel pooling: each half is what it would be alone."""

import pytest
import torch
from torch.nn import functional

from resnetbook.structure.pooling import ParallelPool2d


def maps(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("place", [(2, 2, 0), (3, 2, 1)])
def test_the_halves(place):
    x, layer = maps(2, 3, 8, 8), ParallelPool2d(3, *place, conv_channels=5)
    y = layer(x)
    assert y.shape[1] == layer.out_channels == 8
    assert torch.equal(y[:, :3], functional.max_pool2d(x, *place))
    kernel, stride, padding = place
    assert kernel == layer.conv.kernel_size[0]
    assert torch.equal(y[:, 3:], functional.conv2d(x, layer.conv.weight, layer.conv.bias, stride, padding))


def test_a_kernel_of_one_place_subsamples():
    x, layer = maps(1, 2, 6, 6), ParallelPool2d(2)
    with torch.no_grad():
        layer.conv.bias.zero_()
        layer.conv.weight.zero_()
        layer.conv.weight[[0, 1], [0, 1], 0, 0] = 1
    torch.testing.assert_close(layer(x)[:, 2:], x[:, :, ::2, ::2])


def test_added_with_a_silent_convolution_is_max_pooling():
    x, layer = maps(1, 2, 6, 6), ParallelPool2d(2, join="add")
    with torch.no_grad():
        layer.conv.bias.zero_()
        layer.conv.weight.zero_()
    assert layer.out_channels == 2
    assert torch.equal(layer(x), functional.max_pool2d(x, 2))


def test_it_has_parameters_unlike_its_kin():
    """Claim C46 does not hold for it."""
    assert sum(p.numel() for p in ParallelPool2d(3, 2).parameters()) == 3 * 3 * 4 + 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ParallelPool2d(0), "in_channels=0"),
        (lambda: ParallelPool2d(3, join="stack"), "join='stack'"),
        (lambda: ParallelPool2d(3, conv_channels=2, join="add"), "conv_channels=2: expected in_channels=3"),
        (lambda: ParallelPool2d(3)(torch.zeros(1, 2, 4, 4)), r"\(1, 2, 4, 4\): expected \(N, 3, H, W\)"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
