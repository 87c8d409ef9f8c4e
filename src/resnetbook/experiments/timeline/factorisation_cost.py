"""C34: asymmetric factorisation cuts computation and deepens the network.

Design: one layer n x n ("square-n-C", C channels in and out) against 1 x n then n x 1 ("factored-n-C"), n = 3, 5, 7; batch
normalisation and a relu follow each convolution, also between the factors, as in Inception-v3, on its map of 17 pixels. Equal:
channels, receptive field, input. Counted: `parameters`, `multiplications` for one image, `layers`, and for factored arms
`multiplications_saved`, 1 - ratio to the square layer: its sign is the direction, its value the size. Timed: processor seconds of
a forward and a backward pass (`seconds`) and of a forward pass in evaluation mode (`seconds_inference`) over one batch; wall
seconds on a GPU. Both layers are timed in turn within one job, the median of `repeats` after two warm-ups; what decides is
their ratio there, `seconds_ratio` (and beside it `seconds_inference_ratio`), which factored arms have.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from resnetbook.experiments.timeline._shared import layer
from resnetbook.lab import training
from resnetbook.lab.running import Context, Experiment
from resnetbook.principle.counting import count

KINDS = ("square", "factored")


@dataclass(frozen=True)
class Settings:
    """Sides of the kernels, channels, side of the map, images in the batch, repeats of a measurement."""

    kernels: tuple[int, ...] = (3, 5, 7)
    channels: tuple[int, ...] = (16, 128)
    size: int = 17
    batch_size: int = 4
    repeats: int = 9


def arms(settings: Settings) -> Sequence[str]:
    """Return both kinds for each kernel and number of channels."""
    return tuple(f"{kind}-{n}-{c}" for c in settings.channels for n in settings.kernels for kind in KINDS)


def seconds(
    models: Sequence[nn.Module], step: Callable[[nn.Module], Any], repeats: int, on_gpu: bool
) -> list[float]:
    """Return the median time of `step` for each model, in turn, after two warm-ups."""
    clock = time.perf_counter if on_gpu else time.process_time
    times: list[list[float]] = [[] for _ in models]
    for _ in range(repeats + 2):
        for model, taken in zip(models, times, strict=True):
            start = clock()
            step(model)
            if on_gpu:
                torch.cuda.synchronize()
            taken.append(clock() - start)
    return [statistics.median(taken[2:]) for taken in times]


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Count one layer, and time it beside the other kind."""
    kind, n, channels = arm.split("-")
    device = training.device(context.device)
    training.seed_everything(seed)
    pair = [layer(int(channels), int(channels), int(n), each == "factored").to(device) for each in KINDS]
    shape = (int(channels), settings.size, settings.size)
    x = torch.randn(settings.batch_size, *shape, device=device, requires_grad=True)

    def train(model: nn.Module) -> None:
        out: Tensor = model.train()(x)
        out.square().mean().backward()

    @torch.no_grad()
    def infer(model: nn.Module) -> None:
        model.eval()(x)

    own, on_gpu = KINDS.index(kind), device.type == "cuda"
    square, counted = (count(model, shape) for model in (pair[0], pair[own]))
    times = {
        "seconds": seconds(pair, train, settings.repeats, on_gpu),
        "seconds_inference": seconds(pair, infer, settings.repeats, on_gpu),
    }
    found = {
        "parameters": float(counted.parameters),
        "multiplications": float(counted.multiplications),
        "layers": float(sum(isinstance(module, nn.Conv2d) for module in pair[own].modules())),
        **{name: taken[own] for name, taken in times.items()},
    }
    if kind == "square":
        return found
    ratios = {f"{name}_ratio": taken[1] / taken[0] for name, taken in times.items()}
    return {
        **found,
        "multiplications_saved": 1 - counted.multiplications / square.multiplications,
        **ratios,
    }


EXPERIMENT = Experiment(
    name="factorisation_cost", title="What a square kernel and its two factors cost", claims=("C34",),
    scales={
        "live": Settings(channels=(16,), batch_size=2, repeats=3),
        "quick": Settings(),
        "full": Settings(batch_size=64, repeats=29),
    },
    arms=arms, run=run,
)  # fmt: skip
