"""C02: local connection and weight sharing cut parameters greatly.

Design: three layers from 16 maps of 28x28 to 16 maps of 28x28. A 3x3 convolution is local and shares its weights; a
locally connected layer is local with weights of its own at each place; a fully connected layer is neither. The
layers are built and their parameters counted, biases included; nothing is trained, so that the seeds agree.
Equal: the shape of input and output. So each of the two steps is seen apart: from the fully connected to the locally connected
layer (local connection), and on to the convolution (shared weights).
Refuted for a step if it saves no parameter (direction), or less than nine tenths of them (size: "greatly" is a factor of ten).
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from resnetbook.lab.running import Context, Experiment


@dataclass(frozen=True)
class Settings:
    """Shape of the layer: side in pixels, channels in and out, side of the kernel."""

    size: int = 28
    channels: int = 16
    kernel: int = 3


class LocallyConnected(nn.Module):
    """A convolution (stride 1, zero padding, odd kernel) that has a kernel of its own at each place."""

    def __init__(self, channels: int, size: int, kernel: int):
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"kernel is {kernel}: expected an odd number")
        self.kernel = kernel
        self.weight = nn.Parameter(torch.empty(size * size, channels, channels * kernel**2))
        self.bias = nn.Parameter(torch.empty(channels, size * size))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, size, size) to the same shape."""
        patches = functional.unfold(x, self.kernel, padding=self.kernel // 2)
        y = torch.einsum("npl,lcp->ncl", patches, self.weight) + self.bias
        return y.view_as(x)


def layer(kind: str, settings: Settings) -> nn.Module:
    """Build "convolution", "local" or "dense" on the meta device: shapes without memory (dense has 0.6 GB)."""
    channels, size, kernel = settings.channels, settings.size, settings.kernel
    with torch.device("meta"):
        if kind == "convolution":
            return nn.Conv2d(channels, channels, kernel, padding=kernel // 2)
        if kind == "local":
            return LocallyConnected(channels, size, kernel)
        if kind == "dense":
            return nn.Linear(channels * size**2, channels * size**2)
    raise ValueError(f"kind is {kind!r}: expected 'convolution', 'local' or 'dense'")


def parameters(kind: str, settings: Settings) -> int:
    """Return the number of parameters of the layer."""
    return sum(weight.numel() for weight in layer(kind, settings).parameters())


def arms(settings: Settings) -> Sequence[str]:
    """Return the three layers and the arm that compares them."""
    return ("convolution", "local", "dense", "ratio")


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Count one layer, or for "ratio" compare the counts."""
    if arm != "ratio":
        return {"parameters": float(parameters(arm, settings))}
    counts = {kind: parameters(kind, settings) for kind in ("dense", "local", "convolution")}
    return {
        f"{more}_{word}_{less}": compare(counts[more], counts[less])
        for more, less in (("dense", "local"), ("local", "convolution"), ("dense", "convolution"))
        for word, compare in (("over", operator.truediv), ("minus", _difference))
    }


def _difference(more: int, less: int) -> float:
    return float(more - less)


EXPERIMENT = Experiment(
    name="sharing", title="Parameters of a convolution, a locally connected and a fully connected layer",
    claims=("C02",),
    scales={"live": Settings(), "quick": Settings(), "full": Settings()},
    arms=arms, run=run,
)  # fmt: skip
