"""What a NASNet cell applies to a state: separable convolutions, pools, and 1x1 convolutions that make maps fit."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from resnetbook.principle.block import conv1x1
from resnetbook.timeline._nasnet_cell import OPERATIONS


def norm(channels: int) -> nn.BatchNorm2d:
    """Batch normalisation with TensorFlow's epsilon."""
    return nn.BatchNorm2d(channels, eps=1e-3)


class SeparableConv(nn.Module):
    """Twice depthwise, pointwise, BN with a relu between; the relu before it is the cell's, one for all readers.

    Shape: (N, in_channels, H, W) -> (N, filters, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(self, in_channels: int, filters: int, kernel_size: int, stride: int) -> None:
        super().__init__()
        half = kernel_size // 2
        self.strided = stride > 1
        self.depthwise1 = nn.Conv2d(
            in_channels, in_channels, kernel_size, stride,
            padding=0 if self.strided else half, groups=in_channels, bias=False,
        )  # fmt: skip
        self.pointwise1 = conv1x1(in_channels, filters)
        self.norm1 = norm(filters)
        self.relu = nn.ReLU(inplace=True)
        self.depthwise2 = nn.Conv2d(filters, filters, kernel_size, padding=half, groups=filters, bias=False)
        self.pointwise2 = conv1x1(filters, filters)
        self.norm2 = norm(filters)

    def forward(self, x: Tensor) -> Tensor:
        """Return the filtered maps."""
        if self.strided:  # TensorFlow's "same": on an even side one row of zeros less at the start
            half = self.depthwise1.kernel_size[0] // 2
            top, left = half - 1 + x.shape[2] % 2, half - 1 + x.shape[3] % 2
            x = functional.pad(x, (left, half, top, half))
        x = self.norm1(self.pointwise1(self.depthwise1(x)))
        return self.norm2(self.pointwise2(self.depthwise2(self.relu(x))))


class Pool(nn.Module):
    """The largest or the mean value of 3x3 pixels: (N, C, H, W) -> (N, C, ceil(H / stride), ceil(W / stride)).

    The mean is over the pixels inside the map; with `count_padding` the zeros around it count where the stride is 2.
    """

    def __init__(self, kind: str, stride: int) -> None:
        super().__init__()
        self.kind, self.stride, self.count_padding = kind, stride, False

    def forward(self, x: Tensor) -> Tensor:
        """Return the pooled maps."""
        # Stride 2 with TensorFlow's "same": an even side is padded at its end alone, which the ceiling amounts to.
        padding = (x.shape[2] % 2, x.shape[3] % 2) if self.stride > 1 else (1, 1)
        if self.kind == "max3":
            return functional.max_pool2d(x, 3, self.stride, padding, ceil_mode=self.stride > 1)
        if self.count_padding and self.stride > 1:
            x = functional.pad(x, (padding[1], 1, padding[0], 1))
            return functional.avg_pool2d(x, 3, self.stride)
        return functional.avg_pool2d(
            x, 3, self.stride, padding, ceil_mode=self.stride > 1, count_include_pad=False
        )


class FactorizedReduction(nn.Module):
    """Halve the map: two 1x1 convolutions of stride 2, the second one pixel down and right, then BN.

    Shape: (N, in_channels, H, W) -> (N, filters, ceil(H / 2), ceil(W / 2)). No row or column is left out.
    """

    def __init__(self, in_channels: int, filters: int) -> None:
        super().__init__()
        self.conv1 = conv1x1(in_channels, filters // 2, stride=2)
        self.conv2 = conv1x1(in_channels, filters - filters // 2, stride=2)
        self.norm = norm(filters)

    def forward(self, x: Tensor) -> Tensor:
        """Return the smaller map."""
        shifted = functional.pad(x, (-1, 1, -1, 1))
        return self.norm(torch.cat([self.conv1(x), self.conv2(shifted)], 1))


def fitted(in_channels: int, filters: int, stride: int, relu: bool) -> nn.Module:
    """A projection to the cell's filters, of stride 1 or 2."""
    first = nn.ReLU() if relu else nn.Identity()
    if stride > 1:
        return nn.Sequential(first, FactorizedReduction(in_channels, filters))
    return nn.Sequential(first, conv1x1(in_channels, filters), norm(filters))


def operation_of(name: str, in_channels: int, filters: int, stride: int) -> nn.Module:
    """The module of one operation; identity and pools have parameters only where channels or size must change."""
    if name.startswith("sep"):
        return SeparableConv(in_channels, filters, OPERATIONS[name], stride)
    if name == "identity":
        if in_channels == filters and stride == 1:
            return nn.Identity()
        return nn.Sequential(nn.ReLU(), conv1x1(in_channels, filters, stride=stride), norm(filters))
    pool = Pool(name, stride)
    if in_channels == filters:
        return pool
    return nn.Sequential(pool, conv1x1(in_channels, filters), norm(filters))
