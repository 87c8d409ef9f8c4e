"""C01: convolutional networks have some robustness to translation, rotation and scaling.

Design: a CNN (three convolutions, each with max pooling, then one linear layer) and a multilayer perceptron with as many
parameters train on centred images without augmentation, and are tested on images that are shifted (mean over four
directions), turned (mean over both senses) or scaled (smaller and larger). Equal: parameters within 2 %, images, order of
batches, epochs, schedule; each takes its best rate.

"Some robustness" is taken as two things, asked for each of the three kinds of change apart:
- a small change costs little: the CNN keeps at least nine tenths of its accuracy (`small`: 1 px, 10 degrees, a tenth in size);
- at a moderate change it keeps more than the perceptron (`moderate`: 2 and 3 px, 20 and 30 degrees, a fifth in size), which nothing
  but the training images tells of moves.
Kept is accuracy under the change over accuracy as it is. `<change>_curve` has the accuracy at each level, the large ones
too, where both fail. Pixels are those of a picture of 16 (digits) or 20 (radiographs) on a canvas of 32.
Refuted for a kind of change if the CNN keeps less than nine tenths at the small one, or no more than the perceptron at the
moderate one. Only shifts are built into a CNN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from resnetbook.experiments.principle import _canvas
from resnetbook.lab import measuring
from resnetbook.lab.data import ImageSet, Part, transforms

# Beside one another: the levels that count as small and as moderate.
SIZES: dict[str, dict[str, tuple[float, ...]]] = {
    "translation": {"small": (1,), "moderate": (2, 3)},
    "rotation": {"small": (10.0,), "moderate": (20.0, 30.0)},
    "scaling": {"small": (0.9, 1.1), "moderate": (0.8, 1.2)},
}


@dataclass(frozen=True)
class Settings(_canvas.Settings):
    """Picture and canvas (a multiple of 8), the training, the CNN's widths and the levels of the changes."""

    epochs: int = 10
    widths: tuple[int, ...] = (16, 32, 64)
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
    return {"cnn": cnn, "mlp": mlp}[arm](settings, data.shape[0], len(data.classes))


def arms(settings: Settings) -> Sequence[str]:
    """Return the two networks."""
    return ("cnn", "mlp")


def measure(
    settings: Settings, model: nn.Module, test: Part, clean: Tensor
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Measure accuracy under the three kinds of change."""
    rotate, scale = transforms.rotate, transforms.scale
    changes: dict[str, dict[float, list[_canvas.Change]]] = {
        "translation": {by: measuring.shifts(by) for by in settings.shifts},
        "rotation": {
            turn: [partial(rotate, degrees=sign * turn) for sign in (1, -1)] for turn in settings.turns
        },
        "scaling": {factor: [partial(scale, factor=factor)] for factor in settings.scales},
    }
    metrics, outcomes = dict[str, Any](), dict[str, Tensor]()
    for name, levels in changes.items():
        found = _canvas.under(model, test, clean, name, levels, SIZES[name])
        metrics |= found[0]
        outcomes |= found[1]
    return metrics, outcomes


EXPERIMENT = _canvas.experiment(
    __name__, "CNN and perceptron on shifted, turned and scaled images", claims=("C01",),
    network=network, measure=measure, arms=arms,
    scales={
        "live": Settings(epochs=3, rates=(0.03,), widths=(8, 16, 32)),
        "quick": Settings(),
        "full": Settings("mednist_small", picture=40, canvas=64, widths=(32, 64, 128), epochs=15),
    },
    variants={"quick": (Settings("mednist_small", picture=20, train_size=720),)},
)  # fmt: skip
