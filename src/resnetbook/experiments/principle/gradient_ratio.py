"""C06: in deep plain CNNs the gradient vanishes. C07: the shortcut keeps shallow layers updated.

Design: at initialisation (He's weights), one forward and one backward pass over a batch of images; the norm of the first
convolution's weight gradient over that of the last layer's, for each depth, plain and residual, with batch normalisation
("bn"), without it ("nobn", the convolutions then have biases from PyTorch's default distribution, as networks without
normalisation have) and without either ("nobn-nobias": a ReLU network without biases is homogeneous, so that the
inner product of weight and weight gradient is the same in every layer, which keeps the ratio from vanishing).
Equal within a pair: depth, widths, initial weights, batch (shortcuts of type A, so that parameters are equal too). Seeds differ in
weights and images. In float64, so that rounding plays no part.

What decides is the ratio of weight gradients, since an update is made of these, and not what travels back. A weight
gradient is the product of a layer's input and of the backward signal at its output: where one grows as the other shrinks, the weight
gradient hides both. So the two factors are recorded apart, first layer over last like the ratio: `signal_D` of the backward
signal, `input_D` of what goes into the layer. They decide nothing.
C06 reads the slope of log10(ratio) over depth, for each kind of plain network apart, since they differ: vanishing means tenfold from 8
to 110 layers or more. C07 reads log10 of the ratio at the greatest depth over that at the smallest, `change`: updated means that it
stays within a factor of ten either way. On digits and on chest X-rays (`--set data=pneumoniamnist`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.nn import functional

from resnetbook.lab import fitting, training
from resnetbook.lab.data import ImageSet
from resnetbook.lab.running import Context, Experiment
from resnetbook.principle.twins import TwinNet


@dataclass(frozen=True)
class Settings:
    """Depths (6n + 2) in rising order, widths of the stages, images in the batch, and the set they come from."""

    data: str = "digits"
    size: int = 0  # side in pixels; 0: as stored
    train_size: int = (
        0  # training images from which the batch is drawn; 0: as many as the set's own split has
    )
    depths: tuple[int, ...] = (8, 20, 32, 56, 110)
    widths: tuple[int, ...] = (8, 16, 32)
    images: int = 128


def arms(settings: Settings) -> Sequence[str]:
    """Return plain and residual, each with batch normalisation, without it, and without biases too."""
    return tuple(f"{kind}-{norm}" for norm in ("nobn", "bn", "nobn-nobias") for kind in ("plain", "residual"))


def network(settings: Settings, arm: str, depth: int, data: ImageSet) -> TwinNet:
    """Build the network of an arm and a depth; the random state decides its weights, equal within a pair."""
    kind, norm = arm.split("-", 1)
    return TwinNet(
        depth,
        num_classes=len(data.classes),
        in_channels=data.shape[0],
        widths=settings.widths,
        shortcut="A",
        residual=kind == "residual",
        norm=norm == "bn",
        bias=norm == "nobn",
    )


def gradient_ratios(model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, float]:
    """Return three norms of the first convolution over those of the last layer.

    ratio: of the weight's gradient. signal: of the gradient at the layer's output. input: of what goes into it.
    """
    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    norms: dict[tuple[str, nn.Module], Tensor] = {}

    def forward(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        norms["input", module] = args[0].detach().norm()
        # ReLU may work in place: the gradient is taken where it reaches the output itself.
        output.register_hook(lambda gradient: norms.__setitem__(("signal", module), gradient.norm()))

    hooks = [module.register_forward_hook(forward) for module in (layers[0], layers[-1])]
    model.train()
    model.zero_grad()
    functional.cross_entropy(model(images), labels).backward()
    for hook in hooks:
        hook.remove()
    for module in (layers[0], layers[-1]):
        assert module.weight.grad is not None
        norms["ratio", module] = module.weight.grad.norm()
    return {
        name: float(norms[name, layers[0]] / norms[name, layers[-1]]) for name in ("ratio", "signal", "input")
    }


def over_depth(found: Mapping[int, float]) -> dict[str, float]:
    """Return the slope of log10 over depth, and its change from the smallest to the greatest depth."""
    logarithms = [math.log10(value) if value > 0 else -math.inf for value in found.values()]
    finite = bool(np.isfinite(logarithms).all())
    return {
        "slope": float(np.polyfit(list(found), logarithms, 1)[0]) if finite else math.nan,
        "change": logarithms[-1] - logarithms[0],
    }


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Measure at each depth, and how the ratio and the signal go over depth."""
    data = fitting.images_of(settings, seed)
    rows = np.random.default_rng(seed).permutation(len(data.train))[: settings.images]
    device = training.device(context.device)
    batch, labels = data.train.images[rows].double().to(device), data.train.labels[rows].to(device)
    found: dict[int, dict[str, float]] = {}
    for depth in settings.depths:
        training.seed_everything(seed)  # so that each depth draws the same weights for every arm
        model = network(settings, arm, depth, data).double().to(device)
        found[depth] = gradient_ratios(model, batch, labels)
    return {
        **{f"{name}_{depth}": value for depth, each in found.items() for name, value in each.items()},
        **over_depth({depth: each["ratio"] for depth, each in found.items()}),
        **{
            f"{name}_signal": value
            for name, value in over_depth({depth: each["signal"] for depth, each in found.items()}).items()
        },
    }


EXPERIMENT = Experiment(
    name="gradient_ratio", title="Gradient of the first layer over that of the last, at initialisation",
    claims=("C06", "C07"),
    scales={
        "live": Settings(depths=(8, 20, 56), images=64),
        "quick": Settings(),
        "full": Settings("cifar10_jpeg", widths=(16, 32, 64)),
    },
    variants={"quick": (Settings("pneumoniamnist", size=14, train_size=1000),)},
    arms=arms, run=run, data=fitting.describe,
    seeds={"live": 2, "quick": 24, "full": 12},
)  # fmt: skip
