"""The five orders of convolution, batch normalisation and ReLU of He et al. 2016 (arXiv:1603.05027, figure 4) in one network."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from resnetbook.principle.block import BasicBlock, conv3x3
from resnetbook.timeline._checks import check_depth, he_init
from resnetbook.timeline.resnet_v2 import PreActBlock


class BnAfterAddition(BasicBlock):
    """y = relu(bn2(s(x) + conv2(relu(bn1(conv1(x))))))."""

    def forward(self, x: Tensor) -> Tensor:
        """Return y."""
        out = self.conv2(self.relu(self.bn1(self.conv1(x))))
        return self.relu(self.bn2(self.identity(x) + out))


class ReluBeforeAddition(BasicBlock):
    """y = s(x) + relu(bn2(conv2(relu(bn1(conv1(x))))))."""

    def forward(self, x: Tensor) -> Tensor:
        """Return y."""
        return self.identity(x) + self.relu(self.branch(x))


class ReluOnly(BasicBlock):
    """y = s(x) + bn2(conv2(relu(bn1(conv1(relu(x))))))."""

    def forward(self, x: Tensor) -> Tensor:
        """Return y."""
        return self.identity(x) + self.branch(self.relu(x))


# Order: the unit, then whether BN and ReLU follow the stem, then whether they follow the last unit.
ORDERS: dict[str, tuple[type[nn.Module], tuple[bool, bool], tuple[bool, bool]]] = {
    "original": (BasicBlock, (True, True), (False, False)),
    "bn-after": (BnAfterAddition, (True, True), (False, False)),
    "relu-before": (ReluBeforeAddition, (True, True), (False, False)),
    "relu-only": (ReluOnly, (True, False), (False, True)),
    "full": (PreActBlock, (False, False), (True, True)),
}


class OrderedResNet(nn.Module):
    """A network of 6n + 2 layers whose units have one of the five orders: (N, in_channels, H, W) -> logits.

    "original" is `CifarResNet` and "full" is `PreActResNet`, with shortcuts of type A and he_init's weights.

    Raises:
        ValueError: an unknown order or another depth.
    """

    def __init__(
        self,
        depth: int,
        order: str,
        num_classes: int = 10,
        in_channels: int = 1,
        widths: Sequence[int] = (16, 32, 64),
    ) -> None:
        super().__init__()
        if order not in ORDERS:
            raise ValueError(f"order={order!r}: expected one of {', '.join(ORDERS)}")
        n = check_depth(depth, step=6, offset=2)
        unit, stem, tail = ORDERS[order]

        def stage(channels_in: int, channels: int, stride: int) -> nn.Sequential:
            plan = [(channels_in, stride)] + [(channels, 1)] * (n - 1)
            return nn.Sequential(*(unit(c, channels, stride=s, shortcut="A") for c, s in plan))

        self.conv1 = conv3x3(in_channels, widths[0])
        self.stem = _bn_relu(widths[0], *stem)
        self.layer1 = stage(widths[0], widths[0], 1)
        self.layer2 = stage(widths[0], widths[1], 2)
        self.layer3 = stage(widths[1], widths[2], 2)
        self.tail = _bn_relu(widths[2], *tail)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(widths[2], num_classes)
        he_init(self)  # BN draws nothing: one seed gives all orders the same weights

    @property
    def blocks(self) -> list[tuple[str, nn.Module]]:
        """The units in order of depth, named as in `named_modules`."""
        return [
            (name, module)
            for name, module in self.named_modules()
            if isinstance(module, BasicBlock | PreActBlock)
        ]

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        x = self.layer3(self.layer2(self.layer1(self.stem(self.conv1(x)))))
        return self.fc(self.avgpool(self.tail(x)).flatten(1))


def _bn_relu(channels: int, bn: bool, relu: bool) -> nn.Sequential:
    return nn.Sequential(*[nn.BatchNorm2d(channels)] * bn, *[nn.ReLU()] * relu)
