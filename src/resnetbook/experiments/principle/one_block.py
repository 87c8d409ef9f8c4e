"""C10: the residual mapping is easier to learn than the original mapping.

Design: one block, F(x) = conv3x3(relu(conv3x3(x))), learns a target map H from inputs x >= 0 (as after a ReLU), either as
F(x) ("plain") or as F(x) + x ("residual"). Three targets: "identity", H = x; "near", H = x + .1 K x with a random convolution
K; "far", H = K x. Both arms can represent each exactly (first convolution = identity, which the ReLU passes since x >= 0).
Inputs: "noise", white; else maps of a real set, as a network's first layer hands them on: random crops of its training images
under one random convolution and a ReLU, scaled to the mean square of the noise. They are drawn afresh in every step, so that
training error and test error are one.

The start of the weights decides much, so there are three, and each pair of arms shares its own:
- He's weights in both convolutions, the usual start. The residual block then begins far from the identity.
- "silent": the second convolution is zero, F = 0. The residual block begins as the identity, the plain one as zero.
- "same": the plain block begins as the identity too (first convolution: the identity, then He's; second: the identity, then
  zero), the residual one with the same first convolution and F = 0. Both begin as one function: what is left of a gain is not
  the head start. The silent residual block solves "identity" before its first step, so that this pair is not run.
The hidden maps are four times as many as those of x; "narrow" has as many as x has, the width of a basic block.

Equal within a pair: parameters, first weights (but for "same", where the second convolutions differ by the identity), targets,
inputs, batches, Adam, horizon; each arm takes its best rate for each error. Not equal: where the two begin, as said.
Metrics: steps until the relative squared error on fixed inputs is `error` (`steps_to_error`) or `coarse`
(`steps_to_coarse`), read between two looks on the line of its logarithm; restricted to the horizon, with `_reached`. For "near" a
block with F = 0 begins at an error of about `coarse`: there the silent and the same start are read at `error` alone.
`error_curve` has the error after the steps in `MARKS`, at the rate of `steps_to_error`.
Refuted if F + x takes as many steps or more. Where H is far from the identity, no gain is expected.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from resnetbook.experiments.principle._lone_block import Block, inputs_of
from resnetbook.lab import fitting, training
from resnetbook.lab.data import load
from resnetbook.lab.running import Context, Experiment
from resnetbook.lab.settings import generator

TARGETS = ("identity", "near", "far")
MARKS = (0, 10, 20, 50, 100, 200, 500, 1000, 1500)
ARMS = (
    *(f"{target}-{kind}" for target in TARGETS for kind in ("plain", "residual")),
    *(f"{target}-{kind}-narrow" for target in TARGETS[:2] for kind in ("plain", "residual")),
    *(f"{target}-{kind}-silent" for target in TARGETS[1:] for kind in ("plain", "residual")),
    *(f"near-{kind}-same" for kind in ("plain", "residual")),
)


@dataclass(frozen=True)
class Settings:
    """Inputs, size of the block and of the training; `error` and `coarse` are the relative squared errors to reach."""

    data: str = "noise"
    channels: int = 8
    expansion: int = 4  # hidden channels for each channel of x; 1 in the narrow arms
    size: int = 6
    batch_size: int = 16
    fixed: int = 64  # inputs on which the error is taken
    steps: int = 1500
    every: int = 5  # steps between two looks at the error
    error: float = 1e-3
    coarse: float = 1e-2
    nearness: float = 0.1
    rates: tuple[float, ...] = (0.001, 0.003, 0.01)


def arms(settings: Settings) -> Sequence[str]:
    """Return target-kind with He's weights, and with what differs from them at the end."""
    return ARMS


