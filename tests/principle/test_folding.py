"""Batch normalisation folded into convolutions: the same function in evaluation mode, for every kind of block."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torchvision.models import resnet18

from resnetbook.principle.block import Bottleneck
from resnetbook.principle.folding import folded
from resnetbook.principle.twins import TwinNet


def unsettle(network: nn.Module, seed: int) -> nn.Module:
    """Give every batch normalisation weights and statistics as a training might leave them."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, low, high in (
                (module.weight.data, -1.5, 1.5),
                (module.bias.data, -1.0, 1.0),
                (module.running_mean, -1.0, 1.0),
                (module.running_var, 0.2, 3.0),
            ):
                values.uniform_(low, high, generator=generator)
    return network.double().eval()


def check_equal(network: nn.Module, x: torch.Tensor) -> nn.Module:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.no_grad():
        expected = network(x)
        made = folded(network)
        assert (made(x) - expected).abs().max() <= 1e-9 * expected.abs().max()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in made.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    return made


@settings(max_examples=12, deadline=None)
@given(st.booleans(), st.sampled_from("ABC"), st.booleans(), st.integers(0, 1000))
def test_the_folded_network_computes_the_same(residual: bool, shortcut: str, bias: bool, seed: int) -> None:
    torch.manual_seed(seed)
    network = TwinNet(14, widths=(3, 5, 6), shortcut=shortcut, residual=residual, bias=bias)  # type: ignore[arg-type]
    check_equal(unsettle(network, seed), torch.randn(3, 1, 8, 8, dtype=torch.float64))


def test_other_blocks_are_folded_too() -> None:
    torch.manual_seed(0)
    block = nn.Sequential(Bottleneck(6, 3, stride=2, shortcut="B"))
    check_equal(unsettle(block, 1), torch.randn(2, 6, 8, 8, dtype=torch.float64))


def test_a_network_in_training_mode_is_folded_as_it_evaluates() -> None:
    torch.manual_seed(0)
    network = unsettle(TwinNet(8, widths=(2, 3, 4)), 2)
    x = torch.randn(3, 1, 8, 8, dtype=torch.float64)
    expected = network(x)
    made = folded(network.train())
    assert network.training
    assert not made.training
    torch.testing.assert_close(made(x), expected)


def test_a_folded_network_takes_the_weights_of_one_that_has_no_normalisation() -> None:
    made = folded(TwinNet(14, widths=(2, 3, 4)))
    TwinNet(14, widths=(2, 3, 4), norm=False, bias=True).load_state_dict(made.state_dict())


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1)), "0 cannot be folded"),
        (nn.Sequential(nn.Conv2d(2, 2, 1), nn.ReLU(), nn.BatchNorm2d(2)), "2 cannot be folded"),
        (nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2, track_running_stats=False)), "keeps no running statistics"),
        (resnet18(weights=None), "bn1 cannot be folded"),
    ],
)  # fmt: skip
def test_what_cannot_be_folded_is_refused(network: nn.Module, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        folded(network)
