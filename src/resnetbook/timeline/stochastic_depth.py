"""Stochastic depth (Huang et al. 2016, arXiv:1603.09382, equations 2, 4 and 5, figure 2).

    training      H_l = relu(b_l f_l(H_{l-1}) + s(H_{l-1})),   b_l = 1 with probability p_l, else 0
    evaluation    H_l = relu(p_l f_l(H_{l-1}) + s(H_{l-1}))
    linear rule   p_l = 1 - (l / L)(1 - p_L),   l = 1 ... L

One b_l for each block and mini-batch. Where it is 0 the block is not computed, forwards or backwards: with p_L = 1/2 the
network trained has (3L - 1) / 4 blocks on average, 40.25 of 54. Survey: sections 3(3) and 4.5(6), claims C24 to C27.

Everything else is `CifarResNet`, parameter names included, and with survival 1 it is that network bit for bit. The authors'
code differs in two points that have nothing to do with the idea: its convolutions have biases, and its shortcut takes the
mean of 2x2 pixels where ours takes every second one.

The draws come from torch's CPU generator, so that a seed repeats them on any device. With several processes (DDP) each
draws for its own share of the mini-batch, and the gradient is the mean over their masks. A parameter of a block that was
left out gets a gradient of zero, not none: momentum and weight decay go on, and DDP misses no gradient. `torch.compile`
breaks its graph at each draw in training; in evaluation nothing is drawn, and `torch.export` takes the whole network.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from resnetbook.principle.block import BasicBlock, Shortcut, conv3x3
from resnetbook.timeline._checks import check_depth, check_images, check_positive

Rule = Literal["linear", "uniform"]

__all__ = [
    "VARIANTS",
    "Rule",
    "StochasticBlock",
    "StochasticDepthResNet",
    "stochastic_sum",
    "survival_rates",
    "survives",
    "with_zero_gradients",
]


def survival_rates(blocks: int, survival: float, rule: Rule = "linear") -> list[float]:
    """Return p_1 to p_L for L `blocks`: falling from 1 at the input to `survival` at the last block, or all equal.

    Raises:
        ValueError: no block, a survival outside (0, 1], or an unknown rule.
    """
    check_positive(blocks=blocks)
    if isinstance(survival, bool) or not isinstance(survival, int | float) or not 0 < survival <= 1:
        raise ValueError(f"survival={survival!r}: expected a probability above 0 and at most 1")
    if rule not in get_args(Rule):
        raise ValueError(f"rule={rule!r}: expected 'linear' or 'uniform'")
    if rule == "uniform":
        return [float(survival)] * blocks
    return [1 - number / blocks * (1 - survival) for number in range(1, blocks + 1)]


def survives(rate: float) -> bool:
    """Draw b, True with probability `rate`; a rate of 1 draws nothing and leaves the random state alone."""
    return rate >= 1 or float(torch.rand((), device="cpu")) < rate


def stochastic_sum(block: Any, x: Tensor) -> Tensor:
    """Return s(x) + b F(x) in training, s(x) + p F(x) in evaluation; where b is 0, F is not computed.

    `block` is any module with `identity` (s), `branch` (F) and `survival` (p). `block.dropped` says afterwards whether F
    was left out; the sum is then s(x) itself, which may be x.
    """
    block.dropped = block.training and not survives(block.survival)
    if block.dropped:
        return block.identity(x)
    return torch.add(block.identity(x), block.branch(x), alpha=1.0 if block.training else block.survival)


class _ZeroGradients(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, out: Tensor, *parameters: Tensor) -> Tensor:
        ctx.save_for_backward(*parameters)
        return out.view_as(out)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        return gradient, *(torch.zeros_like(parameter) for parameter in ctx.saved_tensors)


def with_zero_gradients(out: Tensor, blocks: Iterable[nn.Module]) -> Tensor:
    """Return a network's output, tied to the parameters of the blocks that were dropped: they get gradients of zero."""
    # A projection shortcut is computed in every step: it has a gradient of its own.
    idle = [
        parameter
        for block in blocks
        if block.dropped
        for name, parameter in block.named_parameters()
        if not name.startswith(("downsample.", "shortcut."))
    ]
    return _ZeroGradients.apply(out, *idle) if idle else out  # type: ignore[no-untyped-call, no-any-return]


