"""NASNet-A (Zoph et al. 2018, arXiv:1707.07012, figures 2 to 4; method: Zoph & Le 2017, arXiv:1611.01578).

    h_i = relu(concat of the states that the table names),   a block = op_1(state) + op_2(state)

A cell is a table: for each of B blocks, two operations and the states that they read, which are the outputs h_{i-1} and
h_{i-2} of the last two cells and the blocks before. By the paper's rule the states that no operation reads are concatenated;
in the authors' code each of NASNet-A's cells has one more, which is read: h_{i-2} in the normal cell, block 1 in the other.
A controller, trained by reinforcement, searched tables on CIFAR-10; the network for ImageNet repeats the same two, "normal"
and "reduction" (stride 2 on what comes from outside, twice the filters). Survey: sections 3(4) and 4.5(4), claims C37 and
C87. Here tables are data, so that other cells can be drawn and tried.
Tables stand in `_nasnet_cell`, what a cell applies to a state in `_nasnet_layers`.

Oracles (tests/timeline/test_nasnet.py): timm's nasnetalarge through `TIMM_KEYS`, pytorchcv's nasnet_4a1056. What they
compute is computed once here: every reader of a cell begins with a relu, so the cell ends in it, and equal pools of one
state are shared. In mean pools of stride 2 timm counts the zeros of the padding (its source marks this as open), where
TensorFlow, in which its weights were trained, and pytorchcv do not: `count_padding`. The auxiliary head is left out.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from resnetbook.timeline._checks import check_images, check_positive
from resnetbook.timeline._nasnet_cell import (
    INPUTS,
    NORMAL_A,
    OPERATIONS,
    REDUCTION_A,
    Cell,
    State,
    random_cell,
)
from resnetbook.timeline._nasnet_layers import Pool, SeparableConv, fitted, norm, operation_of

__all__ = [
    "NORMAL_A",
    "OPERATIONS",
    "REDUCTION_A",
    "TIMM_KEYS",
    "VARIANTS",
    "Cell",
    "CellNet",
    "NASNetA",
    "Source",
    "random_cell",
]


class Source(NamedTuple):
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
        self, table: Cell, current: Source, previous: Source | None, filters: int, stride: int
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
                self.inputs[str(state)] = fitted(source.channels, filters, halve, source.raw)

        def made(operation: str, state: State) -> nn.Module:
            return operation_of(operation, width[state], filters, stride if state in INPUTS else 1)

        self.blocks = nn.ModuleList(
            nn.ModuleDict({side: made(*pair) for side, pair in zip(("left", "right"), block, strict=True)})
            for block in table.blocks
        )
        self.joints = nn.ModuleDict(
            {
                str(state): fitted(width[state], filters, stride, False)
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
        for number, pairs in enumerate(self.table.blocks):
            left, right = (
                self.applied(*pair, self.get_submodule(f"blocks.{number}.{side}"), states, shared)
                for side, pair in zip(("left", "right"), pairs, strict=True)
            )
            states[number] = left + right
        for name, fit in self.joints.items():
            states[name] = fit(states[name])
        return functional.relu_(torch.cat([states[state] for state in self.table.concat], 1))

    def applied(
        self,
        name: str,
        state: State,
        operation: nn.Module,
        states: dict[State, Tensor],
        shared: dict[tuple[str, State], Tensor],
    ) -> Tensor:
        """Return one operation of one state, in training perhaps dropped.

        Relus and pools that another block has made already are taken from `shared`.
        """
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

        self.stem = nn.Sequential(conv, norm(channels))
        self.cells = nn.ModuleList()
        current, previous = Source(channels, 0, raw=True), None
        for number, (table, width, stride) in enumerate(plan):
            cell = CellNet(table, current, previous, width, stride)
            cell.keeps_previous = skip_reduction_input and stride > 1 and number >= stem_cells
            self.cells.append(cell)
            previous = previous if cell.keeps_previous else current
            current = Source(cell.out_channels, current.halvings + stride - 1)
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
            if isinstance(cell, CellNet):
                cell.drop_path = self.drop_path * progress * number / len(self.cells)

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
