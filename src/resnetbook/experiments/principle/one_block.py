"""C10: the residual mapping is easier to learn than the original mapping.

Design: one block, F(x) = conv3x3(relu(conv3x3(x))), learns a target map H from fresh random inputs x >= 0 (as after a ReLU),
either as F(x) ("plain") or as F(x) + x ("residual"). Three targets: "identity", H = x; "near", H = x + .1 K x with a random
convolution K; "far", H = K x. Each can be represented exactly by both arms (first convolution = identity, which the ReLU
passes since x >= 0). The hidden maps are four times as many as those of x, so that each target can be learned and not
only represented. With as many as x has ("narrow", the width of a basic block) neither arm reaches "far" within the cap;
identity and near are run at this width too. Equal: parameters, initial weights, targets, batches, Adam, and a grid of
three learning rates, of which each arm takes its best with an extra seed. Metric: log10 of the steps until the relative
squared error on fixed inputs is 1e-3; never reached counts as the cap (`steps`), so that the gap is then a lower bound
and two arms that miss it are equal. `steps_to_coarse` is the same for 1e-2, where "near" is fitted as soon as F is 0, and
`error_curve` has the error after the steps in `MARKS`: the two errors may give different answers.
Refuted if F + x is not faster for the targets that contain the identity. Where H is far from it, no gain is expected.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from resnetbook.lab import training
from resnetbook.lab.fitting import TUNING_SEED, lowest
from resnetbook.lab.running import Context, Experiment

TARGETS = ("identity", "near", "far")
MARKS = (0, 10, 20, 50, 100, 200, 500, 1000, 2000, 4000)


@dataclass(frozen=True)
class Settings:
    """Size of the block and of the training; `error` is the relative squared error to reach."""

    channels: int = 8
    expansion: int = 4  # hidden channels for each channel of x; 1 in the narrow arms
    size: int = 8
    batch_size: int = 32
    steps: int = 4000
    every: int = 5  # steps between two looks at the error
    error: float = 1e-3
    coarse: float = 1e-2
    nearness: float = 0.1
    rates: tuple[float, ...] = (0.001, 0.003, 0.01)


class Block(nn.Module):
    """F(x), or F(x) + x if `residual`; without normalisation, so that both arms can represent every target."""

    def __init__(self, channels: int, *, residual: bool, expansion: int = 1):
        super().__init__()
        self.residual = residual
        self.conv1 = nn.Conv2d(channels, channels * expansion, 3, padding=1)
        self.conv2 = nn.Conv2d(channels * expansion, channels, 3, padding=1)
        for conv in (self.conv1, self.conv2):
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]

    def branch(self, x: Tensor) -> Tensor:
        """Return F(x), of the shape of x."""
        return self.conv2(torch.relu(self.conv1(x)))

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output, of the shape of x."""
        return self.branch(x) + x if self.residual else self.branch(x)


def arms(settings: Settings) -> Sequence[str]:
    """Return target-kind for each target, and target-kind-narrow for those that hold the identity."""
    kinds = ("plain", "residual")
    wide = tuple(f"{target}-{kind}" for target in TARGETS for kind in kinds)
    return wide + tuple(f"{target}-{kind}-narrow" for target in TARGETS[:2] for kind in kinds)


def learn(
    settings: Settings, arm: str, seed: int, learning_rate: float, device: torch.device
) -> dict[str, Any]:
    """Train one block; return the steps it took (log10), the last error and the error along the way."""
    target, kind, *narrow = arm.split("-")
    training.seed_everything(seed)
    expansion = 1 if narrow else settings.expansion
    block = Block(settings.channels, residual=kind == "residual", expansion=expansion).to(device)
    kernel = nn.Conv2d(settings.channels, settings.channels, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(kernel.weight, nonlinearity="linear")  # K x has the size of x
    kernel.to(device).requires_grad_(False)

    def inputs(number: int) -> Tensor:
        return torch.randn(number, settings.channels, settings.size, settings.size).relu().to(device)

    def wanted(x: Tensor) -> Tensor:
        if target == "identity":
            return x
        return x + settings.nearness * kernel(x) if target == "near" else kernel(x)

    fixed = inputs(128)
    goal = wanted(fixed)

    @torch.no_grad()
    def error() -> float:
        return float((block(fixed) - goal).square().sum() / goal.square().sum())

    optimiser = torch.optim.Adam(block.parameters(), lr=learning_rate)
    errors = {0: error()}
    for step in range(1, settings.steps + 1):
        x = inputs(settings.batch_size)
        optimiser.zero_grad()
        (block(x) - wanted(x)).square().mean().backward()
        optimiser.step()
        if step % settings.every == 0:
            errors[step] = error()
            if errors[step] <= settings.error:
                break
    with torch.no_grad():
        share = float(block.branch(fixed).std() / fixed.std())

    def steps_to(limit: float) -> float:
        return math.log10(
            next((max(step, 1) for step, found in errors.items() if found <= limit), settings.steps)
        )

    final = errors[max(errors)]
    return {
        "steps_to_error": steps_to(settings.error),
        "steps_to_coarse": steps_to(settings.coarse),
        "reached": float(final <= settings.error),
        "final_error": final,
        "error_curve": [errors.get(step, math.nan) for step in MARKS],  # no number once the error is reached
        "branch_share": share,  # size of F(x) beside x: He et al. find it small
    }


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Train the arm's block at its best learning rate."""
    rate = float(context.tuned["learning_rate"])
    return learn(settings, arm, seed, rate, training.device(context.device))


def tune(settings: Settings, arm: str, context: Context) -> dict[str, Any]:
    """Choose the learning rate with the fewest steps; where none gets there, that with the smallest error."""

    def score(rate: float) -> float:
        found = learn(settings, arm, TUNING_SEED, rate, training.device(context.device))
        return found["steps_to_error"] + found["final_error"]

    return lowest(settings.rates, score)


EXPERIMENT = Experiment(
    name="one_block",
    title="One block learns a map at or near the identity, or far from it",
    claims=("C10",),
    scales={
        "live": Settings(channels=4, size=6, steps=300),
        "quick": Settings(),
        "full": Settings(channels=32, size=16, batch_size=64, steps=20000),
    },
    arms=arms,
    run=run,
    tune=tune,
)
