"""Tools to hold a network to an independent one that carries the same weights."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn


def _assert_equal(ours: Tensor, theirs: Tensor, tolerance: float = 1e-5) -> None:
    ours, theirs = ours.detach(), theirs.detach()
    assert ours.shape == theirs.shape
    assert torch.isfinite(theirs).all()
    error = float((ours - theirs).abs().max())
    scale = max(1.0, float(theirs.abs().max()))
    assert error <= tolerance * scale, f"differs by {error:.2e}, largest value {scale:.2e}"


@pytest.fixture(scope="session")
def assert_equal() -> Callable[..., None]:
    """|ours - theirs| <= 1e-5 max(1, |theirs|), as DESIGN section 7 has it."""
    return _assert_equal


@pytest.fixture(scope="session")
def scramble() -> Callable[[nn.Module, int], nn.Module]:
    """Give running statistics, scales and shifts values that no initialisation has; weights are left as drawn."""

    def change(network: nn.Module, seed: int = 0) -> nn.Module:
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for module in network.modules():
                if isinstance(module, nn.BatchNorm2d):
                    for tensor in (module.running_mean, module.bias):
                        if tensor is not None:
                            tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.1)
                    for tensor in (module.running_var, module.weight):
                        if tensor is not None:
                            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
        return network

    return change


@pytest.fixture(scope="session")
def by_order() -> Callable[[nn.Module, nn.Module], None]:
    """Copy a network's parameters and buffers into another one in the order of definition, shapes compared."""

    def copy(source: nn.Module, target: nn.Module) -> None:
        own = [(k, v) for k, v in source.state_dict().items() if not k.endswith("num_batches_tracked")]
        new = [(k, v) for k, v in target.state_dict().items() if not k.endswith("num_batches_tracked")]
        assert len(own) == len(new)
        with torch.no_grad():
            for (name, value), (other, place) in zip(own, new, strict=True):
                assert value.shape == place.shape, (name, other)
                place.copy_(value)

    return copy


@pytest.fixture(scope="session")
def parameters() -> Callable[[nn.Module], int]:
    """Number of parameters."""
    return lambda network: sum(p.numel() for p in network.parameters())


@pytest.fixture(scope="session")
def on_meta() -> Callable[..., nn.Module]:
    """Build a network by its name on the meta device: shapes without memory."""

    def build(name: str, **changes: object) -> nn.Module:
        from resnetbook.timeline import create_model

        with torch.device("meta"):
            return create_model(name, **changes)  # type: ignore[arg-type]

    return build
