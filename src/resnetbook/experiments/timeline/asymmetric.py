"""C35: factorising an n x n convolution into 1 x n and n x 1 costs no accuracy.

Design: a small plain network: an entry, two layers on a map of 16 pixels, a maximum pooling, two 3x3 convolutions of twice the
width, the mean, one linear layer. In the pair "middle" the entry is 3x3 and the two layers are 7x7 ("square") or
1x7 then 7x1 ("factored"). In the pair "first" the entry is 7x7 or factored and the two layers are 3x3. Batch normalisation
and a relu follow each convolution, also between the two factors, as in Inception-v3. Equal within a pair: channels, receptive
field, images, order of batches, steps; not parameters: that they are fewer is the point. Each arm takes its best of three
learning rates, chosen on validation loss with an extra seed.
Refuted if the factored arm's test accuracy is lower by more than the margin. Records: 2,000 images of CIFAR-10 (JPEG) at 16 px, and
`--set data=pneumoniamnist` (1,000 chest X-rays at 16 px).

Square arms also say how near their kernels are to what factors can do, averaged over the 7x7 layers, after training and
(`_start`) before: `rank1_energy`, the share of the first singular value in the energy of one 7x7 kernel, the mean over pairs
of channels; `reachable_energy`, of the whole layer: a row and a column with C channels between them, without the relu, reach exactly the
tensors whose unfolding (7 out by 7 in) has rank C or less; the energy of its first C singular values is the best they can keep.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from resnetbook.experiments.timeline._shared import layer
from resnetbook.lab import fitting, training
from resnetbook.lab.data import ImageSet, draw
from resnetbook.lab.running import Context, Experiment


@dataclass(frozen=True)
class Settings(fitting.Fitting):
    """The training, the width of the 7x7 layers and the side of their kernels, the stride of the entry."""

    data: str = "cifar10_jpeg"
    size: int = 16
    train_size: int = 2000
    validation_size: int = 1000  # most validation images that are used
    epochs: int = 8
    batch_size: int = 32
    width: int = 12
    kernel: int = 7
    stride: int = 1  # of the entry: 2 for images of 32 pixels, so that the map behind it has 16


@cache
def images_of(settings: Settings) -> ImageSet:
    """Load the set, with no more validation images than asked for."""
    data = fitting.images_of(settings)
    if len(data.validation) <= settings.validation_size:
        return data
    return replace(data, validation=draw(data.validation, settings.validation_size))


def arms(settings: Settings) -> Sequence[str]:
    """Return both kinds in both places."""
    return tuple(f"{kind}-{place}" for place in ("middle", "first") for kind in ("square", "factored"))


def network(settings: Settings, arm: str, data: ImageSet) -> nn.Module:
    """Build the network of an arm."""
    from resnetbook.timeline._checks import he_init

    kind, place = arm.split("-")
    channels, width = data.train.images.shape[1], settings.width
    first, middle = (settings.kernel if place == here else 3 for here in ("first", "middle"))
    model = nn.Sequential(
        layer(channels, width, first, kind == "factored" and place == "first", settings.stride),
        layer(width, width, middle, kind == "factored" and place == "middle"),
        layer(width, width, middle, kind == "factored" and place == "middle"),
        nn.MaxPool2d(2),
        layer(width, 2 * width, 3, False),
        layer(2 * width, 2 * width, 3, False),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(2 * width, len(data.classes)),
    )
    he_init(model)
    return model


def rank1_energy(weight: Tensor) -> float:
    """Return s_1^2 / sum s_i^2 of each kernel of `weight` (out, in, n, n), the mean over pairs of channels."""
    values = torch.linalg.svdvals(weight.detach().double()) ** 2
    return float((values[..., 0] / values.sum(-1)).mean())


def reachable_energy(weight: Tensor, channels: int) -> float:
    """Return the largest share of the energy of `weight` that a row and a column with `channels` between them can keep.

    The layer maps input channel i and column offset b to output channel o and row offset a: unfolded to a matrix (o a) x (i b).
    A row convolution gives each channel between a vector over (i b), a column convolution reads it with a vector over (o a).
    """
    out, into, rows, columns = weight.shape
    matrix = weight.detach().double().permute(0, 2, 1, 3).reshape(out * rows, into * columns)
    values = torch.linalg.svdvals(matrix) ** 2
    return float(values[:channels].sum() / values.sum())


def energies(model: nn.Module, n: int, width: int) -> dict[str, float]:
    """Return both energies, averaged over the n x n convolutions of `model`."""
    weights = [m.weight for m in model.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (n, n)]
    return {
        "rank1_energy": sum(map(rank1_energy, weights)) / len(weights),
        "reachable_energy": sum(reachable_energy(weight, width) for weight in weights) / len(weights),
    }


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Train one network and measure it."""
    from resnetbook.principle.counting import count

    data = images_of(settings)
    build = lambda: network(settings, arm, data)  # noqa: E731
    model, found = fitting.fit_and_measure(settings, build, data, seed, context)
    found["multiplications"] = float(count(model, data.train.images.shape[1:]).multiplications)
    if arm.startswith("square"):
        training.seed_everything(seed)  # the weights that `fit_and_measure` started from
        start = energies(build(), settings.kernel, settings.width)
        found |= energies(model, settings.kernel, settings.width)
        found |= {f"{name}_start": value for name, value in start.items()}
    return found


def tune(settings: Settings, arm: str, context: Context) -> dict[str, Any]:
    """Choose the arm's learning rate."""
    data = images_of(settings)
    return fitting.best_rate(settings, lambda: network(settings, arm, data), data, context)


EXPERIMENT = Experiment(
    name="asymmetric",
    title="A square kernel, and a row and a column in its place",
    claims=("C35",),
    scales={
        "live": Settings(train_size=200, epochs=2, width=4, rates=(0.05,)),
        "quick": Settings(),
        "full": Settings(
            size=0,
            train_size=0,
            validation_size=5000,
            epochs=60,
            batch_size=128,
            width=64,
            stride=2,
            rates=(0.03, 0.1, 0.3),
        ),
    },
    variants={"quick": (Settings("pneumoniamnist", train_size=1000),)},
    arms=arms,
    run=run,
    tune=tune,
    data=fitting.describe,
)
