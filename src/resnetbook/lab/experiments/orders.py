"""C17: the order BN-ReLU-convolution makes the structure of a residual network optimal.

Design: the five orders of He et al. 2016 (arXiv:1603.05027, figure 4) in one network of 6n + 2 layers: "original" (the ReLU
after the sum), "bn-after" (the second BN after the sum too), "relu-before" (the ReLU moved into the branch's end),
"relu-only" (the branch begins with a ReLU) and "full" (BN and ReLU before each convolution). Equal for all arms: layers,
widths, parameters (shortcuts of type A), initial weights, images, order of batches, steps, warm-up; each arm takes its
best of four learning rates, chosen on validation loss with an extra seed. The lowest was added after a run in which two
orders chose the lowest of three: it can help the rivals of "full" alone. Where a unit leaves something out at its end,
the network makes it up once, behind the last unit; a unit that begins with a BN has none in the stem.
Metric: accuracy on test images at the end; training loss stands beside it. Two readings: "full" is better than each
other order by the margin, or no other order is better than "full". Refuted where another order is better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from resnetbook.lab.data import ImageSet
from resnetbook.lab.experiments import _fitting as fitting
from resnetbook.lab.experiments._registry import Context, Experiment
from resnetbook.principle.block import BasicBlock, conv3x3
from resnetbook.timeline._checks import check_depth, he_init
from resnetbook.timeline.resnet_v2 import PreActBlock


@dataclass(frozen=True)
class Settings(fitting.Fitting):
    """The training, the depth (6n + 2) and the widths of the stages."""

    epochs: int = 10
    rates: tuple[float, ...] = (0.007, 0.02, 0.05, 0.15)
    depth: int = 56
    widths: tuple[int, ...] = (8, 16, 32)


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


def arms(settings: Settings) -> Sequence[str]:
    """Return the five orders."""
    return tuple(ORDERS)


def network(settings: Settings, arm: str, data: ImageSet) -> nn.Module:
    """Build the network whose units have the order `arm`."""
    return OrderedResNet(settings.depth, arm, len(data.classes), data.train.images.shape[1], settings.widths)


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Train one order and measure it."""
    data = fitting.images_of(settings)
    return fitting.fit_and_measure(settings, lambda: network(settings, arm, data), data, seed, context)[1]


def tune(settings: Settings, arm: str, context: Context) -> dict[str, Any]:
    """Choose the order's learning rate."""
    data = fitting.images_of(settings)
    return fitting.best_rate(settings, lambda: network(settings, arm, data), data, context)


EXPERIMENT = Experiment(
    name="orders",
    title="The five orders of He et al. 2016 in one network",
    claims=("C17",),
    scales={
        "live": Settings(depth=8, epochs=1, rates=(0.05,)),
        "quick": Settings(),
        "full": Settings(
            data="cifar10_jpeg",
            depth=110,
            widths=(16, 32, 64),
            epochs=60,
            batch_size=128,
            rates=(0.01, 0.03, 0.1, 0.3),
        ),
    },
    arms=arms,
    run=run,
    tune=tune,
    data=fitting.describe,
    code=(
        "resnetbook.lab.experiments._fitting",
        "resnetbook.lab.experiments._shared",
        "resnetbook.lab.experiments.degradation",
        "resnetbook.principle.block",
        "resnetbook.timeline._checks",
        "resnetbook.timeline.resnet_v2",
    ),
)
