"""C12: pooling gives a network strong robustness.

Design: a CNN of three stages, convolution - batch norm - ReLU, and one linear layer on the last 4x4 maps (32-px canvas).
The arms differ in how a stage halves its maps: max pooling, average pooling, a stride of 2 in the convolution, or not at
all: "dilated" convolutions (1, 2, 4) keep the full resolution and every eighth pixel of the last maps goes to the linear layer,
so that all arms have the same parameters and none hides behind global pooling. They train on centred images without augmentation
and are tested on images shifted by 1-3 px (mean over four directions) and with Gaussian noise (in standard deviations of
the training images). Equal: parameters, initial weights, images, batches, epochs; the best of three learning rates each.
Not equal: multiplications (a strided convolution is computed at a quarter of the places).
Refuted if max or average pooling keeps no more accuracy than the strided convolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from resnetbook.lab import fitting, measuring, training
from resnetbook.lab.data import ImageSet, on_canvas, transforms
from resnetbook.lab.running import Context, Experiment


@dataclass(frozen=True)
class Settings:
    """The set, side of picture and canvas (a multiple of 8), widths, the training and the changes."""

    data: str = "digits"
    picture: int = 16
    canvas: int = 32
    widths: tuple[int, ...] = (8, 16, 32)
    epochs: int = 8
    batch_size: int = 64
    rates: tuple[float, ...] = (0.01, 0.03, 0.1)
    shifts: tuple[int, ...] = (1, 2, 3)
    noises: tuple[float, ...] = (0.25, 0.5, 1.0)


class Subsample(nn.Module):
    """Keep every `step`-th pixel: what is left has the size that pooling would leave."""

    def __init__(self, step: int):
        super().__init__()
        self.step = step

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, H / step, W / step)."""
        return x[:, :, :: self.step, :: self.step]


def network(settings: Settings, arm: str, data: ImageSet) -> nn.Sequential:
    """Build the CNN with one way of halving: "max", "average", "strided" or "dilated"."""
    if arm not in arms(settings):
        raise ValueError(f"arm is {arm!r}: expected one of {arms(settings)}")
    layers: list[nn.Module] = []
    before = data.train.images.shape[1]
    for stage, width in enumerate(settings.widths):
        dilation = 2**stage if arm == "dilated" else 1
        stride = 2 if arm == "strided" else 1
        convolution = nn.Conv2d(
            before, width, 3, stride=stride, padding=dilation, dilation=dilation, bias=False
        )
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        layers += [convolution, nn.BatchNorm2d(width), nn.ReLU()]
        if arm == "max":
            layers.append(nn.MaxPool2d(2))
        elif arm == "average":
            layers.append(nn.AvgPool2d(2))
        before = width
    halved = 2 ** len(settings.widths)
    if arm == "dilated":
        layers.append(Subsample(halved))
    side = settings.canvas // halved
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(before * side**2, len(data.classes)))


def arms(settings: Settings) -> Sequence[str]:
    """Return the ways of halving."""
    return ("max", "average", "strided", "dilated")


def images_of(settings: Settings) -> ImageSet:
    """Load the set on its canvas."""
    return on_canvas(settings.data, picture=settings.picture, canvas=settings.canvas)


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Train one network, test it under shift and noise."""
    data = images_of(settings)
    training.seed_everything(seed)
    model = network(settings, arm, data)
    fitting.train(
        model,
        data,
        epochs=settings.epochs,
        learning_rate=float(context.tuned["learning_rate"]),
        batch_size=settings.batch_size,
        seed=seed,
        device=context.device,
        checkpoint=context.checkpoint,
    )
    clean = measuring.accuracy(model, data.test.images, data.test.labels)
    shift = measuring.shift_curve(model, data.test, settings.shifts)
    noise = [
        measuring.mean_accuracy(model, data.test, [partial(transforms.noise, deviation=deviation, seed=seed)])
        for deviation in settings.noises
    ]
    return {
        "test_accuracy": clean,
        "shift_kept": measuring.kept(shift, clean),
        "noise_kept": measuring.kept(noise, clean),
        "shift_curve": shift,
        "noise_curve": noise,
        "train_accuracy": measuring.accuracy(model, data.train.images, data.train.labels),
        "mode_gap": measuring.mode_gap(model, data.train),
        "parameters": float(sum(weight.numel() for weight in model.parameters())),
    }


def tune(settings: Settings, arm: str, context: Context) -> dict[str, Any]:
    """Choose the arm's learning rate."""
    data = images_of(settings)
    return fitting.best_validation_rate(
        lambda: network(settings, arm, data),
        data,
        settings.rates,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        device=context.device,
    )


EXPERIMENT = Experiment(
    name="pooling_robustness",
    title="Max pooling, average pooling, stride or dilation under shift and noise",
    claims=("C12",),
    scales={
        "live": Settings(epochs=2, rates=(0.03,), widths=(4, 8, 16)),
        "quick": Settings(),
        "full": Settings(data="mednist_small", picture=48, canvas=64, widths=(16, 32, 64), epochs=40),
    },
    arms=arms,
    run=run,
    tune=tune,
    data=lambda settings: fitting.describe_set(images_of(settings)),
)
