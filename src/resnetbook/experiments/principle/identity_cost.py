"""C05: identity mapping adds no parameters and no computation.

Design: a plain network and residual networks of the same depth and widths with shortcuts of type A (identity; subsampled and
padded with zeros where the shape changes), B (projection where the shape changes, identity else) and C (projection
everywhere) are built and counted: parameters, multiplications, element-wise additions of the shortcut and the bytes of x that
wait for the addition. What identities and what projections bring is counted apart: the sentence is about the identity, and
a projection is none. Nothing is trained, so that the seeds agree. Equal: depth, widths, input.
Refuted for parameters if an identity adds one; for computation if type A, which has no projection, adds a multiplication or
an addition (direction). How many additions there are beside the network's multiplications is the size, a part of its own: less than a
hundredth is next to nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from resnetbook.lab.running import Context, Experiment
from resnetbook.principle.block import BasicBlock
from resnetbook.principle.counting import count, memory_of_identity
from resnetbook.principle.twins import TwinNet


@dataclass(frozen=True)
class Settings:
    """Depth (6n + 2), widths of the three stages and the input (channels, side in pixels)."""

    depth: int = 20
    widths: tuple[int, ...] = (16, 32, 64)
    channels: int = 3
    size: int = 32


def arms(settings: Settings) -> Sequence[str]:
    """Return the three types of shortcut."""
    return ("type-A", "type-B", "type-C")


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Count what the shortcuts of one type add to the plain network."""
    kind = cast(Literal["A", "B", "C"], arm.removeprefix("type-"))
    shape = (settings.channels, settings.size, settings.size)
    how: dict[str, Any] = {"in_channels": settings.channels, "widths": settings.widths}
    residual = TwinNet(settings.depth, shortcut=kind, residual=True, **how)
    plain = count(TwinNet(settings.depth, shortcut="A", residual=False, **how), shape)
    ours = count(residual, shape)
    added = ours.parameters - plain.parameters
    # An identity has no module of its own, or one that subsamples and pads; whatever has weights is a projection.
    shortcuts = [block.downsample for _, block in residual.blocks if isinstance(block, BasicBlock)]
    projections = sum(
        weight.numel() for part in shortcuts if part is not None for weight in part.parameters()
    )
    return {
        "parameters": float(ours.parameters),
        "parameters_added": float(added),
        "parameters_of_projections": float(projections),
        "parameters_of_identities": float(added - projections),
        "multiplications_added": float(ours.multiplications - plain.multiplications),
        "additions": float(ours.additions_shortcut),
        # One multiplication of a convolution comes with one addition: both count as one MAC.
        "additions_share": ours.additions_shortcut / plain.multiplications,
        "bytes_kept": float(memory_of_identity(residual, shape)),
    }


EXPERIMENT = Experiment(
    name="identity_cost", title="What the shortcut costs: parameters, multiplications, additions, memory",
    claims=("C05",),
    scales={"live": Settings(), "quick": Settings(), "full": Settings(depth=110)},
    arms=arms, run=run,
)  # fmt: skip
