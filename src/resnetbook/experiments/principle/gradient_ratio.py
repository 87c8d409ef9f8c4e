"""C06: in deep plain CNNs the gradient vanishes. C07: the shortcut keeps shallow layers updated.

Design: at initialisation (He's weights), one forward and one backward pass over a batch of images; the norm of the first
convolution's weight gradient over that of the last layer's, for each depth, plain and residual, with batch normalisation
("bn"), without it ("nobn", the convolutions then have biases from PyTorch's default distribution, as networks without
normalisation have) and without either ("nobn-nobias": a ReLU network without biases is homogeneous, so that the
inner product of weight and weight gradient is the same in every layer, which keeps the ratio from vanishing).
Equal within a pair: depth, widths, initial weights, batch (shortcuts of type A, so that parameters are equal too). In
float64, so that rounding plays no part.
C06 is refuted if the slope of log10(ratio) over depth is not negative: read it for each arm apart, they differ. C07 is
refuted if the ratio at the greatest depth is below a tenth or above ten times that at the smallest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.nn import functional

from resnetbook.lab import training
from resnetbook.lab.data import load
from resnetbook.lab.fitting import describe_set
from resnetbook.lab.running import Context, Experiment


@dataclass(frozen=True)
class Settings:
    """Depths (6n + 2) in rising order, widths of the stages, images in the batch, and the set they come from."""

    depths: tuple[int, ...] = (8, 20, 32, 56, 110)
    widths: tuple[int, ...] = (8, 16, 32)
    images: int = 128
    data: str = "digits"


def arms(settings: Settings) -> Sequence[str]:
    """Return plain and residual, each with batch normalisation, without it, and without biases too."""
    return tuple(f"{kind}-{norm}" for norm in ("nobn", "bn", "nobn-nobias") for kind in ("plain", "residual"))


def gradient_ratio(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return |gradient of the first convolution's weights| / |gradient of the last layer's weights|."""
    model.train()
    model.zero_grad()
    functional.cross_entropy(model(images), labels).backward()
    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    first, last = layers[0].weight.grad, layers[-1].weight.grad
    assert first is not None
    assert last is not None
    return float(first.norm() / last.norm())


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Measure the ratio at each depth, its slope and its change from the smallest to the greatest depth."""
    from resnetbook.principle.twins import TwinNet

    kind, norm = arm.split("-", 1)
    data = load(settings.data)
    training.seed_everything(seed)
    images, labels = data.train.images, data.train.labels
    device = training.device(context.device)
    ratios = {}
    for depth in settings.depths:
        training.seed_everything(seed)  # so that each depth draws the same weights for every arm
        model = TwinNet(
            depth,
            num_classes=len(data.classes),
            in_channels=images.shape[1],
            widths=settings.widths,
            shortcut="A",
            residual=kind == "residual",
            norm=norm == "bn",
            bias=norm == "nobn",
        )
        rows = np.random.default_rng(seed).permutation(len(images))[: settings.images]
        batch = images[rows].double().to(device)
        ratios[depth] = gradient_ratio(model.double().to(device), batch, labels[rows].to(device))
    logarithms = [math.log10(ratio) if ratio > 0 else -math.inf for ratio in ratios.values()]
    slope = (
        float(np.polyfit(settings.depths, logarithms, 1)[0]) if np.isfinite(logarithms).all() else math.nan
    )
    return {
        **{f"ratio_{depth}": ratio for depth, ratio in ratios.items()},
        "slope": slope,
        "change": logarithms[-1] - logarithms[0],
    }


EXPERIMENT = Experiment(
    name="gradient_ratio",
    title="Gradient of the first layer over that of the last, at initialisation",
    claims=("C06", "C07"),
    scales={
        "live": Settings(depths=(8, 20, 56), images=64),
        "quick": Settings(),
        "full": Settings(widths=(16, 32, 64), data="cifar10_jpeg"),
    },
    arms=arms,
    run=run,
    data=lambda settings: describe_set(load(settings.data)),
)
