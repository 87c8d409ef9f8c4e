"""How near a layer of square kernels is to a row and a column with some channels between them.

The layer maps input channel i and column offset b to output channel o and row offset a: unfolded it is a matrix (o a) x (i b).
A row convolution gives each channel between a vector over (i b), a column convolution reads it with a vector over (o a). So,
without a relu between, C channels between reach exactly the matrices of rank C or less, and the nearest of them to a given
layer is its first C singular triples (Eckart and Young 1936).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def unfolded(weight: Tensor) -> Tensor:
    """Return (out, in, n, m) as the matrix (out n, in m), in double precision."""
    out, into, rows, columns = weight.shape
    return weight.detach().double().permute(0, 2, 1, 3).reshape(out * rows, into * columns)


def truncated(weight: Tensor, channels: int) -> Tensor:
    """Return the nearest weight that a row and a column with `channels` between them can express, (out, in, n, m)."""
    out, into, rows, columns = weight.shape
    left, values, right = torch.linalg.svd(unfolded(weight), full_matrices=False)
    nearest = (left[:, :channels] * values[:channels]) @ right[:channels]
    return nearest.reshape(out, rows, into, columns).permute(0, 2, 1, 3).to(weight.dtype)


def reachable_energy(weight: Tensor, channels: int) -> float:
    """Return the largest share of the energy of `weight` that a row and a column with `channels` between them can keep."""
    values = torch.linalg.svdvals(unfolded(weight)) ** 2
    return float(values[:channels].sum() / values.sum())


def rank1_energy(weight: Tensor) -> float:
    """Return s_1^2 / sum s_i^2 of each kernel of `weight` (out, in, n, n), the mean over pairs of channels."""
    values = torch.linalg.svdvals(weight.detach().double()) ** 2
    return float((values[..., 0] / values.sum(-1)).mean())


def square_layers(model: nn.Module, n: int) -> list[nn.Conv2d]:
    """Return the convolutions of `model` with n x n kernels."""
    return [m for m in model.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (n, n)]


@contextmanager
def cut(model: nn.Module, n: int, channels: int) -> Iterator[None]:
    """Inside, the n x n convolutions of `model` have the nearest weights that `channels` between can express."""
    layers = square_layers(model, n)
    kept = [layer.weight.detach().clone() for layer in layers]
    try:
        with torch.no_grad():
            for layer in layers:
                layer.weight.copy_(truncated(layer.weight, channels))
        yield
    finally:
        with torch.no_grad():
            for layer, weight in zip(layers, kept, strict=True):
                layer.weight.copy_(weight)
