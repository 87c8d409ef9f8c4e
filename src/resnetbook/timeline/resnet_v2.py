"""ResNet V2, pre-activation (He et al. 2016, "Identity Mappings in Deep Residual Networks", arXiv:1603.05027).

    x_{l+1} = x_l + F(x_l)        hence x_L = x_l + F(x_l) + ... + F(x_{L-1})        the paper's equations (3) and (4)

Nothing follows the sum: batch normalisation and ReLU stand before each convolution of F, "full pre-activation" (figure
4e). Between two changes of shape a signal runs along the shortcuts unaltered. Where the shape changes by a projection,
the first BN-ReLU of the unit serves both paths and the shortcut is a bare 1x1 convolution, as in the authors' code
(KaimingHe/resnet-1k-layers). The network's stem has no BN, its end has one; so neither depth nor width nor the number of
parameters of a CIFAR network with shortcuts of type A differs from ResNet's. Survey: section 3(2), claims C16 and C17.

The stride of a bottleneck sits on its 3x3 convolution, as in timm (ImageNet) and pytorchcv (CIFAR), which these networks equal
(tests/timeline/test_resnet_v2.py); the authors' code strides on the first 1x1, with the same parameters. The paper's
appendix has the first unit of a network without projection read relu(bn1(x)) on both paths too; here its shortcut is x.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from resnetbook.principle.block import Shortcut, conv1x1, conv3x3, shortcut
from resnetbook.timeline._checks import check_depth, check_images, check_positive, he_init

__all__ = [
    "TIMM_KEYS",
    "VARIANTS",
    "PreActBlock",
    "PreActBottleneck",
    "PreActResNet",
    "ResNetV2",
    "from_timm",
]


class _PreActUnit(nn.Module):
    """x + F(x) with F = `convolve` . relu . bn1; subclasses add the convolutions."""

    def __init__(
        self, in_channels: int, channels: int, out_channels: int, stride: int, kind: Shortcut
    ) -> None:
        super().__init__()
        check_positive(in_channels=in_channels, channels=channels, stride=stride)
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.relu = nn.ReLU(inplace=True)  # it reads the output of a normalisation, never x itself
        self.downsample = _downsample(kind, in_channels, out_channels, stride)
        self.shared = isinstance(self.downsample, nn.Conv2d)  # the projection reads relu(bn1(x)) too

    def convolve(self, active: Tensor) -> Tensor:
        """Return F(x) from relu(bn1(x))."""
        raise NotImplementedError

    def branch(self, x: Tensor, active: Tensor | None = None) -> Tensor:
        """Return F(x); `active` is relu(bn1(x)) where it is known already."""
        return self.convolve(self.relu(self.bn1(x)) if active is None else active)

    def identity(self, x: Tensor, active: Tensor | None = None) -> Tensor:
        """Return s(x): x itself, x subsampled and padded (type A), or the projection of relu(bn1(x))."""
        if self.downsample is None:
            return x
        if not self.shared:
            return self.downsample(x)
        return self.downsample(self.relu(self.bn1(x)) if active is None else active)

    def forward(self, x: Tensor) -> Tensor:
        """Return s(x) + F(x); nothing follows the sum."""
        if not self.shared:
            return self.identity(x) + self.branch(x)
        active = self.relu(self.bn1(x))  # once, for both paths
        return self.identity(x, active) + self.branch(x, active)


class PreActBlock(_PreActUnit):
    """Two 3x3 convolutions: F = conv2 . relu . bn2 . conv1 . relu . bn1; the first carries the stride.

    Shape: (N, in_channels, H, W) -> (N, channels, ceil(H / stride), ceil(W / stride)).

    Args:
        in_channels: channels of x.
        channels: channels of F(x) and of the output.
        stride: of conv1 and of the shortcut.
        shortcut: "A" (zero padding), "B" (a projection where the shape changes) or "C" (a projection always).

    Raises:
        ValueError: an unknown shortcut, a size below 1, or type A with fewer channels out than in.
    """

    expansion = 1

    def __init__(self, in_channels: int, channels: int, *, stride: int = 1, shortcut: Shortcut = "B") -> None:
        super().__init__(in_channels, channels, channels, stride, shortcut)
        self.conv1 = conv3x3(in_channels, channels, stride=stride)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv2 = conv3x3(channels, channels)

    def convolve(self, active: Tensor) -> Tensor:
        """Return F(x) from relu(bn1(x))."""
        return self.conv2(self.relu(self.bn2(self.conv1(active))))


class PreActBottleneck(_PreActUnit):
    """1x1, 3x3 and 1x1 convolutions, each after BN and ReLU; the 3x3 carries the stride.

    Shape: (N, in_channels, H, W) -> (N, 4 channels, ceil(H / stride), ceil(W / stride)). Arguments and errors as
    `PreActBlock`, but `channels` is the inner width.
    """

    expansion = 4

    def __init__(self, in_channels: int, channels: int, *, stride: int = 1, shortcut: Shortcut = "B") -> None:
        check_positive(channels=channels)
        super().__init__(in_channels, channels, self.expansion * channels, stride, shortcut)
        self.conv1 = conv1x1(in_channels, channels)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv2 = conv3x3(channels, channels, stride=stride)
        self.bn3 = nn.BatchNorm2d(channels)
        self.conv3 = conv1x1(channels, self.expansion * channels)

    def convolve(self, active: Tensor) -> Tensor:
        """Return F(x) from relu(bn1(x))."""
        out = self.conv2(self.relu(self.bn2(self.conv1(active))))
        return self.conv3(self.relu(self.bn3(out)))


class PreActResNet(nn.Module):
    """The network for small images: (N, in_channels, H, W) -> logits (N, num_classes), H and W of 4 or more.

    Three stages of n units on maps of 32, 16 and 8 pixels, for CIFAR; 6n + 2 layers, with bottlenecks 9n + 2.

    Args:
        depth: 6n + 2 (110 in the paper), with bottlenecks 9n + 2 (164, 1001): projections are not counted.
        num_classes: outputs of the linear layer.
        bottleneck: units of three convolutions in place of two.
        in_channels: 1 for grey images, 3 for colour.
        shortcut: "A", "B" or "C" (see `PreActBlock`).
        widths: channels of the three stages; a bottleneck puts out four times as many.

    Raises:
        ValueError: another depth (the message names the nearest), other than three widths, a size below 1 or an unknown
            shortcut; in `forward` a batch of another form.
    """

    def __init__(
        self,
        depth: int,
        num_classes: int = 10,
        bottleneck: bool = False,
        in_channels: int = 3,
        shortcut: Shortcut = "B",
        widths: Sequence[int] = (16, 32, 64),
    ) -> None:
        super().__init__()
        n = check_depth(depth, step=9 if bottleneck else 6, offset=2)
        if len(widths) != 3:
            raise ValueError(f"widths={tuple(widths)!r}: expected three, one for each stage")
        check_positive(num_classes=num_classes, in_channels=in_channels)
        self.in_channels = in_channels
        unit = PreActBottleneck if bottleneck else PreActBlock
        channels = widths[0]
        self.conv1 = conv3x3(in_channels, channels)  # no BN: the first unit begins with one
        self.layer1, channels = _stage(unit, channels, widths[0], n, stride=1, kind=shortcut)
        self.layer2, channels = _stage(unit, channels, widths[1], n, stride=2, kind=shortcut)
        self.layer3, channels = _stage(unit, channels, widths[2], n, stride=2, kind=shortcut)
        self.bn = nn.BatchNorm2d(channels)  # the last sum has had neither
        self.relu = nn.ReLU(inplace=True)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, num_classes)
        he_init(self)

    @property
    def blocks(self) -> list[tuple[str, nn.Module]]:
        """The units in order of depth, named as in `named_modules`: ("layer1.0", unit), ..."""
        return [(name, module) for name, module in self.named_modules() if isinstance(module, _PreActUnit)]

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        check_images(x, self.in_channels, 4)
        x = self.layer3(self.layer2(self.layer1(self.conv1(x))))
        return self.fc(self.avgpool(self.relu(self.bn(x))).flatten(1))


class ResNetV2(nn.Module):
    """The network for large images: (N, in_channels, H, W) -> logits (N, num_classes), H and W of 32 or more.

    Args:
        layers: number of bottlenecks in each of the four stages, whose inner widths are 64, 128, 256, 512.
        num_classes: outputs of the linear layer.
        in_channels: 1 for grey images, 3 for colour.

    Raises:
        ValueError: another number of stages than four, or a size below 1; in `forward` a batch of another form.
    """

    def __init__(self, layers: Sequence[int], num_classes: int = 1000, in_channels: int = 3) -> None:
        super().__init__()
        if len(layers) != 4:
            raise ValueError(f"layers={tuple(layers)!r}: expected four numbers of units, one for each stage")
        check_positive(num_classes=num_classes, in_channels=in_channels)
        self.in_channels = in_channels
        unit, channels = PreActBottleneck, 64
        self.conv1 = nn.Conv2d(in_channels, channels, 7, stride=2, padding=3, bias=False)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1, channels = _stage(unit, channels, 64, layers[0], stride=1)
        self.layer2, channels = _stage(unit, channels, 128, layers[1], stride=2)
        self.layer3, channels = _stage(unit, channels, 256, layers[2], stride=2)
        self.layer4, channels = _stage(unit, channels, 512, layers[3], stride=2)
        self.bn = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, num_classes)
        he_init(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        check_images(x, self.in_channels, 32)
        x = self.maxpool(self.conv1(x))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(self.relu(self.bn(x))).flatten(1))


def _downsample(kind: Shortcut, in_channels: int, out_channels: int, stride: int) -> nn.Module | None:
    module = shortcut(kind, in_channels, out_channels, stride=stride, norm=False)
    if isinstance(module, nn.Sequential):
        return module[0]  # the convolution alone
    return None if isinstance(module, nn.Identity) else module


def _stage(
    unit: type[PreActBlock] | type[PreActBottleneck],
    in_channels: int,
    width: int,
    blocks: int,
    *,
    stride: int,
    kind: Shortcut = "B",
) -> tuple[nn.Sequential, int]:
    """Return a stage, whose first unit alone changes the shape, and its number of channels."""
    check_positive(layers=blocks)
    channels = width * unit.expansion
    first = unit(in_channels, width, stride=stride, shortcut=kind)
    return nn.Sequential(first, *(unit(channels, width, shortcut=kind) for _ in range(blocks - 1))), channels


VARIANTS: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    "preact_resnet110": (PreActResNet, {"depth": 110}),
    "preact_resnet164": (PreActResNet, {"depth": 164, "bottleneck": True}),
    "preact_resnet1001": (PreActResNet, {"depth": 1001, "bottleneck": True}),
    "resnet50_v2": (ResNetV2, {"layers": (3, 4, 6, 3)}),
}

TIMM_KEYS: list[tuple[str, str]] = [
    (r"^stages\.0\.blocks\.", "layer1."),
    (r"^stages\.1\.blocks\.", "layer2."),
    (r"^stages\.2\.blocks\.", "layer3."),
    (r"^stages\.3\.blocks\.", "layer4."),
    (r"\.norm(\d)\.", r".bn\1."),
    (r"\.downsample\.conv\.", ".downsample."),
    (r"^stem\.conv\.", "conv1."),
    (r"^norm\.", "bn."),
    (r"^head\.fc\.", "fc."),
]


def from_timm(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Make timm's last layer, a 1x1 convolution on a map of one pixel, the linear layer that it is."""
    return {**weights, "fc.weight": weights["fc.weight"].flatten(1)}
