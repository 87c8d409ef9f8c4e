"""ResNeXt (Xie et al. 2017, arXiv:1611.05431, equation 2 and figure 3; table 1 for ImageNet, section 5.3 for CIFAR).

    y = relu(x + sum over i = 1..C of T_i(x)),   T_i = 1x1 . 3x3 . 1x1, each of d channels inside

C is the cardinality, the number of branches of equal shape. The sum (form A), one last convolution on the concatenated
branches (form B) and a bottleneck whose 3x3 convolution has C groups (form C) are one function; `Branches` writes a
block in forms A and B, the networks use C. Survey: sections 3(4) and 4.5(3), claim C38, erratum E11. ResNeXt is section
3(1)'s ResNet with another block, of torchvision's names, whose weights load strictly; cardinality 1 with base width 64 is
ResNet-50, with 128 the wide one (tests/timeline/test_resnext.py). The paper's first arXiv version orders the CIFAR
blocks as pre-activation; its code and this file do not.
"""

import operator
from collections.abc import Sequence
from copy import deepcopy
from functools import partial, reduce
from typing import Any, Literal

import torch
from torch import Tensor, nn

from resnetbook.principle.block import Bottleneck, Shortcut, conv1x1, conv3x3
from resnetbook.timeline._checks import check_depth, check_images, check_positive, he_init
from resnetbook.timeline.resnet import ResNet

__all__ = ["TIMM_KEYS", "VARIANTS", "Branches", "CifarResNeXt", "GroupedBottleneck", "ResNeXt"]


class GroupedBottleneck(Bottleneck):
    """Form C: the bottleneck with a grouped 3x3 convolution and an inner width of its own.

    Shape: (N, in_channels, H, W) -> (N, 4 channels, ceil(H / stride), ceil(W / stride)).

    Args:
        in_channels: channels of x.
        channels: a quarter of the output's channels.
        stride: of the 3x3 convolution and of the shortcut.
        cardinality: C, the number of groups.
        base_width: d, the width of a group, in the stage in which `channels` equals `base`; it grows with `channels`.
        base: see `base_width`.
        shortcut: type "A", "B" or "C".
        residual: False leaves out the sum.

    Raises:
        ValueError: a size below 1, a group that would have no channel, or an unknown shortcut.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        stride: int = 1,
        cardinality: int = 32,
        base_width: int = 4,
        base: int = 64,
        shortcut: Shortcut = "B",
        residual: bool = True,
    ) -> None:
        check_positive(channels=channels, cardinality=cardinality, base_width=base_width, base=base)
        super().__init__(in_channels, channels, stride=stride, shortcut=shortcut, residual=residual)
        group = base_width * channels // base
        if group < 1:
            raise ValueError(
                f"base_width={base_width}: expected {-(-base // channels)} or more with {channels} channels"
            )
        # In torchvision's order and under its names; only widths and groups differ from the bottleneck.
        self.cardinality, inner = cardinality, cardinality * group
        self.conv1, self.bn1 = conv1x1(in_channels, inner), nn.BatchNorm2d(inner)
        self.conv2, self.bn2 = conv3x3(inner, inner, stride=stride, groups=cardinality), nn.BatchNorm2d(inner)
        self.conv3 = conv1x1(inner, self.expansion * channels)
        self.relu = nn.ReLU(inplace=True)  # after a normalisation or a sum, whose value nothing else needs

    def branch(self, x: Tensor) -> Tensor:
        """Return F(x), shape (N, 4 channels, ceil(H / stride), ceil(W / stride))."""
        # One expression: a local name would keep the wide inner maps alive for a step longer.
        return self.bn3(self.conv3(self.relu(self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x))))))))


class Branches(nn.Module):
    """A block in form A or B: the same function and a copy of its weights, written as separate branches.

    Shape: as the block. `join` is "sum" where each branch ends in its own 1x1 convolution (form A), "concat" where one
    1x1 convolution reads all branches (form B).

    Raises:
        ValueError: another word than these two, or a block without its sum.
    """

    def __init__(self, block: GroupedBottleneck, join: Literal["sum", "concat"] = "sum") -> None:
        super().__init__()
        if join not in ("sum", "concat") or not block.residual:
            raise ValueError(f"join={join!r}: expected 'sum' or 'concat', and a block that adds its input")
        cardinality, whole = block.cardinality, block.conv2
        d, out_channels = whole.in_channels // cardinality, block.conv3.out_channels
        chain = nn.Sequential(
            block.conv1, block.bn1, block.relu, whole, block.bn2, block.relu, block.conv3
        ).state_dict()
        self.branches = nn.ModuleList()
        for number in range(cardinality):
            branch = nn.Sequential(
                conv1x1(block.conv1.in_channels, d), nn.BatchNorm2d(d), nn.ReLU(inplace=True),
                conv3x3(d, d, stride=whole.stride[0]), nn.BatchNorm2d(d), nn.ReLU(inplace=True),
                conv1x1(d, out_channels),
            )  # fmt: skip
            branch.load_state_dict(
                {
                    # The last convolution is cut along its inputs, everything before along its outputs.
                    name: value.chunk(cardinality, int(name == "6.weight"))[number] if value.dim() else value
                    for name, value in chain.items()
                }
            )
            self.branches.append(branch if join == "sum" else branch[:6])
        self.conv3 = deepcopy(block.conv3) if join == "concat" else None
        self.bn3, self.relu = deepcopy(block.bn3), nn.ReLU(inplace=True)
        self.downsample = deepcopy(block.downsample)

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(x + BN(sum of T_i(x)))."""
        parts = [branch(x) for branch in self.branches]
        out = reduce(operator.add, parts) if self.conv3 is None else self.conv3(torch.cat(parts, 1))
        out = self.bn3(out) + (x if self.downsample is None else self.downsample(x))
        return self.relu(out)