def learn(
    settings: Settings, arm: str, seed: int, rate: float, limit: float, device: torch.device
) -> tuple[dict[int, float], float]:
    """Train one block until its error is `limit`; return the error by step, and the size of F(x) beside that of x."""
    target, kind, *variant = arm.split("-")
    narrow, start = "narrow" in variant, next((name for name in variant if name != "narrow"), "he")
    training.seed_everything(seed)
    expansion = 1 if narrow else settings.expansion
    block = Block(settings.channels, residual=kind == "residual", expansion=expansion, start=start).to(device)
    kernel = nn.Conv2d(settings.channels, settings.channels, 3, padding=1, bias=False).requires_grad_(False)
    # K x has the size of x.
    kernel.weight.normal_(std=(9 * settings.channels) ** -0.5, generator=generator(seed, 0, 2))
    kernel.to(device)
    inputs = inputs_of(settings, seed)

    def wanted(x: Tensor) -> Tensor:
        if target == "identity":
            return x
        return x + settings.nearness * kernel(x) if target == "near" else kernel(x)

    fixed = inputs(settings.fixed).to(device)
    goal = wanted(fixed)

    @torch.no_grad()
    def error() -> float:
        return float((block(fixed) - goal).square().sum() / goal.square().sum())

    optimiser = torch.optim.Adam(block.parameters(), lr=rate, fused=True)
    errors = {0: error()}
    for step in range(1, settings.steps + 1):
        x = inputs(settings.batch_size).to(device)
        optimiser.zero_grad()
        (block(x) - wanted(x)).square().mean().backward()
        optimiser.step()
        if step % settings.every == 0:
            errors[step] = error()
            if not errors[step] > limit:  # there, or no number any more
                break
    with torch.no_grad():
        share = float(block.branch(fixed).std() / fixed.std())
    return errors, share


def steps_to(errors: dict[int, float], limit: float, horizon: int) -> tuple[float, float]:
    """Return the step at which the error falls to `limit`, at least 1, and 1; the horizon and 0 where it does not."""
    before, last = 0, math.inf
    for step, error in errors.items():
        if error <= limit:
            falls = math.log(last / limit) / math.log(last / error) if error > 0 and last < math.inf else 1.0
            return max(1.0, before + (step - before) * falls), 1.0
        before, last = step, error
    return float(horizon), 0.0


def limits(settings: Settings, arm: str) -> dict[str, float]:
    """Return the errors at which the arm is read, by the metric's name."""
    fine = {"steps_to_error": settings.error}
    begins_there = arm.startswith("near") and arm.endswith(("silent", "same"))
    return fine if begins_there else {**fine, "steps_to_coarse": settings.coarse}


def score(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, float]:
    """Return for each error log10 of the steps to it; where they do not suffice, plus log10 of how far off it ends."""
    rate = float(context.tuned["learning_rate"])
    errors, _ = learn(settings, arm, seed, rate, settings.error, training.device(context.device))
    last = errors[max(errors)]
    found = {}
    for name, limit in limits(settings, arm).items():
        steps, reached = steps_to(errors, limit, settings.steps)
        found[name] = math.log10(steps) + (0 if reached else math.log10(last / limit))
    return found


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Train the arm's block at the best rate for each error."""
    device, found, known = training.device(context.device), dict[str, Any](), dict[float, Any]()
    for name, limit in limits(settings, arm).items():
        rate = fitting.rate_for(name, context)
        if rate not in known:  # the finer error comes first, and its training passes the coarser one
            known[rate] = learn(settings, arm, seed, rate, limit, device)
        found[name], found[f"{name}_reached"] = steps_to(known[rate][0], limit, settings.steps)
    errors, share = known[fitting.rate_for("steps_to_error", context)]
    return {
        **found,
        "start_error": errors[0],
        "final_error": errors[max(errors)],
        "error_curve": [errors.get(step, math.nan) for step in MARKS],  # no number once the error is reached
        "branch_share": share,  # size of F(x) beside x: He et al. find it small
    }


def describe(settings: Settings) -> dict[str, str]:
    """Return what a record says of the inputs."""
    if settings.data != "noise":
        return fitting.describe_set(load(settings.data))
    drawn = inputs_of(settings, 0)(settings.fixed).numpy().tobytes()
    split = (
        "white noise after a ReLU, drawn afresh in every step; the checksum is that of seed 0's fixed inputs"
    )
    return {"name": "noise", "checksum": hashlib.sha256(drawn).hexdigest(), "split": split}


EXPERIMENT = Experiment(
    name="one_block", title="One block learns a map at or near the identity, or far from it", claims=("C10",),
    scales={
        "live": Settings(channels=4, steps=300),
        "quick": Settings(),
        "full": Settings(channels=16, size=8, batch_size=64),
    },
    variants={
        "quick": (Settings("pneumoniamnist"),),
        "full": (Settings("pneumoniamnist", channels=16, size=8, batch_size=64),),
    },
    arms=arms, run=run, score=score, data=describe,
)  # fmt: skip
