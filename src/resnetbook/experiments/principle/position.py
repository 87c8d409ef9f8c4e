"""C14: the fully connected layer reduces the effect of position on the classification.

Design: the same convolutional trunk (three convolutions, two with max pooling) with two heads: "fc", the maps are flattened and go
to one fully connected layer; "gap", global average pooling and then a fully connected layer. Both train on centred
images without augmentation and are tested on images shifted by 1-4 px (mean over four directions).
Equal: the trunk and its initial weights, images, order of batches, epochs; each head takes its best of three learning rates,
chosen on validation with an extra seed. Not equal: parameters, of which the flattened head has more: it has weights of its own
for each position.
Refuted if the fully connected head keeps less accuracy than the pooled one: then it is pooling that does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from resnetbook.lab import fitting, measuring, training
from resnetbook.lab.data import ImageSet, on_canvas
from resnetbook.lab.running import Context, Experiment


@dataclass(frozen=True)
class Settings:
    """The set, side of picture and canvas (a multiple of 4), widths of the trunk, training and shifts."""

    data: str = "digits"
    picture: int = 12
    canvas: int = 20
    widths: tuple[int, int, int] = (16, 32, 32)
    epochs: int = 12
    batch_size: int = 64
    rates: tuple[float, ...] = (0.01, 0.03, 0.1)
    shifts: tuple[int, ...] = (1, 2, 3, 4)


def images_of(settings: Settings) -> ImageSet:
    """Load the set on its canvas."""
    return on_canvas(settings.data, picture=settings.picture, canvas=settings.canvas)


def network(settings: Settings, arm: str, data: ImageSet) -> nn.Sequential:
    """Build trunk and head, "fc" or "gap"; the trunk draws its weights first, so that both arms share them."""
    if arm not in arms(settings):
        raise ValueError(f"arm is {arm!r}: expected one of {arms(settings)}")
    trunk = nn.Sequential()
    before = data.train.images.shape[1]
    for stage, width in enumerate(settings.widths):
        convolution = nn.Conv2d(before, width, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        trunk.extend([convolution, nn.BatchNorm2d(width), nn.ReLU()])
        if stage < 2:
            trunk.append(nn.MaxPool2d(2))
        before = width
    classes = len(data.classes)
    if arm == "gap":
        return nn.Sequential(trunk, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, classes))
    return nn.Sequential(trunk, nn.Flatten(), nn.Linear(before * (settings.canvas // 4) ** 2, classes))


def arms(settings: Settings) -> Sequence[str]:
    """Return the two heads."""
    return ("fc", "gap")


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Train with one head, test under shift."""
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
    curve = measuring.shift_curve(model, data.test, settings.shifts)
    return {
        "clean_accuracy": clean,
        "shift_kept": measuring.kept(curve, clean),
        "shift_curve": curve,
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
    name="position",
    title="Flattened and globally pooled heads on shifted images",
    claims=("C14",),
    scales={
        "live": Settings(epochs=3, rates=(0.03,), widths=(8, 16, 16)),
        "quick": Settings(),
        "full": Settings(
            data="mednist_small", picture=48, canvas=64, widths=(32, 64, 64), epochs=40, shifts=(2, 4, 6, 8)
        ),
    },
    arms=arms,
    run=run,
    tune=tune,
    data=lambda settings: fitting.describe_set(images_of(settings)),
)
