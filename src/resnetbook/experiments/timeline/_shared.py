"""What several experiments of section 3 build with."""

from __future__ import annotations

from torch import nn

from resnetbook.timeline._conv import ConvNorm


def layer(in_channels: int, out_channels: int, n: int, factored: bool, stride: int = 1) -> nn.Module:
    """Return n x n, or 1 x n then n x 1; each with normalisation and relu."""
    if not factored:
        return ConvNorm(in_channels, out_channels, n, stride, n // 2)
    return nn.Sequential(
        ConvNorm(in_channels, out_channels, (1, n), (1, stride), (0, n // 2)),
        ConvNorm(out_channels, out_channels, (n, 1), (stride, 1), (n // 2, 0)),
    )
