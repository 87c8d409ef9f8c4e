"""C05: identity mapping adds no parameters and no computation.

Design: a plain network and residual networks of the same depth and widths with shortcuts of type A (identity, zero
padding), B (projection where the shape changes) and C (projection everywhere) are built and counted: parameters,
multiplications, element-wise additions of the shortcut and the bytes of x that wait for the addition. Nothing is trained,
so that the seeds agree. Equal: depth, widths, input.
Refuted for type A if it adds a parameter or a multiplication; "no computation" is refuted if it adds an addition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from resnetbook.lab.running import Context, Experiment


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
    from resnetbook.principle.counting import count, memory_of_identity
    from resnetbook.principle.twins import TwinNet

    kind = cast(Literal["A", "B", "C"], arm.removeprefix("type-"))
    shape = (settings.channels, settings.size, settings.size)
    how: dict[str, Any] = {"in_channels": settings.channels, "widths": settings.widths}
    residual = TwinNet(settings.depth, shortcut=kind, residual=True, **how)
    plain = count(TwinNet(settings.depth, shortcut="A", residual=False, **how), shape)
    ours = count(residual, shape)
    return {
        "parameters": float(ours.parameters),
        "parameters_added": float(ours.parameters - plain.parameters),
        "multiplications_added": float(ours.multiplications - plain.multiplications),
        "additions": float(ours.additions_shortcut),
        # One multiplication of a convolution comes with one addition: both count as one MAC.
        "additions_share": ours.additions_shortcut / plain.multiplications,
        "bytes_kept": float(memory_of_identity(residual, shape)),
    }


EXPERIMENT = Experiment(
    name="identity_cost",
    title="What the shortcut costs: parameters, multiplications, additions, memory",
    claims=("C05",),
    scales={"live": Settings(), "quick": Settings(), "full": Settings(depth=110)},
    arms=arms,
    run=run,
)
