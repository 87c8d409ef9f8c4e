"""Cross-connected block: its closed form without activations, its count, and the paths of its gradient."""

import pytest
import torch
from torch import nn

from resnetbook.structure.residual_unit import CrossConnectedUnit


def linear_unit(**settings):
    """Kernels of 1x1 and no activation: each layer is a matrix on channels."""
    torch.manual_seed(0)
    unit = CrossConnectedUnit(3, kernels=(1,) * 6, **settings).double().eval()
    for layer in unit.layers:
        layer[1], layer[2] = nn.Identity(), nn.Identity()
    return unit, [layer[0].weight[:, :, 0, 0] for layer in unit.layers]


@pytest.mark.parametrize("outer", [False, True])
def test_closed_form(outer):
    unit, (w1, w2, w3, w4, w5, w6) = linear_unit(outer=outer)
    matrix = (w6 @ w5 @ w4 @ w3 @ w2 + w6 @ w5 + w6 @ w2 + w3 @ w2) @ w1
    if outer:
        matrix = matrix + torch.eye(3, dtype=torch.float64)
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    torch.testing.assert_close(unit(x), torch.einsum("oc,nchw->nohw", matrix, x))


def test_without_its_sums_it_is_a_chain():
    unit, weights = linear_unit(crossed=False)
    matrix = torch.eye(3, dtype=torch.float64)
    for weight in weights:
        matrix = weight @ matrix
    x = torch.randn(1, 3, 4, 4, dtype=torch.float64)
    torch.testing.assert_close(unit(x), torch.einsum("oc,nchw->nohw", matrix, x))


@pytest.mark.parametrize(("channels", "count"), [(64, 88_838), (128, 353_798), (256, 1_412_102)])
def test_count_of_the_source(channels, count):
    unit = CrossConnectedUnit(channels, in_channels=channels // 2)
    assert sum(p.numel() for p in unit.parameters()) == count
    formula = channels // 2 * channels + 21 * channels**2 + 12 * channels + 6
    assert count == formula


def test_crossing_adds_no_parameter_and_a_second_path():
    crossed, chain = CrossConnectedUnit(4), CrossConnectedUnit(4, crossed=False)
    chain.load_state_dict(crossed.state_dict())
    x = torch.randn(2, 4, 5, 5)
    with torch.no_grad():
        for unit in (crossed, chain):
            unit.layers[3][0].weight.zero_()  # cut the chain behind c3
    grads = []
    for unit in (crossed, chain):
        unit(x).sum().backward()
        grads.append(unit.layers[0][0].weight.grad.abs().sum().item())
    assert grads[0] > 0
    assert grads[1] == pytest.approx(0, abs=1e-6)
