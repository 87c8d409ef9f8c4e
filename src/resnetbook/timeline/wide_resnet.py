"""Wide residual networks (Zagoruyko and Komodakis 2016, arXiv:1605.07146, table 1 and figure 1).

    x_{l+1} = x_l + F(x_l),   F = conv3x3 . dropout . relu . bn . conv3x3 . relu . bn

The pre-activation network of He et al. with k times as many channels in each stage: 16k, 32k, 64k; the stem keeps its 16.
Parameters and multiplications grow with k^2 and only linearly with depth, so that a wide network of equal size has far
fewer layers. Dropout stands between the two convolutions, never on the shortcut. A name WRN-d-k stands for d = 6n + 4:
with k = 1 it counts the two projections that He's 6n + 2 leaves out, which is why WRN-22-1 is the ResNet V2 of 20 layers.
With k > 1 the first stage has a projection as well, and the name stays.
Survey: sections 3(2) and 4.1(4), claims C20 to C22.

Equal to pytorchcv's networks with the same weights (tests/timeline/test_wide_resnet.py). For ImageNet the paper widens the
bottleneck of ResNet-50 (WRN-50-2-bottleneck); torchvision's `wide_resnet50_2` doubles the inner width alone, as we do: its
parameter names are ours and its weights load strictly.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from resnetbook.principle.block import Bottleneck, Shortcut, conv1x1, conv3x3
from resnetbook.timeline._checks import check_depth, check_images, check_positive, he_init
from resnetbook.timeline.resnet import ResNet
from resnetbook.timeline.resnet_v2 import PreActBlock

__all__ = ["VARIANTS", "WideBlock", "WideBottleneck", "WideResNet"]


class WideBlock(PreActBlock):
    """The pre-activation block with dropout between its two convolutions.

    Shape: (N, in_channels, H, W) -> (N, channels, ceil(H / stride), ceil(W / stride)).

    Args:
        in_channels: channels of x.
        channels: channels of F(x) and of the output.
        stride: of the first convolution and of the shortcut.
        shortcut: "A", "B" (a projection where the shape changes) or "C".
        dropout: probability that a value is set to zero in training.

    Raises:
        ValueError: a dropout outside [0, 1); else as `PreActBlock`.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        stride: int = 1,
        shortcut: Shortcut = "B",
        dropout: float = 0.0,
    ) -> None:
        super().__init__(in_channels, channels, stride=stride, shortcut=shortcut)
        if isinstance(dropout, bool) or not isinstance(dropout, int | float) or not 0 <= dropout < 1:
            raise ValueError(f"dropout={dropout!r}: expected a probability of at least 0 and below 1")
        self.dropout = nn.Dropout(dropout)

    def convolve(self, active: Tensor) -> Tensor:
        """Return F(x) from relu(bn1(x))."""
        return self.conv2(self.dropout(self.relu(self.bn2(self.conv1(active)))))


class WideResNet(nn.Module):
    """WRN-depth-k for small images: (N, in_channels, H, W) -> logits (N, num_classes), H and W of 4 or more.

    Three stages of n wide blocks on maps of 32, 16 and 8 pixels, for CIFAR.

    Args:
        depth: 6n + 4: 16, 22, 28, 40 in the paper.
        widen_factor: k, the factor on the channels of the stages.
        num_classes: outputs of the linear layer.
        dropout: probability that a value between two convolutions is set to zero in training; 0.3 in the paper.
        in_channels: 1 for grey images, 3 for colour.
        widths: channels of the three stages before widening; the first is also the stem's.

    Raises:
        ValueError: a depth other than 6n + 4 (the message names the nearest), a dropout outside [0, 1), other than three
            widths, a size below 1; in `forward` a batch of another form.
    """

    def __init__(
        self,
        depth: int,
        widen_factor: int,
        num_classes: int = 10,
        dropout: float = 0.0,
        in_channels: int = 3,
        widths: Sequence[int] = (16, 32, 64),
    ) -> None:
        super().__init__()
        n = check_depth(depth, step=6, offset=4)
        check_positive(widen_factor=widen_factor, num_classes=num_classes, in_channels=in_channels)
        if len(widths) != 3:
            raise ValueError(f"widths={tuple(widths)!r}: expected three, one for each stage")
        self.in_channels = in_channels

        channels, stages = widths[0], []
        self.conv1 = conv3x3(in_channels, channels)
        for number, width in enumerate(widths):
            wide = widen_factor * width
            stage = [WideBlock(channels, wide, stride=1 if number == 0 else 2, dropout=dropout)]
            stage += [WideBlock(wide, wide, dropout=dropout) for _ in range(n - 1)]
            stages.append(nn.Sequential(*stage))
            channels = wide
        self.layer1, self.layer2, self.layer3 = stages
        self.bn = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, num_classes)
        he_init(self)

    @property
    def blocks(self) -> list[tuple[str, nn.Module]]:
        """The blocks in order of depth, named as in `named_modules`: ("layer1.0", block), ..."""
        return [(name, module) for name, module in self.named_modules() if isinstance(module, WideBlock)]

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        check_images(x, self.in_channels, 4)
        x = self.layer3(self.layer2(self.layer1(self.conv1(x))))
        return self.fc(self.avgpool(self.relu(self.bn(x))).flatten(1))


class WideBottleneck(Bottleneck):
    """The bottleneck of ResNet with twice its inner width; what it puts out has 4 `channels` as before.

    Shape: (N, in_channels, H, W) -> (N, 4 channels, ceil(H / stride), ceil(W / stride)). The 3x3 convolution has
    2 `channels`, and so four times the weights. Arguments and errors as `Bottleneck`; its residual form alone.
    """

    def __init__(self, in_channels: int, channels: int, *, stride: int = 1, shortcut: Shortcut = "B") -> None:
        super().__init__(in_channels, channels, stride=stride, shortcut=shortcut)
        inner = 2 * channels
        self.conv1, self.bn1 = conv1x1(in_channels, inner), nn.BatchNorm2d(inner)
        self.conv2, self.bn2 = conv3x3(inner, inner, stride=stride), nn.BatchNorm2d(inner)
        self.conv3 = conv1x1(inner, self.expansion * channels)

    def branch(self, x: Tensor) -> Tensor:
        """Return F(x), shape (N, 4 channels, ceil(H / stride), ceil(W / stride))."""
        # One expression: a local name would keep a wide inner map alive for a step longer.
        return self.bn3(self.conv3(self.relu(self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x))))))))


VARIANTS: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    "wrn16_4": (WideResNet, {"depth": 16, "widen_factor": 4}),
    "wrn28_10": (WideResNet, {"depth": 28, "widen_factor": 10}),
    "wrn40_4": (WideResNet, {"depth": 40, "widen_factor": 4}),
    "wide_resnet50_2": (ResNet, {"block": WideBottleneck, "layers": (3, 4, 6, 3)}),
}
