"""Super-resolution: it starts as interpolation, and learns what interpolation lacks."""

import pytest
import torch
from torch.nn import functional

from resnetbook.structure.convolution import DeconvSR


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_it_starts_as_bicubic_interpolation(scale):
    torch.manual_seed(0)
    x = torch.rand(2, 1, 6, 7)
    wanted = functional.interpolate(x, scale_factor=scale, mode="bicubic", align_corners=False)
    assert torch.equal(DeconvSR(scale)(x), wanted)


def test_without_the_sum_only_the_body_is_left():
    torch.manual_seed(1)
    x = torch.rand(1, 1, 6, 6)
    net = DeconvSR(2, residual=False)
    assert torch.equal(net(x), net.up(net.body(x)))
    assert not torch.allclose(net(x), torch.zeros(()), atol=1e-3)
    with_sum, without = DeconvSR(2), net
    assert sum(p.numel() for p in with_sum.parameters()) == sum(p.numel() for p in without.parameters())


def test_training_beats_interpolation_on_a_known_pattern():
    """Stripes at the edge of what the small image can hold: interpolation blurs them, some steps sharpen them."""
    torch.manual_seed(2)
    phase = torch.rand(16, 1, 1, 1) * 6.283
    wave = torch.arange(24.0) * 1.3
    large = torch.sign(torch.sin(wave + phase)).expand(-1, 1, 24, 24)
    small = functional.avg_pool2d(large, 2)
    net = DeconvSR(2, 8, 2)
    before = functional.mse_loss(net(small), large).item()
    optimiser = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(60):
        optimiser.zero_grad()
        functional.mse_loss(net(small), large).backward()
        optimiser.step()
    assert functional.mse_loss(net(small), large).item() < 0.6 * before


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: DeconvSR(1), "scale=1: expected 2 or more"),
        (lambda: DeconvSR(depth=0), "depth=0"),
        (lambda: DeconvSR()(torch.zeros(1, 3, 4, 4)), r"expected \(N, 1, H, W\)"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
