"""The connections of a DenseNet: where they are, how large their weights are, and what is left when some are cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from resnetbook.timeline.densenet import DenseBlock, DenseLayer


@dataclass(frozen=True)
class Connection:
    """From the maps of `source` to the layer `target` of one block: a view of the weights that read them, and of all its layer's."""

    block: int
    target: int
    source: int
    weight: Tensor
    layer: Tensor

    @property
    def skips(self) -> bool:
        """Whether it carries the maps of a layer past another layer."""
        return 0 < self.source < self.target - 1


def connections(model: nn.Module) -> list[Connection]:
    """Return all connections of a DenseNet, by block, target (from 1) and source (from 0, the block's input)."""
    found = []
    blocks = [module for module in model.modules() if isinstance(module, DenseBlock)]
    for number, block in enumerate(blocks, 1):
        layers: list[DenseLayer] = list(block.children())  # type: ignore[arg-type]
        reads = [layer.conv1.in_channels for layer in layers]
        sizes = [reads[0], *(after - before for before, after in pairwise(reads))]
        for target, layer in enumerate(layers, 1):
            whole = layer.conv1.weight.detach()
            parts = whole.split(sizes[:target], 1)
            found += [Connection(number, target, source, part, whole) for source, part in enumerate(parts)]
    return found


@contextmanager
def cut(chosen: Sequence[Connection]) -> Iterator[None]:
    """Inside, the weights of these connections are zero."""
    kept = [connection.weight.clone() for connection in chosen]
    try:
        for connection in chosen:
            connection.weight.zero_()
        yield
    finally:
        for connection, weight in zip(chosen, kept, strict=True):
            connection.weight.copy_(weight)


@contextmanager
def cut_at_random(connection: Connection, generator: torch.Generator) -> Iterator[None]:
    """Inside, the layer does not read as many of its input maps as the connection has, drawn from all that it reads."""
    weight, kept = connection.layer, connection.layer.clone()
    chosen = torch.randperm(weight.shape[1], generator=generator)[: connection.weight.shape[1]]
    try:
        weight[:, chosen.to(weight.device)] = 0
        yield
    finally:
        weight.copy_(kept)


def sizes_of_weights(model: nn.Module) -> list[float]:
    """Return mean |weight| of each connection over the mean of all that its layer reads."""
    found = connections(model)
    totals: dict[tuple[int, int], tuple[float, int]] = {}
    for c in found:
        total, number = totals.get((c.block, c.target), (0.0, 0))
        totals[c.block, c.target] = (total + float(c.weight.abs().sum()), number + c.weight.numel())
    means = {key: total / number for key, (total, number) in totals.items()}
    return [float(c.weight.abs().mean()) / means[c.block, c.target] for c in found]


def rises(model: nn.Module, loss: Callable[[], float]) -> list[float]:
    """Return by how much `loss()` rises when each connection alone is cut."""
    before, after = loss(), []
    for connection in connections(model):
        with cut([connection]):
            after.append(loss() - before)
    return after
