"""NASNet-A (Zoph et al. 2018, arXiv:1707.07012, figures 2 to 4; method: Zoph & Le 2017, arXiv:1611.01578).

    h_i = relu(concat of the blocks),   a block = op_1(state) + op_2(state)

A cell is a table: for each of B blocks, two operations and the states that they read, which are the outputs h_{i-1} and
h_{i-2} of the last two cells and the blocks before. A controller, trained by reinforcement, searched tables on CIFAR-10;
the network for ImageNet repeats the same two, "normal" and "reduction" (stride 2 on what comes from outside, twice the
filters). Survey: sections 3(4) and 4.5(4), claim C37. Here tables are data, so that other cells can be drawn and tried.

Oracles (tests/timeline/test_nasnet.py): timm's nasnetalarge through `TIMM_KEYS`, pytorchcv's nasnet_4a1056. What they
compute is computed once here: every reader of a cell begins with a relu, so the cell ends in it, and equal pools of one
state are shared. In mean pools of stride 2 timm counts the zeros of the padding (its source marks this as open), where
TensorFlow, in which its weights were trained, and pytorchcv do not: `count_padding`. The auxiliary head is left out.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from resnetbook.principle.block import conv1x1
from resnetbook.timeline._checks import check_images, check_positive

__all__ = [
    "NORMAL_A",
    "OPERATIONS",
    "REDUCTION_A",
    "TIMM_KEYS",
    "VARIANTS",
    "Cell",
    "CellNet",
    "NASNetA",
    "random_cell",
]

# Those of the paper's thirteen operations that NASNet-A uses, with the side of the window.
OPERATIONS = {"identity": 1, "avg3": 3, "max3": 3, "sep3": 3, "sep5": 5, "sep7": 7}
State = str | int  # "current" is h_{i-1}, "previous" is h_{i-2}, a number is a block of this cell
INPUTS: tuple[State, ...] = ("previous", "current")


@dataclass(frozen=True)
class Cell:
    """A cell as data: for each block two (operation, state) pairs, and the states that are concatenated.

    Args:
        blocks: two pairs a block; a block may read the inputs and the blocks before it.
        concat: what is concatenated; by default the paper's rule: every state that no operation reads.

    Raises:
        ValueError: an unknown operation, or a state that does not exist (yet).
    """

    blocks: tuple[tuple[tuple[str, State], tuple[str, State]], ...]
    concat: tuple[State, ...] = ()

    def __post_init__(self) -> None:
        for number, block in enumerate(self.blocks):
            for operation, state in block:
                if operation not in OPERATIONS:
                    raise ValueError(f"operation={operation!r}: expected one of {', '.join(OPERATIONS)}")
                if state not in (*INPUTS, *range(number)):
                    raise ValueError(
                        f"state={state!r} in block {number}: expected 'previous', 'current' or an earlier block"
                    )
        states = (*INPUTS, *range(len(self.blocks)))
        read = {state for block in self.blocks for _, state in block}
        if not self.concat:
            object.__setattr__(self, "concat", tuple(state for state in states if state not in read))
        if not self.blocks or not set(self.concat) <= set(states):
            raise ValueError(
                f"concat={self.concat!r}: expected states of a cell of {len(self.blocks)} blocks"
            )


NORMAL_A = Cell(
    (
        (("sep5", "current"), ("sep3", "previous")),
        (("sep5", "previous"), ("sep3", "previous")),
        (("avg3", "current"), ("identity", "previous")),
        (("avg3", "previous"), ("avg3", "previous")),
        (("sep3", "current"), ("identity", "current")),
    ),
    concat=("previous", 0, 1, 2, 3, 4),
)
REDUCTION_A = Cell(
    (
        (("sep5", "current"), ("sep7", "previous")),
        (("max3", "current"), ("sep7", "previous")),
        (("avg3", "current"), ("sep5", "previous")),
        (("avg3", 0), ("identity", 1)),
        (("sep3", 0), ("max3", "current")),
    ),
    concat=(1, 2, 3, 4),
)


def random_cell(seed: int, blocks: int = 5, operations: Iterable[str] = tuple(OPERATIONS)) -> Cell:
    """Draw a cell of the search space: each block picks two states and two operations, all equally likely.

    Raises:
        ValueError: fewer than one block, or an unknown operation.
    """
    check_positive(blocks=blocks)
    draw, names = random.Random(seed), tuple(operations)

    def pair(number: int) -> tuple[str, State]:
        return draw.choice(names), draw.choice((*INPUTS, *range(number)))

    return Cell(tuple((pair(number), pair(number)) for number in range(blocks)))


def _norm(channels: int) -> nn.BatchNorm2d:
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
        self.norm1 = _norm(filters)
        self.relu = nn.ReLU(inplace=True)
        self.depthwise2 = nn.Conv2d(filters, filters, kernel_size, padding=half, groups=filters, bias=False)
        self.pointwise2 = conv1x1(filters, filters)
        self.norm2 = _norm(filters)

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
        self.norm = _norm(filters)

    def forward(self, x: Tensor) -> Tensor:
        """Return the smaller map."""
        shifted = functional.pad(x, (-1, 1, -1, 1))
        return self.norm(torch.cat([self.conv1(x), self.conv2(shifted)], 1))


def _fitted(in_channels: int, filters: int, stride: int, relu: bool) -> nn.Module:
    """A projection to the cell's filters, of stride 1 or 2."""
    first = nn.ReLU() if relu else nn.Identity()
    if stride > 1:
        return nn.Sequential(first, FactorizedReduction(in_channels, filters))
    return nn.Sequential(first, conv1x1(in_channels, filters), _norm(filters))


