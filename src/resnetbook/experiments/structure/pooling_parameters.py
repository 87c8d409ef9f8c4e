"""C46: pooling layers have no parameters.

Design: each of the ten kinds of section 4.2 is built in one and the same place (windows of 2 pixels, stride 2, 16 channels) and its
parameters are counted; beside them the learned gate of mixed pooling in both its forms. Nothing is trained; the seeds agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from resnetbook.lab.running import Context, Experiment
from resnetbook.structure.pooling import NAMES, GatedPool2d, make_pool


@dataclass(frozen=True)
class Settings:
    """The place."""

    kernel_size: int = 2
    channels: int = 16


def arms(settings: Settings) -> Sequence[str]:
    """Return the ten kinds, and two with a learned gate."""
    return (*NAMES, "mixed by a learned weight", "mixed by a learned gate")


def layer(settings: Settings, arm: str) -> nn.Module:
    """Build an arm's layer."""
    if arm == "mixed by a learned weight":
        return GatedPool2d(settings.kernel_size, gate="mixed")
    if arm == "mixed by a learned gate":
        return GatedPool2d(settings.kernel_size, gate="gated")
    more = {"in_channels": settings.channels} if arm == "parallel" else {}
    return make_pool(arm, kernel_size=settings.kernel_size, **more)


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Count."""
    return {"parameters": float(sum(p.numel() for p in layer(settings, arm).parameters()))}


EXPERIMENT = Experiment(
    name="pooling_parameters", title="Parameters of ten kinds of pooling", claims=("C46",),
    scales={"live": Settings(), "quick": Settings(), "full": Settings()},
    arms=arms, run=run,
)  # fmt: skip
