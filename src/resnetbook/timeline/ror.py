"""RoR, residual networks of residual networks (Zhang et al. 2018, arXiv:1608.02908, figure 1 and section III).

    x_{l+1} = relu(F(x_l) + s(x_l))                         inside a stage, the final level
    x_{l+1} = relu(F(x_l) + s(x_l) + s_2(x_a))              last block of a stage that begins at block a
    x_L     = relu(F(x_l) + s(x_l) + s_2(x_a) + s_1(x_0))   last block of all

Shortcuts over shortcuts: the root shortcut s_1 spans all blocks, a middle one s_2 spans each stage, and the blocks have their
own. All that end at a block join its one sum. One level is the base network itself; two add the root; three, the paper's
choice, the stages; four divide each stage in three once more. On CIFAR the blocks' shortcuts are of type A and those of
the levels of type B, a projection only where the shape changes. On a pre-activation base ("preact", "wrn") nothing
follows the sum and projections are bare; a WRN keeps its own shortcuts of type B.
Survey: section 3(2), claim C18.

Other implementations differ: pytorchcv has one block less in each stage and projects in the first stage too, as titu1994's
does. The counts here follow from the paper's text: 1,731,866 parameters for RoR-3-110, 13,645,530 for RoR-3-WRN58-4 (a
reader's notes on the paper print 13.3 million). The published errors are of networks trained with stochastic depth as well,
which is another idea; `stochastic_depth=0.5` adds it, with the linear rule.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

from torch import Tensor, nn

from resnetbook.principle.block import BasicBlock, Shortcut, conv3x3, shortcut
from resnetbook.timeline._checks import check_depth, check_images, check_positive, he_init
from resnetbook.timeline.resnet_v2 import PreActBlock
from resnetbook.timeline.stochastic_depth import survival_rates, survives, with_zero_gradients

Base = Literal["v1", "preact", "wrn"]

__all__ = ["VARIANTS", "Base", "PreRoRBlock", "RoR", "RoRBlock", "level_spans"]


def level_spans(blocks: int, levels: int) -> list[tuple[int, int]]:
    """Return the level shortcuts as (first block, block after the last), from the root inwards.

    Each level divides the spans of the one above in three: all blocks, the stages, thirds of a stage, ... The final level,
    the blocks' own shortcuts, is not listed.

    Raises:
        ValueError: a size below 1, or more levels than there are blocks for: a span has one block at least.
    """
    check_positive(blocks=blocks, levels=levels)
    most = 1  # the final level
    while 3 ** (most - 1) <= blocks:
        most += 1
    if levels > most:
        raise ValueError(f"levels={levels}: expected at most {most} for {blocks} blocks")
    spans, row = [], [(0, blocks)]
    for _ in range(levels - 1):
        spans += row
        row = [
            (first + third * (end - first) // 3, first + (third + 1) * (end - first) // 3)
            for first, end in row
            for third in range(3)
        ]
    return spans


def _survived(block: Any, branch: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return b F(x) in training and p F(x) in evaluation, as stochastic depth has it; where b is 0 F is not computed."""
    block.dropped = block.training and not survives(block.survival)
    if block.dropped:
        return x.new_zeros(())
    return branch(x) if block.training or block.survival == 1 else block.survival * branch(x)