def _operation(name: str, in_channels: int, filters: int, stride: int) -> nn.Module:
    """The module of one operation; identity and pools have parameters only where channels or size must change."""
    if name.startswith("sep"):
        return SeparableConv(in_channels, filters, OPERATIONS[name], stride)
    if name == "identity":
        if in_channels == filters and stride == 1:
            return nn.Identity()
        return nn.Sequential(nn.ReLU(), conv1x1(in_channels, filters, stride=stride), _norm(filters))
    pool = Pool(name, stride)
    if in_channels == filters:
        return pool
    return nn.Sequential(pool, conv1x1(in_channels, filters), _norm(filters))


class _Source(NamedTuple):
    """What a cell reads: its channels, how often the map was halved, and whether its relu is still to come."""

    channels: int
    halvings: int
    raw: bool = False


class CellNet(nn.Module):
    """A cell made of layers: h_{i-1} and h_{i-2} -> h_i, with len(concat) * filters channels.

    Args:
        table: the cell as data.
        current, previous: what it reads; None for `previous` in the first cell, where both are the stem's output and
            the operations meet its channels as they are (as in the authors' code).
        filters: F.
        stride: 2 in a reduction cell.
    """

    def __init__(
        self, table: Cell, current: _Source, previous: _Source | None, filters: int, stride: int
    ) -> None:
        super().__init__()
        self.table, self.out_channels, self.drop_path = table, len(table.concat) * filters, 0.0
        self.keeps_previous = False  # whether the next cell gets this one's `previous` for its own
        self.relu = nn.ReLU()
        used = {state for block in table.blocks for _, state in block} | set(table.concat)
        width: dict[State, int] = dict.fromkeys(range(len(table.blocks)), filters)
        self.inputs = nn.ModuleDict()
        for state, source in zip(INPUTS, (previous, current), strict=True):
            width[state] = filters if source else current.channels
            if source and state in used:
                halve = 1 + current.halvings - source.halvings  # 2 where the map before was larger
                self.inputs[str(state)] = _fitted(source.channels, filters, halve, source.raw)

        def made(operation: str, state: State) -> nn.Module:
            return _operation(operation, width[state], filters, stride if state in INPUTS else 1)

        self.blocks = nn.ModuleList(
            nn.ModuleDict({side: made(*pair) for side, pair in zip(("left", "right"), block, strict=True)})
            for block in table.blocks
        )
        self.joints = nn.ModuleDict(
            {
                str(state): _fitted(width[state], filters, stride, False)
                for state in table.concat
                if state in INPUTS and (stride > 1 or width[state] != filters)
            }
        )

    def forward(self, current: Tensor, previous: Tensor) -> Tensor:
        """Return h_i."""
        states: dict[State, Tensor] = {"previous": previous, "current": current}
        for name, fit in self.inputs.items():
            states[name] = fit(states[name])
        shared: dict[tuple[str, State], Tensor] = {}
        for number, (pairs, block) in enumerate(zip(self.table.blocks, self.blocks, strict=True)):
            left, right = (
                self._applied(*pair, operation, states, shared)
                for pair, operation in zip(pairs, block.values(), strict=True)  # type: ignore[operator]
            )
            states[number] = left + right
        for name, fit in self.joints.items():
            states[name] = fit(states[name])
        return functional.relu_(torch.cat([states[state] for state in self.table.concat], 1))

    def _applied(
        self,
        name: str,
        state: State,
        operation: nn.Module,
        states: dict[State, Tensor],
        shared: dict[tuple[str, State], Tensor],
    ) -> Tensor:
        """One operation of one state; relus and pools that another block has made already are taken from `shared`."""
        if isinstance(operation, nn.Identity):
            return states[state]
        if isinstance(operation, SeparableConv):
            if ("relu", state) not in shared:
                shared["relu", state] = self.relu(states[state])
            out = operation(shared["relu", state])
        elif isinstance(operation, Pool):
            if (name, state) not in shared:
                shared[name, state] = operation(states[state])
            out = shared[name, state]
        else:
            out = operation(states[state])
        if not self.training or self.drop_path == 0:
            return out
        keep = 1 - self.drop_path  # one draw for each image and path
        return out * (out.new_empty((out.shape[0], 1, 1, 1)).bernoulli_(keep) / keep)


