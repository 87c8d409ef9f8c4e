"""Signal propagation: the mean and the variance of the activations along depth, at initialisation.

Sources: He et al. 2015 (arXiv:1502.01852, section 2.2: weights of variance 2 / fan-in keep the mean square through a
ReLU layer); Hanin and Rolnick 2018 (arXiv:1803.01719: in residual nets the scale of the branches decides whether the
mean size explodes with depth); De and Smith 2020 (arXiv:2002.10444: batch normalisation divides the k-th branch by about sqrt(k), which
biases a residual block towards the identity).

With q_l the mean square of x_l, a pre-activation block x_{l+1} = x_l + s W relu(x_l) gives at initialisation, where W is
independent of x_l, has mean 0 and He's variance,

    E q_{l+1} = q_l + s^2 q_l = (1 + s^2) q_l                  no normalisation: 2^L for s = 1
    E q_{l+1} = q_l + s^2                                      with batch normalisation in the branch: 1 + L for s = 1

Batch normalisation divides by the deviation of each unit over the batch, and a ReLU's output has a mean that the batch
shares: the variance over the batch grows by s^2 (1 - 1/pi) a block only, the rest of s^2 goes into that mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["LayerStatistics", "VectorBlock", "VectorStack", "buffers_kept", "named_blocks", "propagate"]


@dataclass(frozen=True)
class LayerStatistics:
    """Statistics of one activation.

    Attributes:
        layer: the block's name; "input" for what enters the first block.
        mean: mean over all entries.
        variance: variance over all entries (divided by their number).
    """

    layer: str
    mean: float
    variance: float

    @property
    def mean_square(self) -> float:
        """Mean of the squares, variance + mean^2: the quantity that the recursions above are about."""
        return self.variance + self.mean**2


class VectorBlock(nn.Module):
    """Block on vectors, (N, width) -> (N, width), with nothing after the sum unless `after=True`.

    x + scale * W relu(norm(x)), or the branch alone when `residual` is false. With `after=True` the order is He et al.'s
    first one: relu(x + scale * norm(W x)).
    """

    def __init__(
        self,
        width: int,
        *,
        residual: bool = True,
        norm: bool = False,
        scale: float = 1.0,
        after: bool = False,
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width, bias=False)
        self.norm: nn.Module = nn.BatchNorm1d(width) if norm else nn.Identity()
        self.residual, self.scale, self.after = residual, scale, after
        # He et al. 2015: variance 2 / fan-in, because relu halves the mean square of a symmetric input.
        nn.init.normal_(self.linear.weight, std=(2.0 / width) ** 0.5)

    def branch(self, x: Tensor) -> Tensor:
        """Return F(x), (N, width) -> (N, width)."""
        if self.after:
            return self.scale * self.norm(self.linear(x))
        return self.scale * self.linear(torch.relu(self.norm(x)))

    def identity(self, x: Tensor) -> Tensor:
        """Return x."""
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Return F(x) + x, or F(x) in a plain block; a final ReLU where `after` is set."""
        out = self.branch(x)
        if self.residual:
            out = out + self.identity(x)
        return torch.relu(out) if self.after else out


class VectorStack(nn.Sequential):
    """`depth` vector blocks in a row: the smallest network in which the statistics can be computed by hand."""

    def __init__(self, depth: int, width: int, **options: Any) -> None:
        for name, value in (("depth", depth), ("width", width)):
            if value < 1:
                raise ValueError(f"{name}={value}: expected 1 or more")
        super().__init__(*(VectorBlock(width, **options) for _ in range(depth)))

    @property
    def blocks(self) -> list[tuple[str, nn.Module]]:
        """The blocks with their names, as in `named_modules`."""
        return list(self.named_children())


def named_blocks(network: nn.Module | Iterable[nn.Module]) -> list[tuple[str, nn.Module]]:
    """Return the blocks of a network with their names: its `.blocks`, or the children of a Sequential, or a list's items.

    Raises:
        ValueError: the network has neither, or no block at all.
    """
    if isinstance(network, nn.Module):
        found = getattr(network, "blocks", None)
        if found is None and isinstance(network, nn.Sequential):
            found = network.named_children()
        if found is None:
            raise ValueError(
                f"network is a {type(network).__name__} without `blocks`: expected a network with `blocks`, "
                "a Sequential or a list of modules"
            )
        blocks = list(found)
    else:
        blocks = [(str(i), module) for i, module in enumerate(network)]
    if not blocks:
        raise ValueError("network has no block: expected one or more")
    return blocks


def propagate(network: nn.Module | Iterable[nn.Module], x: Tensor) -> list[LayerStatistics]:
    """Return the statistics of what enters the first block and of what leaves each block.

    Args:
        network: a network with `.blocks` (x goes through all of it), a Sequential, or a list of blocks run in order.
        x: a batch, (N, ...); N of 64 or more gives statistics worth reading.

    The network runs once in its own mode, without gradients; its buffers (batch normalisation's running statistics)
    are put back.

    Raises:
        ValueError: no blocks to be found, or a block that did not run.
    """
    blocks = named_blocks(network)
    model = network if isinstance(network, nn.Module) else nn.Sequential(*(block for _, block in blocks))
    seen: dict[str, LayerStatistics] = {}

    def record(name: str, value: Tensor) -> None:
        # Double precision: an unscaled stack reaches 1e10 and more, whose squares float32 cannot add.
        seen[name] = LayerStatistics(
            name, value.double().mean().item(), value.double().var(correction=0).item()
        )

    def entry(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        record("input", inputs[0])

    handles = [blocks[0][1].register_forward_pre_hook(entry)]
    for name, block in blocks:
        handles.append(block.register_forward_hook(lambda m, i, out, name=name: record(name, out)))
    try:
        with torch.no_grad(), buffers_kept(model):
            model(x)
    finally:
        for handle in handles:
            handle.remove()
    missing = [name for name, _ in blocks if name not in seen]
    if missing:
        raise ValueError(f"network has blocks that did not run: {', '.join(missing)}")
    return [seen["input"], *(seen[name] for name, _ in blocks)]


@contextmanager
def buffers_kept(model: nn.Module) -> Iterator[None]:
    """Put back the model's buffers on exit, bit for bit: running statistics survive a look in training mode."""
    kept = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in kept:
                buffer.copy_(value)
