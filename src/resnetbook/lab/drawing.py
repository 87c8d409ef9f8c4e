"""A module drawn from what it does: torch.fx follows one input through it, and the graph is laid out in layers.

    drawing.block(BasicBlock(16, 32, stride=2), (16, 32, 32), title="basic block")

A chain of operations is one box, read downwards; sums and concatenations are circles; the shape stands where it changes,
as channels x height x width. Nothing is drawn by hand, so that a picture cannot differ from the code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch import nn

from resnetbook.lab.figures import CARD, COLOURS, INK
from resnetbook.lab.tracing import Describe, Step, steps

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["block", "blocks"]

_WIDTH, _LINE, _GAP = 2.9, 0.36, 0.7  # of a box at the least, of a line of text in it, and between layers
_LETTER = 0.143  # of a letter, on average


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
