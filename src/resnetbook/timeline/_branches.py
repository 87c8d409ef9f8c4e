"""An Inception module from a table: branches side by side on one input, their outputs concatenated.

    y = concat(branch_1(x), ..., branch_k(x))

The table names each branch and lists its steps from the input on:

    {"branch1x1": (Conv(64),), "branch5x5": (Conv(48), Conv(64, 5)), "branch_pool": (Mean(32),)}

A step in brackets of its own is a fork: its convolutions all read the same map, and their outputs are concatenated.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from resnetbook.timeline._conv import ConvNorm

__all__ = ["Branches", "Conv", "Max", "Mean", "Step", "Table", "chain"]


@dataclass(frozen=True)
class Conv:
    """Convolution, normalisation, relu; padded so that a stride of 1 keeps the map, unless `valid`."""

    channels: int
    kernel: int | tuple[int, int] = 1
    stride: int = 1
    valid: bool = False

    def build(self, in_channels: int) -> nn.Module:
        """Return the module."""
        rows, columns = self.kernel if isinstance(self.kernel, tuple) else (self.kernel, self.kernel)
        padding = (0, 0) if self.valid else (rows // 2, columns // 2)
        return ConvNorm(in_channels, self.channels, (rows, columns), self.stride, padding)


@dataclass(frozen=True)
class Mean:
    """The mean over 3x3 pixels, then a 1x1 `Conv`; at the border zeros of the padding are counted or left out."""

    channels: int
    count_padding: bool = False

    def build(self, in_channels: int) -> nn.Module:
        """Return the module."""
        return _MeanConvNorm(in_channels, self.channels, self.count_padding)


@dataclass(frozen=True)
class Max:
    """The maximum over 3x3 pixels, stride 2, without padding unless given; keeps the channels (`channels` is 0)."""

    padding: int = 0
    channels: int = 0

    def build(self, in_channels: int) -> nn.Module:
        """Return the module."""
        return nn.MaxPool2d(3, stride=2, padding=self.padding)


Step = Conv | Mean | Max
Table = Mapping[str, tuple[Step | tuple[Step, ...], ...]]


class _MeanConvNorm(ConvNorm):
    def __init__(self, in_channels: int, out_channels: int, count_padding: bool) -> None:
        super().__init__(in_channels, out_channels, 1)
        self.pool = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=count_padding)

    def forward(self, x: Tensor) -> Tensor:
        # The mean over pixels and the 1x1 map over channels commute. This way round there are fewer channels to
        # average, and the convolution keeps x, which the other branches keep too, instead of a map of its own.
        return self.relu(self.bn(self.pool(self.conv(x))))


class Branches(nn.Module):
    """Concatenated branches: (N, in_channels, H, W) -> (N, out_channels, H', W').

    Modules are named as in torchvision's Inception-v3: after the branch, with the number of the step from 1 where there
    are several ("branch5x5_1"), with a letter in a fork ("branch3x3_2a").

    Args:
        in_channels: channels of x.
        table: steps of each branch; a fork may stand at the end only.
    """

    def __init__(self, in_channels: int, table: Table) -> None:
        super().__init__()
        self.out_channels = 0
        self.paths: list[list[list[str]]] = []  # names: branch, step, fork
        for branch, steps in table.items():
            channels, path = in_channels, []
            for number, step in enumerate(steps, 1):
                name = branch if len(steps) == 1 else f"{branch}_{number}"
                fork = {name + letter: part for letter, part in zip("abcd", step, strict=False)} if isinstance(step, tuple) else {name: step}  # fmt: skip
                for key, part in fork.items():
                    self.add_module(key, part.build(channels))
                path.append(list(fork))
                channels = sum(part.channels for part in fork.values()) or channels
            self.paths.append(path)
            self.out_channels += channels

    def forward(self, x: Tensor) -> Tensor:
        """Run the branches and concatenate once, also what a fork puts out."""
        outputs = []
        for *steps, ends in self.paths:
            out = x
            for (name,) in steps:
                out = getattr(self, name)(out)
            outputs += [getattr(self, name)(out) for name in ends]
        return torch.cat(outputs, 1)


def chain(in_channels: int, steps: Iterable[Step | Table]) -> tuple[nn.Sequential, int]:
    """Return steps and whole modules one after another, and how many channels come out."""
    parts: list[nn.Module] = []
    channels = in_channels
    for step in steps:
        if isinstance(step, Mapping):
            module = Branches(channels, step)
            parts.append(module)
            channels = module.out_channels
        else:
            parts.append(step.build(channels))
            channels = step.channels or channels
    return nn.Sequential(*parts), channels
