"""C01: convolutional networks have some robustness to translation, rotation and scaling.

Design: a CNN (three convolutions, each with max pooling, then one linear layer) and a multilayer perceptron with as many
parameters train on centred images without augmentation, and are tested on images that are shifted (mean over four
directions), turned (mean over both senses) or scaled. Equal: parameters within 2 %, images, order of batches, epochs,
schedule; each arm takes its best of three learning rates, chosen on validation with an extra seed. Metric for each
change: accuracy under it over clean accuracy, mean over the levels (the area under the curve).
Refuted if the CNN does not keep more than the perceptron, for any of the three. A CNN is built for shifts alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from resnetbook.lab import fitting, measuring, training
from resnetbook.lab.data import ImageSet, on_canvas, transforms
from resnetbook.lab.running import Context, Experiment


@dataclass(frozen=True)
class Settings:
    """The set, side of picture and canvas (a multiple of 8), the CNN's widths, the training and the changes."""

    data: str = "digits"
    picture: int = 16
    canvas: int = 32
    widths: tuple[int, ...] = (16, 32, 64)
    epochs: int = 10
    batch_size: int = 64
    rates: tuple[float, ...] = (0.01, 0.03, 0.1)
    shifts: tuple[int, ...] = (1, 2, 3, 4, 5, 6)
    turns: tuple[float, ...] = (10.0, 20.0, 30.0, 40.0, 50.0, 60.0)
    scales: tuple[float, ...] = (0.7, 0.8, 0.9, 1.1, 1.2, 1.3, 1.4)


def cnn(settings: Settings, channels: int, classes: int) -> nn.Sequential:
    """Build the CNN: (N, channels, canvas, canvas) to (N, classes)."""
    layers: list[nn.Module] = []
    before = channels
    for width in settings.widths:
        layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        before = width
    side = settings.canvas // 2 ** len(settings.widths)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(before * side**2, classes))


def mlp(settings: Settings, channels: int, classes: int) -> nn.Sequential:
    """Build the perceptron with one hidden layer, as wide as the CNN's number of parameters allows."""
    pixels = channels * settings.canvas**2
    budget = sum(weight.numel() for weight in cnn(settings, channels, classes).parameters())
    hidden = max(1, round((budget - classes) / (pixels + 1 + classes)))
    return nn.Sequential(nn.Flatten(), nn.Linear(pixels, hidden), nn.ReLU(), nn.Linear(hidden, classes))


def network(settings: Settings, arm: str, data: ImageSet) -> nn.Module:
    """Build the arm's network."""
    build = {"cnn": cnn, "mlp": mlp}[arm]
    return build(settings, data.train.images.shape[1], len(data.classes))


def arms(settings: Settings) -> Sequence[str]:
    """Return the two networks."""
    return ("cnn", "mlp")


def images_of(settings: Settings) -> ImageSet:
    """Load the set on its canvas."""
    return on_canvas(settings.data, picture=settings.picture, canvas=settings.canvas)


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Train one network on centred images, test it on changed ones."""
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
    curves = {
        "translation": measuring.shift_curve(model, data.test, settings.shifts),
        "rotation": [
            measuring.mean_accuracy(
                model, data.test, [partial(transforms.rotate, degrees=sign * turn) for sign in (1, -1)]
            )
            for turn in settings.turns
        ],
        "scaling": [
            measuring.mean_accuracy(model, data.test, [partial(transforms.scale, factor=factor)])
            for factor in settings.scales
        ],
    }
    return {
        "test_accuracy": clean,
        "train_accuracy": measuring.accuracy(model, data.train.images, data.train.labels),
        "parameters": float(sum(weight.numel() for weight in model.parameters())),
        **{f"{name}_kept": measuring.kept(curve, clean) for name, curve in curves.items()},
        **{f"{name}_curve": curve for name, curve in curves.items()},
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
    name="robustness",
    title="CNN and perceptron on shifted, turned and scaled images",
    claims=("C01",),
    scales={
        "live": Settings(epochs=3, rates=(0.03,), widths=(8, 16, 32)),
        "quick": Settings(),
        "full": Settings(data="mednist_small", picture=48, canvas=64, widths=(32, 64, 128), epochs=40),
    },
    arms=arms,
    run=run,
    tune=tune,
    data=lambda settings: fitting.describe_set(images_of(settings)),
)
