"""C39: small kernels cut parameters and computation.

Design: n convolutions of 3x3 against one of 2n + 1, built on the meta device and counted; nothing is trained, so that the seeds
agree. Equal: channels before, between and after, receptive field, size of the map, no biases.
Metrics: the single layer's number over the stack's, for parameters and multiplications; and the stack's over the single one's
for the numbers that both put out (`activations`), which are kept for the backward pass. The last is what small kernels cost;
the survey does not speak of it, and it decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from resnetbook.lab.running import Context, Experiment
from resnetbook.principle.counting import count
from resnetbook.structure.convolution import StackedConv


@dataclass(frozen=True)
class Settings:
    """How many layers the stacks have, and channels and size of the map."""

    stacks: tuple[int, ...] = (2, 3)
    channels: int = 64
    side: int = 28


def arms(settings: Settings) -> Sequence[str]:
    """Return a name for each stack: "5x5" and "7x7" are what two and three layers of 3x3 stand for."""
    return tuple(f"{2 * n + 1}x{2 * n + 1}" for n in settings.stacks)


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Count both and divide."""
    side = int(arm.split("x")[0])
    form = (settings.channels, settings.side, settings.side)
    with torch.device("meta"):
        stack = StackedConv(settings.channels, settings.channels, (side - 1) // 2, bias=False)
        single = nn.Conv2d(settings.channels, settings.channels, side, padding=side // 2, bias=False)
        few, many = count(stack, form), count(single, form)
    return {
        "parameters_ratio": many.parameters / few.parameters,
        "multiplications_ratio": many.multiplications / few.multiplications,
        "activations_ratio": few.activations / many.activations,
    }


EXPERIMENT = Experiment(
    name="small_kernels", title="Several small kernels in place of a large one, counted", claims=("C39",),
    scales={"live": Settings(), "quick": Settings(), "full": Settings()},
    arms=arms, run=run,
)  # fmt: skip
