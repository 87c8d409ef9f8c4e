"""What one step of the recorder holds, and how a norm is computed."""

import math
from array import array
from typing import Any

import torch
from torch import Tensor, dot, float32, float64
from torch.linalg import vector_norm

__all__ = ["NOT_COMPUTED", "Step", "norm"]

NOT_COMPUTED = math.nan  # this very object, until a norm takes its place


class Step:
    """One forward pass and the backward passes that follow it: three norms a layer, in the order of `Row`."""

    def __init__(self, layers: int) -> None:
        self.norms: list[float | Tensor] = [NOT_COMPUTED] * (3 * layers)
        self.splits: dict[str, dict[str, Tensor] | None] = {}
        self.computed: dict[int, tuple[int, Tensor]] = {}  # gradients of weights that each call computes
        self.reached = False  # by a gradient

    def fetched(self) -> "array[float]":
        """Return the norms, those on a device fetched at once."""
        norms: list[Any] = list(self.norms)
        waiting = [index for index, norm in enumerate(norms) if isinstance(norm, Tensor)]
        if waiting:
            values = torch.stack([norms[index] for index in waiting]).tolist()
            for index, value in zip(waiting, values, strict=True):
                norms[index] = value
        return array("d", norms)  # at each step: NumPy's array takes longer to make


def norm(tensor: Tensor) -> float | Tensor:
    """Return the Euclidean norm; on a device a tensor of no dimension, since a look at it would make the device wait."""
    if tensor.requires_grad:
        tensor = tensor.detach()
    if tensor.dtype is float32 and tensor.is_cpu:
        # Quicker than `vector_norm` on large tensors, and nearer to the truth. Squares of a deep network's gradients can
        # leave the range of single precision; double costs far more, so it is the second try.
        flat = tensor.reshape(-1)
        square = dot(flat, flat).item()
        if 1e-30 < square < 1e30:
            return math.sqrt(square)
    found = vector_norm(tensor, dtype=float32 if tensor.device.type == "mps" else float64)
    return found.item() if tensor.is_cpu else found
