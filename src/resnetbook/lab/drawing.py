"""A module drawn from what it does: torch.fx follows one input through it, and the graph is laid out in layers.

    drawing.block(BasicBlock(16, 32, stride=2), (16, 32, 32), title="basic block")

A chain of operations is one box, read downwards; sums and concatenations are circles; the shape stands where it changes,
as channels x height x width. Nothing is drawn by hand, so that a picture cannot differ from the code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from resnetbook.lab.figures import CARD, COLOURS, INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Step", "block", "blocks", "steps"]

Describe = Callable[[nn.Module], "str | None"]
_JOINTS = {"add": "+", "add_": "+", "iadd": "+", "mul": "×", "imul": "×", "cat": "concat"}
_FUNCTIONS = {
    "mul": "× scale",
    "imul": "× scale",
    "getitem": "part of it",
    "avg_pool2d": "mean pool",
    "max_pool2d": "max pool",
    "pad": "zero pad",
}
_WIDTH, _LINE, _GAP = 2.9, 0.36, 0.7  # of a box at the least, of a line of text in it, and between layers
_LETTER = 0.143  # of a letter, on average


@dataclass
class Step:
    """One box of the picture: its lines of text, where its inputs come from, and the shape that it puts out."""

    lines: list[str]
    inputs: list[int] = field(default_factory=list)
    shape: tuple[int, ...] = ()
    joint: bool = False  # a sum, a product, a concatenation


def _pair(value: Any) -> str:
    a, b = value if isinstance(value, tuple) else (value, value)
    return f"{a}×{b}"


def _describe(module: nn.Module) -> str:
    if isinstance(module, nn.Conv2d):
        stride = "" if module.stride == (1, 1) else f", stride {module.stride[0]}"
        groups = "" if module.groups == 1 else f", {module.groups} groups"
        return f"{_pair(module.kernel_size)} conv, {module.out_channels}{groups}{stride}"
    if isinstance(module, nn.MaxPool2d | nn.AvgPool2d):
        kind = "max" if isinstance(module, nn.MaxPool2d) else "mean"
        stride = "" if module.stride in (1, (1, 1)) else f", stride {module.stride}"
        return f"{_pair(module.kernel_size)} {kind} pool{stride}"
    if isinstance(module, nn.Linear):
        return f"linear, {module.out_features}"
    known = {
        nn.BatchNorm2d: "batch norm",
        nn.ReLU: "relu",
        nn.AdaptiveAvgPool2d: "global mean",
        nn.Tanh: "tanh",
    }
    return known.get(type(module), type(module).__name__)


class _Tracer(fx.Tracer):
    """Enter our modules down to those of torch.nn; `describe` may name a module, which is then one box."""

    def __init__(self, describe: Describe) -> None:
        super().__init__()
        self.describe = describe

    def is_leaf_module(self, module: nn.Module, qualified_name: str) -> bool:
        own = module.__module__.startswith("torch.nn") and not isinstance(module, nn.Sequential)
        return own or self.describe(module) is not None


def _own_names(module: nn.Module) -> str | None:
    return "subsample, zero pad" if type(module).__name__ == "ShortcutA" else None


def steps(module: nn.Module, shape: Sequence[int], *, describe: Describe | None = None) -> list[Step]:
    """Return what `module` does to one input of `shape` (C, H, W), in order; the first step is the input.

    A chain without branches is one step. `describe` may return words for a module, which is then not entered.

    Raises:
        ValueError: a shape with a size below 1, or a module whose forward torch.fx cannot follow.
    """
    if not shape or any(not isinstance(size, int) or size < 1 for size in shape):
        raise ValueError(
            f"shape={tuple(shape)!r}: expected positive sizes of one input, such as (16, 32, 32)"
        )

    def words(part: nn.Module) -> str | None:
        return (describe(part) if describe is not None else None) or _own_names(part)

    was_training = module.training
    module.eval()
    try:
        graph = _Tracer(words).trace(module)
        traced = fx.GraphModule(module, graph)
        with torch.no_grad():
            ShapeProp(traced).propagate(torch.zeros(1, *shape))
    except (fx.proxy.TraceError, TypeError) as error:
        raise ValueError(
            f"module={type(module).__name__}: torch.fx cannot follow its forward ({error})"
        ) from error
    finally:
        module.train(was_training)
    return _merged(_single(graph, dict(traced.named_modules()), words))


def _single(graph: fx.Graph, modules: dict[str, nn.Module], words: Describe) -> list[Step]:
    """One step for each operation; an identity is no step."""
    found: list[Step] = []
    place: dict[fx.Node, int] = {}
    for node in graph.nodes:
        parents = list(dict.fromkeys(place[parent] for parent in node.all_input_nodes if parent in place))
        if node.op in ("output", "get_attr"):
            continue
        step = Step([], parents, _shape(node))
        name = getattr(node.target, "__name__", str(node.target))
        if node.op == "placeholder":
            step.lines = ["x"]
        elif node.op == "call_module":
            part = modules[str(node.target)]
            if isinstance(part, nn.Identity):
                place[node] = parents[0]
                continue
            step.lines = [words(part) or _describe(part)]
        elif name in _JOINTS and len(node.all_input_nodes) > 1:
            step.lines, step.joint = [_JOINTS[name]], True
        else:
            name = name.strip("_")
            step.lines = [_FUNCTIONS.get(name, name)]
        place[node] = len(found)
        found.append(step)
    return found


def _shape(node: fx.Node) -> tuple[int, ...]:
    meta: Any = node.meta.get("tensor_meta")
    return tuple(meta.shape[1:]) if hasattr(meta, "shape") else ()


def _merged(single: list[Step]) -> list[Step]:
    """Join each chain of boxes into one; joints and the input stay alone."""
    readers = [sum(number in step.inputs for step in single) for number in range(len(single))]
    found: list[Step] = []
    place: dict[int, int] = {}
    for number, step in enumerate(single):
        parent = step.inputs[0] if len(step.inputs) == 1 else None
        chain = (
            parent not in (None, 0)
            and readers[parent or 0] == 1
            and not step.joint
            and not single[parent or 0].joint
        )
        if chain:
            place[number] = place[parent or 0]
            before = found[place[number]]
            before.lines, before.shape = before.lines + step.lines, step.shape
        else:
            place[number] = len(found)
            inputs = list(dict.fromkeys(place[i] for i in step.inputs))
            found.append(Step(list(step.lines), inputs, step.shape, step.joint))
    return found


@dataclass
class _Spot:
    layer: int
    step: int | None  # None: an edge passes here
    x: float = 0.0
    inputs: list[int] = field(default_factory=list)


def _layout(found: Sequence[Step]) -> list[_Spot]:
    """Place each step in the layer after its last input and let longer edges pass beside the boxes between."""
    spots: list[_Spot] = []
    place: dict[int, int] = {}
    for number, step in enumerate(found):
        layer = 1 + max((spots[place[i]].layer for i in step.inputs), default=-1)
        ends = []
        for source in step.inputs:
            end = place[source]
            for passed in range(spots[end].layer + 1, layer):
                spots.append(_Spot(passed, None, inputs=[end]))
                end = len(spots) - 1
            ends.append(end)
        spots.append(_Spot(layer, number, inputs=ends))
        place[number] = len(spots) - 1
    layers = [
        [s for s in range(len(spots)) if spots[s].layer == n] for n in range(1 + max(s.layer for s in spots))
    ]
    readers = {s: [t for t in range(len(spots)) if s in spots[t].inputs] for s in range(len(spots))}
    for sweep in range(6):  # barycentres, down and up in turn
        for row in layers if sweep % 2 == 0 else reversed(layers):
            near = {s: spots[s].inputs if sweep % 2 == 0 else readers[s] for s in row}
            wish = {
                s: sum(spots[t].x for t in near[s]) / len(near[s]) if near[s] else spots[s].x for s in row
            }
            # Boxes come before passing edges, so that the branch stands left and the shortcut right.
            row.sort(key=lambda s: (wish[s], spots[s].step is None))
            widths = [1.0 if spots[s].step is not None else 0.35 for s in row]
            left = (sum(wish.values()) / len(row)) - sum(widths) / 2
            for s, width in zip(row, widths, strict=True):
                spots[s].x, left = left + width / 2, left + width
    return spots


def _height(step: Step) -> float:
    return 0.55 if step.joint or not step.inputs else 0.2 + _LINE * len(step.lines)


def _size(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))


def _draw(ax: Axes, found: Sequence[Step], title: str) -> None:
    from matplotlib.patches import FancyBboxPatch

    found = [
        # A box whose output has another shape than its input says so in a line of its own.
        Step([*step.lines, f"→ {_size(step.shape)}"], step.inputs, step.shape)
        if step.inputs
        and not step.joint
        and step.shape
        and step.shape not in [found[i].shape for i in step.inputs]
        else step
        for step in found
    ]
    spots = _layout(found)
    tall = [
        max((_height(found[s.step]) for s in spots if s.layer == n and s.step is not None), default=0.0)
        for n in range(1 + max(s.layer for s in spots))
    ]
    tops = [-sum(height + _GAP for height in tall[:n]) for n in range(len(tall))]
    letters = max((len(line) for step in found if step.inputs for line in step.lines), default=0)
    width = max(_WIDTH, _LETTER * letters + 0.2)
    wide = width + 0.35

    def middle(spot: _Spot) -> float:
        return tops[spot.layer] - tall[spot.layer] / 2

    def half(spot: _Spot) -> float:
        return _height(found[spot.step]) / 2 if spot.step is not None else tall[spot.layer] / 2

    for spot in spots:
        x, y = spot.x * wide, middle(spot)
        for source in spot.inputs:
            # Slanted between two layers only, so that no line crosses a box.
            parent = spots[source]
            px, bottom = parent.x * wide, tops[parent.layer] - tall[parent.layer]
            ax.plot(
                [px, px, x, x],
                [middle(parent) - half(parent), bottom, tops[spot.layer], y + (half(spot) if spot.step is not None else -half(spot))],
                color=INK, lw=1.3, ls="-", solid_joinstyle="round", zorder=1,
            )  # fmt: skip
        if spot.step is None:
            continue
        if spot.inputs:
            ax.plot(x, y + half(spot) + 0.06, marker="v", color=INK, ms=6, zorder=2)
        step = found[spot.step]
        if step.joint or not step.inputs:
            round_ = "circle,pad=0.25" if len(step.lines[0]) < 3 else "round,pad=0.3"
            look = {"boxstyle": round_, "fc": CARD, "ec": COLOURS["identity"], "lw": 1.8}
            ax.text(x, y, step.lines[0], ha="center", va="center", fontsize=12, bbox=look, zorder=3)
            if step.shape and (not step.inputs or step.lines[0] == "concat"):
                side = 0.35 if not step.inputs else 0.65
                ax.text(
                    x + side,
                    y,
                    _size(step.shape),
                    fontsize=10,
                    color=COLOURS["neutral"],
                    va="center",
                    zorder=3,
                )
            continue
        corner = (x - width / 2, y - half(spot))
        box = FancyBboxPatch(
            corner, width, 2 * half(spot), boxstyle="round,pad=0,rounding_size=0.08",
            fc="#e8eff5", ec=COLOURS["residual"], lw=1.4, zorder=2,
        )  # fmt: skip
        ax.add_patch(box)
        for line, text in enumerate(step.lines):
            colour = COLOURS["neutral"] if text.startswith("→") else INK
            at = y + half(spot) - 0.1 - _LINE * (line + 0.5)
            ax.text(x, at, text, ha="center", va="center", fontsize=11, color=colour, zorder=3)
    xs = [spot.x * wide for spot in spots]
    ax.set(
        xlim=(min(xs) - width / 2 - 0.15, max(xs) + width / 2 + 0.15),
        ylim=(tops[-1] - tall[-1] - 0.15, 0.15),
    )
    ax.set_aspect("equal")
    ax.set_title(title, loc="center")
    ax.axis("off")


def block(
    module: nn.Module, shape: Sequence[int], *, title: str = "", describe: Describe | None = None
) -> Figure:
    """Draw one module on an input of `shape` (C, H, W). Arguments and errors as `steps`."""
    return blocks([(title, module, shape)], describe=describe)


def blocks(
    parts: Sequence[tuple[str, nn.Module, Sequence[int]]],
    *,
    describe: Describe | None = None,
    columns: int = 3,
) -> Figure:
    """Draw several modules side by side: (title, module, shape) for each, at most `columns` in a row.

    Raises:
        ValueError: nothing to draw; else as `steps`.
    """
    import matplotlib.pyplot as plt

    if not parts:
        raise ValueError("parts is empty: expected at least one (title, module, shape)")
    every = [(title, steps(module, shape, describe=describe)) for title, module, shape in parts]
    wide = min(columns, len(every))
    rows = math.ceil(len(every) / wide)
    figure, axes = plt.subplots(rows, wide, squeeze=False, layout="constrained")
    for ax in axes.flat:
        ax.axis("off")
    for ax, (title, found) in zip(axes.flat, every, strict=False):
        _draw(ax, found, title)
    # One scale for all panels: a column is as wide as its widest picture, a row as high as its highest.
    drawn = axes.flat[: len(every)]
    spans = [(ax.get_xlim()[1] - ax.get_xlim()[0], ax.get_ylim()[1] - ax.get_ylim()[0]) for ax in drawn]
    widths = [max(span[0] for span in spans[column::wide]) for column in range(wide)]
    heights = [max(span[1] for span in spans[row * wide : (row + 1) * wide]) for row in range(rows)]
    for number, ax in enumerate(drawn):
        centre, top = sum(ax.get_xlim()) / 2, ax.get_ylim()[1]
        row, column = divmod(number, wide)
        ax.set(
            xlim=(centre - widths[column] / 2, centre + widths[column] / 2), ylim=(top - heights[row], top)
        )
    grid = axes[0, 0].get_gridspec()
    grid.set_width_ratios(widths)
    grid.set_height_ratios(heights)
    # An inch of the drawing is 0.62 inches of the figure.
    figure.set_size_inches(0.62 * sum(widths) + 0.2 * wide, 0.62 * sum(heights) + 0.4 * rows)
    return figure