class NASNetA(nn.Module):
    """The network of repeated cells: (N, in_channels, H, W) -> (N, num_classes).

    Small images (H and W of 4 or more): a 3x3 convolution to 3F channels, then N normal cells on each of three map sizes,
    a reduction cell between. Large ones (32 or more, with `stem_channels`): a 3x3 convolution of stride 2 and two more
    reduction cells, of F/4 and F/2 filters, come first. The paper writes N@24F, since NASNet-A's last cell has 24F maps.

    Args:
        normal, reduction: the two cells.
        repeats: N, normal cells for each map size.
        filters: F, of the first normal cell; each reduction doubles it.
        stem_channels: of the first convolution for large images; None: the stem for small ones.
        skip_reduction_input: the cell after a reduction reads, as "previous", what the reduction's own "previous" was
            (the authors' setting for 6@4032) instead of the reduction's input.
        count_padding: whether mean pools of stride 2 count the zeros around the map, as timm's do.
        drop_path: probability that a path of the last cell is dropped at the end of training (ScheduledDropPath; .4 on
            CIFAR, .3 for 6@4032); it grows linearly with a cell's depth and, through `schedule`, with time.
        num_classes: outputs of the linear layer.
        in_channels: 1 for grey images, 3 for colour.

    Raises:
        ValueError: a size below 1, too few filters, a probability outside [0, 1); in `forward` a bad batch.
    """

    def __init__(
        self,
        normal: Cell = NORMAL_A,
        reduction: Cell = REDUCTION_A,
        repeats: int = 6,
        filters: int = 32,
        stem_channels: int | None = None,
        skip_reduction_input: bool = False,
        count_padding: bool = False,
        drop_path: float = 0.0,
        num_classes: int = 10,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        check_positive(repeats=repeats, filters=filters, num_classes=num_classes, in_channels=in_channels)
        if not 0 <= drop_path < 1:
            raise ValueError(f"drop_path={drop_path!r}: expected a probability of 0 or more, below 1")
        if filters < (2 if stem_channels is None else 8):
            raise ValueError(f"filters={filters}: expected 2 or more, and 8 or more for large images")
        self.in_channels, self.drop_path, self.smallest = in_channels, drop_path, 4
        plan: list[tuple[Cell, int, int]] = []  # table, filters, stride
        if stem_channels is None:
            channels = 3 * filters
            conv = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
        else:
            check_positive(stem_channels=stem_channels)
            channels, self.smallest = stem_channels, 32
            conv = nn.Conv2d(in_channels, channels, 3, stride=2, bias=False)
            plan += [(reduction, filters // 4, 2), (reduction, filters // 2, 2)]
        stem_cells = len(plan)
        for stage in range(3):
            plan += [(reduction, filters << stage, 2)] if stage else []
            plan += [(normal, filters << stage, 1)] * repeats

        self.stem = nn.Sequential(conv, _norm(channels))
        self.cells = nn.ModuleList()
        current, previous = _Source(channels, 0, raw=True), None
        for number, (table, width, stride) in enumerate(plan):
            cell = CellNet(table, current, previous, width, stride)
            cell.keeps_previous = skip_reduction_input and stride > 1 and number >= stem_cells
            self.cells.append(cell)
            previous = previous if cell.keeps_previous else current
            current = _Source(cell.out_channels, current.halvings + stride - 1)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(current.channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # the fan of one channel: a depthwise one has no other inputs
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            elif isinstance(module, Pool):
                module.count_padding = count_padding
        self.schedule(1.0)

    def schedule(self, progress: float) -> None:
        """Set how much of the training is done, 0 to 1, and with it the probability that a path is dropped."""
        for number, cell in enumerate(self.cells, 1):
            cell.drop_path = self.drop_path * progress * number / len(self.cells)  # type: ignore[assignment]

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        check_images(x, self.in_channels, self.smallest)
        current = previous = self.stem(x)
        for cell in self.cells:
            out = cell(current, previous)
            previous = previous if cell.keeps_previous else current
            current = out
        return self.fc(self.avgpool(current).flatten(1))


TIMM_KEYS: tuple[tuple[str, str], ...] = (
    (r"^conv0\.conv", "stem.0"),
    (r"^conv0\.bn", "stem.1"),
    *((rf"^cell_stem_{i}\.", f"cells.{i}.") for i in range(2)),
    *((rf"^cell_{i}\.", f"cells.{2 + i + i // 6}.") for i in range(18)),
    *((rf"^reduction_cell_{i}\.", f"cells.{8 + 7 * i}.") for i in range(2)),
    (r"comb_iter_(\d)_(left|right)", r"blocks.\1.\2"),
    (r"separable_(\d)\.(depthwise|pointwise)_conv2d", r"\2\1"),
    (r"bn_sep_(\d)", r"norm\1"),
    (r"\.path_(\d)\.conv", r".inputs.previous.1.conv\1"),
    (r"\.final_path_bn", ".inputs.previous.1.norm"),
    (r"\.conv_prev_1x1\.conv", ".inputs.previous.1"),
    (r"\.conv_prev_1x1\.bn", ".inputs.previous.2"),
    (r"\.conv_1x1\.conv", ".inputs.current.1"),
    (r"\.conv_1x1\.bn", ".inputs.current.2"),
    (r"^last_linear", "fc"),
)

VARIANTS: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    "nasnet_a_large": (
        NASNetA,
        {
            "repeats": 6,
            "filters": 168,
            "stem_channels": 96,
            "skip_reduction_input": True,
            "count_padding": True,  # so that timm's weights give timm's outputs
            "num_classes": 1000,
        },
    ),
    "nasnet_a_mobile": (NASNetA, {"repeats": 4, "filters": 44, "stem_channels": 32, "num_classes": 1000}),
    "nasnet_a_cifar": (NASNetA, {"repeats": 6, "filters": 32}),
}
