"""ResNet Init (arXiv:1603.08029): both streams of RiR as one, and an identity in the first weights of each layer."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from resnetbook.principle.block import conv1x1, conv3x3
from resnetbook.timeline._checks import check_depth, check_images, check_positive


def plan_of(depth: int, widen_factor: int, widths: Sequence[int]) -> list[tuple[int, int]]:
    """Return (blocks, channels of a stream) for each stage; 2 and 3 and 3 blocks for 18 layers."""
    n = check_depth(depth, step=2, offset=2)
    if n < 3:
        raise ValueError(f"depth={depth}: expected 2n + 2 with n of 3 or more; the smallest is 8")
    if len(widths) != 3:
        raise ValueError(f"widths={tuple(widths)!r}: expected three, one for each stage")
    check_positive(widen_factor=widen_factor)
    for width in widths:
        check_positive(widths=width)
    return [((n + stage) // 3, widen_factor * width) for stage, width in enumerate(widths)]


def draw(convolution: nn.Conv2d, streams: int) -> None:
    """Draw He et al.'s weights (2015): variance 2 / fan-in, the fan of the layer, which sums over all its streams."""
    fan = streams * convolution.in_channels * 9
    nn.init.normal_(convolution.weight, std=(2.0 / fan) ** 0.5)


@torch.no_grad()
def add_identity(weight: Tensor, channels: int) -> Tensor:
    """Add 1 to the centre tap from each of the first channels to itself; with stride 2 it reads every second pixel."""
    index = torch.arange(channels, device=weight.device)
    weight[index, index, 1, 1] += 1
    return weight


class ResNetInit(nn.Sequential):
    """The plain network that starts as RiR does: relu(norm(W x)), where W holds an identity for the first half of x.

    Shapes, arguments and errors as `RiR`, without shortcuts: each layer has both streams, 2c channels.
    """

    def __init__(
        self,
        depth: int = 18,
        widen_factor: int = 1,
        num_classes: int = 10,
        in_channels: int = 3,
        widths: Sequence[int] = (16, 32, 64),
    ) -> None:
        plan = plan_of(depth, widen_factor, widths)
        check_positive(num_classes=num_classes, in_channels=in_channels)
        parts: list[nn.Module] = []

        def layer(before: int, after: int, stride: int) -> nn.Conv2d:
            convolution = conv3x3(before, after, stride=stride)
            draw(convolution, streams=1)
            parts.extend([convolution, nn.BatchNorm2d(after), nn.ReLU(inplace=True)])
            return convolution

        channels = 2 * plan[0][1]
        layer(in_channels, channels, 1)
        for number, (blocks, width) in enumerate(plan):
            for position in range(2 * blocks):
                stride = 2 if number > 0 and position == 0 else 1
                add_identity(layer(channels, 2 * width, stride).weight, channels // 2)
                channels = 2 * width
        parts += [conv1x1(channels, num_classes), nn.BatchNorm2d(num_classes), nn.AdaptiveAvgPool2d(1)]
        super().__init__(*parts, nn.Flatten())
        self.in_channels = in_channels

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        check_images(x, self.in_channels, 4)
        return super().forward(x)