class RoRBlock(BasicBlock):
    """The basic block, open to the shortcuts of other levels: relu(F(x) + s(x) + their sum).

    Shape: (N, in_channels, H, W) -> (N, channels, ceil(H / stride), ceil(W / stride)).

    Args:
        in_channels: channels of x.
        channels: channels of F(x) and of the output.
        stride: of the first convolution and of the shortcut.
        shortcut: type "A", "B" or "C".
        survival: probability that F is computed in a training step.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        stride: int = 1,
        shortcut: Shortcut = "A",
        survival: float = 1.0,
    ) -> None:
        super().__init__(in_channels, channels, stride=stride, shortcut=shortcut)
        self.relu = nn.ReLU(inplace=True)
        self.survival, self.dropped = survival, False

    def branch(self, x: Tensor) -> Tensor:
        """Return F(x), under stochastic depth b F(x) or p F(x)."""
        return _survived(self, super().branch, x)

    def forward(self, x: Tensor, levels: Sequence[Tensor] = ()) -> Tensor:
        """Return relu(F(x) + s(x) + what the level shortcuts that end here bring)."""
        out = self.branch(x) + self.identity(x)
        for level in levels:
            out = out + level
        return self.relu(out)


class PreRoRBlock(PreActBlock):
    """The pre-activation block, open to the shortcuts of other levels: F(x) + s(x) + their sum. As `RoRBlock`."""

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        stride: int = 1,
        shortcut: Shortcut = "A",
        survival: float = 1.0,
    ) -> None:
        super().__init__(in_channels, channels, stride=stride, shortcut=shortcut)
        self.survival, self.dropped = survival, False

    def convolve(self, active: Tensor) -> Tensor:
        """Return F(x) from relu(bn1(x)), which a projection may need too: a dropped branch stops after it."""
        return _survived(self, super().convolve, active)

    def forward(self, x: Tensor, levels: Sequence[Tensor] = ()) -> Tensor:
        """Return F(x) + s(x) + what the level shortcuts that end here bring."""
        out = super().forward(x)
        for level in levels:
            out = out + level
        return out


class RoR(nn.Module):
    """RoR-levels-depth for small images: (N, in_channels, H, W) -> logits (N, num_classes), H and W of 4 or more.

    Parameters that the base network has bear its names, so that its state_dict is ours with `levels=1`.

    Args:
        depth: of the base network: 6n + 2, for "wrn" 6n + 4.
        levels: 1 (the base network), 2, 3 (the paper's choice) or more, as far as the blocks go.
        num_classes: outputs of the linear layer.
        base: "v1" (`CifarResNet`), "preact" (`PreActResNet` with type A) or "wrn" (`WideResNet`).
        stochastic_depth: survival probability of the last block under the linear rule; None drops no block.
        widen_factor: k of "wrn"; the others have 1.
        in_channels: 1 for grey images, 3 for colour.
        widths: channels of the three stages before widening.

    Raises:
        ValueError: another depth (the message names the nearest), an unknown base, too many levels, a survival outside
            (0, 1], a widen_factor without "wrn", other than three widths, a size below 1; in `forward` a bad batch.
    """

    def __init__(
        self,
        depth: int,
        levels: int = 3,
        num_classes: int = 10,
        base: Base = "v1",
        stochastic_depth: float | None = None,
        widen_factor: int = 1,
        in_channels: int = 3,
        widths: Sequence[int] = (16, 32, 64),
    ) -> None:
        super().__init__()
        if base not in get_args(Base):
            raise ValueError(f"base={base!r}: expected 'v1', 'preact' or 'wrn'")
        n = check_depth(depth, step=6, offset=4 if base == "wrn" else 2)
        check_positive(widen_factor=widen_factor, num_classes=num_classes, in_channels=in_channels)
        if widen_factor > 1 and base != "wrn":
            raise ValueError(f"widen_factor={widen_factor}: expected 1 unless base is 'wrn'")
        if len(widths) != 3:
            raise ValueError(f"widths={tuple(widths)!r}: expected three, one for each stage")
        last = 1.0 if stochastic_depth is None else stochastic_depth
        if not isinstance(last, int | float) or not 0 < last <= 1:
            raise ValueError(f"stochastic_depth={last!r}: expected None or a probability above 0, at most 1")
        survival = iter(survival_rates(3 * n, last))
        self.spans = level_spans(3 * n, levels)
        self.in_channels, self.stochastic = in_channels, stochastic_depth is not None
        v1 = base == "v1"
        block: type[RoRBlock] | type[PreRoRBlock] = RoRBlock if v1 else PreRoRBlock
        kind: Shortcut = "B" if base == "wrn" else "A"

        # The base network. `shapes` holds what reaches each block: channels, and how often the map was halved.
        shapes, stages = [(widths[0], 0)], []
        self.conv1 = conv3x3(in_channels, widths[0])
        self.bn1 = nn.BatchNorm2d(widths[0]) if v1 else None
        self.relu = nn.ReLU(inplace=True)
        for number, width in enumerate(widths):
            stage = []
            for _ in range(n):
                (channels, halved), wide = shapes[-1], widen_factor * width
                stride = 2 ** (number - halved)
                stage.append(block(channels, wide, stride=stride, shortcut=kind, survival=next(survival)))
                shapes.append((wide, number))
            stages.append(nn.Sequential(*stage))
        self.layer1, self.layer2, self.layer3 = stages
        self.bn = None if v1 else nn.BatchNorm2d(shapes[-1][0])
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(shapes[-1][0], num_classes)
        he_init(self)

        # The level shortcuts come last, so that networks of any number of levels draw equal first weights.
        self.level_shortcuts = nn.ModuleList()
        for first, end in self.spans:
            (channels, before), (wide, after) = shapes[first], shapes[end]
            self.level_shortcuts.append(shortcut("B", channels, wide, stride=2 ** (after - before), norm=v1))
        he_init(self.level_shortcuts)

    @property
    def blocks(self) -> list[tuple[str, nn.Module]]:
        """The blocks in order of depth, named as in `named_modules`: ("layer1.0", block), ..."""
        kinds = (RoRBlock, PreRoRBlock)
        return [(name, module) for name, module in self.named_modules() if isinstance(module, kinds)]

    def body(self, x: Tensor) -> Tensor:
        """Return what leaves the last block. x: what enters the first one, (N, widths[0], H, W)."""
        # What the level shortcuts bring, by the block at whose sum it is due.
        waiting: dict[int, list[Tensor]] = {}
        for number, block in enumerate((*self.layer1, *self.layer2, *self.layer3)):
            for (first, end), level in zip(self.spans, self.level_shortcuts, strict=True):
                if first == number:
                    waiting.setdefault(end - 1, []).append(level(x))
            x = block(x, waiting.pop(number, ()))
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        check_images(x, self.in_channels, 4)
        x = self.conv1(x)
        x = x if self.bn1 is None else self.relu(self.bn1(x))
        x = self.body(x)
        x = x if self.bn is None else self.relu(self.bn(x))
        x = self.fc(self.avgpool(x).flatten(1))
        if self.training and self.stochastic:
            x = with_zero_gradients(x, (block for _, block in self.blocks))
        return x


VARIANTS: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    "ror3_110": (RoR, {"depth": 110}),
    "pre_ror3_164": (RoR, {"depth": 164, "base": "preact"}),
    "ror3_wrn58_4": (RoR, {"depth": 58, "base": "wrn", "widen_factor": 4}),
}
