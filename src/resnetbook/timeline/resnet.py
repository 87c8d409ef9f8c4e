"""ResNet (He et al. 2016, arXiv:1512.03385, table 1 for ImageNet and section 4.2 for CIFAR-10).

    x_{l+1} = relu(F(x_l) + s(x_l))

A stem, stages of equal blocks (`resnetbook.principle.block`), the mean over the map, one linear layer. Each stage after the
first halves the map and doubles the channels in its first block; the shortcut s is the identity elsewhere. Survey:
section 3(1), claim C03. Parameter names are torchvision's, and its weights load strictly
(tests/timeline/test_resnet.py). Like torchvision the bottleneck strides on its 3x3 convolution; the paper strides on the
first 1x1, with the same parameters.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from resnetbook.principle.block import BasicBlock, Bottleneck, Shortcut
from resnetbook.principle.twins import TwinNet
from resnetbook.timeline._checks import check_images, check_positive, he_init

__all__ = ["VARIANTS", "CifarResNet", "ResNet"]


class ResNet(nn.Module):
    """The network for large images: (N, in_channels, H, W) -> logits (N, num_classes), H and W of 32 or more.

    Args:
        block: `BasicBlock` or `Bottleneck`.
        layers: number of blocks in each of the four stages, whose inner widths are 64, 128, 256, 512.
        num_classes: outputs of the linear layer.
        in_channels: 1 for grey images, 3 for colour.

    Raises:
        ValueError: another number of stages than four, or a size below 1; in `forward` a batch of another form.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        layers: Sequence[int],
        num_classes: int = 1000,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        if len(layers) != 4:
            raise ValueError(f"layers={tuple(layers)!r}: expected four numbers of blocks, one for each stage")
        check_positive(num_classes=num_classes, in_channels=in_channels)
        self.in_channels = in_channels

        # Stem: 224 -> 112 -> 56 pixels.
        self.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)

        # Stages: 56, 28, 14 and 7 pixels.
        channels, stages = 64, []
        for number, (blocks, width) in enumerate(zip(layers, (64, 128, 256, 512), strict=True)):
            check_positive(layers=blocks)
            stage = [block(channels, width, stride=1 if number == 0 else 2)]
            channels = width * block.expansion
            stage += [block(channels, width) for _ in range(blocks - 1)]
            stages.append(nn.Sequential(*stage))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages

        # Head.
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, num_classes)
        he_init(self)
        _relu_in_place(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        check_images(x, self.in_channels, 32)
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))


class CifarResNet(TwinNet):
    """The network for small images, 6n + 2 layers: (N, in_channels, H, W) -> (N, num_classes), H and W of 4 or more.

    Three stages of n basic blocks on maps of 32, 16 and 8 pixels, for CIFAR. It is section 2's `TwinNet`, where the body
    is written out; parameters with type A, colour and ten classes: 97,216 n - 21,926 (0.27 million for n = 3, as printed).

    Args:
        depth: 6n + 2: 20, 32, 44, 56, 110, 1202 in the paper.
        num_classes: outputs of the linear layer.
        in_channels: 1 for grey images, 3 for colour.
        shortcut: "A" (zero padding, the paper's choice here), "B" or "C".
        widths: channels of the three stages.
        residual: False for the plain network of equal depth.

    Raises:
        ValueError: a depth other than 6n + 2 (the message names the nearest), or a bad size; in `forward` a bad batch.
    """

    def __init__(
        self,
        depth: int,
        num_classes: int = 10,
        in_channels: int = 3,
        shortcut: Shortcut = "A",
        widths: Sequence[int] = (16, 32, 64),
        residual: bool = True,
    ) -> None:
        super().__init__(
            depth,
            num_classes=num_classes,
            in_channels=in_channels,
            shortcut=shortcut,
            widths=widths,
            residual=residual,
        )
        _relu_in_place(self)


def _relu_in_place(network: nn.Module) -> None:
    # Each relu here reads the output of a normalisation or of a sum, which nothing else needs.
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = True


VARIANTS: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    "resnet18": (ResNet, {"block": BasicBlock, "layers": (2, 2, 2, 2)}),
    "resnet34": (ResNet, {"block": BasicBlock, "layers": (3, 4, 6, 3)}),
    "resnet50": (ResNet, {"block": Bottleneck, "layers": (3, 4, 6, 3)}),
    "resnet101": (ResNet, {"block": Bottleneck, "layers": (3, 4, 23, 3)}),
    "resnet152": (ResNet, {"block": Bottleneck, "layers": (3, 8, 36, 3)}),
    "resnet20": (CifarResNet, {"depth": 20}),
    "resnet32": (CifarResNet, {"depth": 32}),
    "resnet44": (CifarResNet, {"depth": 44}),
    "resnet56": (CifarResNet, {"depth": 56}),
    "resnet110": (CifarResNet, {"depth": 110}),
    "resnet1202": (CifarResNet, {"depth": 1202}),
}