class ResNeXt(ResNet):
    """The network for large images: (N, in_channels, H, W) -> (N, num_classes), H and W of 32 or more.

    Args:
        layers: number of blocks in each of the four stages, whose outputs have 256, 512, 1024 and 2048 channels.
        cardinality: C, the number of branches of a block.
        base_width: d, the width of a branch in the first stage; it doubles from stage to stage.
        num_classes: outputs of the linear layer.
        in_channels: 1 for grey images, 3 for colour.

    Raises:
        ValueError: as `ResNet` and `GroupedBottleneck`.
    """

    def __init__(
        self,
        layers: Sequence[int],
        cardinality: int = 32,
        base_width: int = 4,
        num_classes: int = 1000,
        in_channels: int = 3,
    ) -> None:
        block: Any = partial(GroupedBottleneck, cardinality=cardinality, base_width=base_width)
        block.expansion = GroupedBottleneck.expansion
        super().__init__(block, layers, num_classes=num_classes, in_channels=in_channels)


class CifarResNeXt(nn.Module):
    """The network for small images, 9n + 2 layers: (N, in_channels, H, W) -> (N, num_classes), H and W of 4 or more.

    A 3x3 convolution, three stages of n blocks on maps of 32, 16 and 8 pixels, the mean over the map, a linear layer.

    Args:
        depth: 9n + 2; 29 in the paper.
        cardinality: C, the number of branches of a block.
        base_width: d, the width of a branch in the first stage; it doubles from stage to stage.
        num_classes: outputs of the linear layer.
        in_channels: 1 for grey images, 3 for colour.
        widths: a quarter of each stage's output channels; the first is also the width of the stem.

    Raises:
        ValueError: a depth other than 9n + 2 (the message names the nearest), other than three widths, or a bad size;
            in `forward` a bad batch.
    """

    def __init__(
        self,
        depth: int,
        cardinality: int = 8,
        base_width: int = 64,
        num_classes: int = 10,
        in_channels: int = 3,
        widths: Sequence[int] = (64, 128, 256),
    ) -> None:
        super().__init__()
        n = check_depth(depth, step=9, offset=2)
        check_positive(num_classes=num_classes, in_channels=in_channels)
        if len(widths) != 3:
            raise ValueError(f"widths={tuple(widths)!r}: expected three, one for each stage")
        check_positive(widths=widths[0])
        self.in_channels = in_channels

        self.conv1 = conv3x3(in_channels, widths[0])
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.relu = nn.ReLU(inplace=True)
        block = partial(GroupedBottleneck, cardinality=cardinality, base_width=base_width, base=widths[0])
        channels = widths[0]
        stages: list[nn.Sequential] = []
        for width in widths:
            stage = [block(channels, width, stride=1 if not stages else 2)]
            channels = width * GroupedBottleneck.expansion
            stage += [block(channels, width) for _ in range(n - 1)]
            stages.append(nn.Sequential(*stage))
        self.layer1, self.layer2, self.layer3 = stages
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, num_classes)
        he_init(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        check_images(x, self.in_channels, 4)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(self.avgpool(x).flatten(1))


TIMM_KEYS: tuple[tuple[str, str], ...] = ()  # timm uses the same names

VARIANTS: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    "resnext50_32x4d": (ResNeXt, {"layers": (3, 4, 6, 3), "cardinality": 32, "base_width": 4}),
    "resnext101_32x8d": (ResNeXt, {"layers": (3, 4, 23, 3), "cardinality": 32, "base_width": 8}),
    "resnext29_8x64d": (CifarResNeXt, {"depth": 29, "cardinality": 8, "base_width": 64}),
    "resnext29_16x64d": (CifarResNeXt, {"depth": 29, "cardinality": 16, "base_width": 64}),
}