class StochasticBlock(BasicBlock):
    """A basic block that is left out at random: (N, in_channels, H, W) -> (N, channels, H / stride, W / stride).

    x is what a ReLU has put out: a dropped block whose shortcut is the identity returns x as it is, for relu(x) = x.

    Args:
        in_channels: channels of x.
        channels: channels of F(x) and of the output.
        survival: probability that the block is computed in a training step.
        stride: of the first convolution and of the shortcut.
        shortcut: type "A", "B" or "C".
    """

    def __init__(
        self, in_channels: int, channels: int, *, survival: float, stride: int = 1, shortcut: Shortcut = "A"
    ) -> None:
        super().__init__(in_channels, channels, stride=stride, shortcut=shortcut)
        self.relu = nn.ReLU(inplace=True)
        self.survival = survival
        self.dropped = False

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(b F(x) + s(x)) in training, relu(p F(x) + s(x)) in evaluation."""
        out = stochastic_sum(self, x)
        return x if out is x else self.relu(out)

    def extra_repr(self) -> str:
        """Describe the module in `print`."""
        return f"survival={self.survival:g}"


class StochasticDepthResNet(nn.Module):
    """ResNet of 6n + 2 layers, 3n blocks: (N, in_channels, H, W) -> logits (N, num_classes), H and W of 4 or more.

    Args:
        depth: 6n + 2: 110 and 1202 in the paper.
        survival: p_L, the probability that the last block ("uniform": each block) is computed in a training step.
        rule: "linear", the paper's choice, or "uniform".
        num_classes: outputs of the linear layer.
        in_channels: 1 for grey images, 3 for colour.
        shortcut: "A" (zero padding), "B" or "C".
        widths: channels of the three stages.

    Raises:
        ValueError: a depth other than 6n + 2 (the message names the nearest), a survival outside (0, 1], an unknown rule
            or shortcut, other than three widths, a size below 1; in `forward` a bad batch.
    """

    def __init__(
        self,
        depth: int,
        survival: float = 0.5,
        rule: Rule = "linear",
        num_classes: int = 10,
        in_channels: int = 3,
        shortcut: Shortcut = "A",
        widths: Sequence[int] = (16, 32, 64),
    ) -> None:
        super().__init__()
        n = check_depth(depth, step=6, offset=2)
        check_positive(num_classes=num_classes, in_channels=in_channels)
        if len(widths) != 3:
            raise ValueError(f"widths={tuple(widths)!r}: expected three, one for each stage")
        rates = survival_rates(3 * n, survival, rule)
        self.in_channels = in_channels
        self.conv1 = conv3x3(in_channels, widths[0])
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.relu = nn.ReLU(inplace=True)
        channels, stages = widths[0], []
        for number, width in enumerate(widths):
            stage = []
            for position in range(n):
                stride = 2 if number > 0 and position == 0 else 1
                rate = rates[number * n + position]
                stage.append(
                    StochasticBlock(channels, width, survival=rate, stride=stride, shortcut=shortcut)
                )
                channels = width
            stages.append(nn.Sequential(*stage))
        self.layer1, self.layer2, self.layer3 = stages
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")  # as CifarResNet's

    @property
    def blocks(self) -> list[tuple[str, nn.Module]]:
        """The blocks in order of depth, named as in `named_modules`: ("layer1.0", block), ..."""
        return [
            (name, module) for name, module in self.named_modules() if isinstance(module, StochasticBlock)
        ]

    @property
    def expected_blocks(self) -> float:
        """Mean number of blocks that a training step computes: the sum of p_l, (3L - 1) / 4 for the default rule."""
        return sum(module.survival for module in self.modules() if isinstance(module, StochasticBlock))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        check_images(x, self.in_channels, 4)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        x = self.fc(self.avgpool(x).flatten(1))
        if self.training:
            x = with_zero_gradients(x, (*self.layer1, *self.layer2, *self.layer3))
        return x


VARIANTS: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    "stochastic110": (StochasticDepthResNet, {"depth": 110}),
    "stochastic1202": (StochasticDepthResNet, {"depth": 1202}),
}
