"""C35: factorising an n x n convolution into 1 x n and n x 1 costs no accuracy.

Design: a small plain network: an entry, two layers on a map of 16 pixels, a maximum pooling, two 3x3 convolutions of twice the
width, the mean, one linear layer. In the pair "middle" the entry is 3x3 and the two layers are 7x7 ("square") or
1x7 then 7x1 ("factored"). In the pair "first" the entry is 7x7 or factored and the two layers are 3x3. Batch normalisation
and a relu follow each convolution, also between the two factors, as in Inception-v3. Equal within a pair: channels, receptive
field, images, order of batches, steps, warm-up, schedule, and the first weights of all layers that are not factored. Not
parameters, multiplications or depth: that the pair has fewer and is deeper is the point.
Two readings of the sentence. Trained so: the factored arm's accuracy on test images against the square one's. Put in the place
of trained kernels: `truncation`, the accuracy of the square arm with its 7x7 layers cut to the nearest that a row and a column
with as many channels between them as the factored arm has can express (`_factoring`), minus its accuracy uncut; `rank_curve` has
the accuracy for each of `ranks`. Batch normalisation is estimated again after a cut, on the training images, for the uncut
network too. A grey entry has 1 x 7 columns, so that 12 channels between lose nothing there: on X-rays that one decides nothing.
Beside: energies of the kernels, after training and (`_start`) before. They are no measure of use.
Sets: 2,000 images of CIFAR-10 (JPEG) at 16 px, and `--set data=pneumoniamnist` (500 chest X-rays at 16 px).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from resnetbook.experiments.timeline import _factoring
from resnetbook.experiments.timeline._factoring import rank1_energy, reachable_energy
from resnetbook.experiments.timeline._settings import Photographs
from resnetbook.experiments.timeline._shared import layer
from resnetbook.lab import fitting, measuring, training
from resnetbook.lab.data import ImageSet
from resnetbook.lab.running import Context
from resnetbook.principle.counting import count
from resnetbook.timeline._checks import he_init


@dataclass(frozen=True)
class Settings(Photographs):
    """The training, the width of the 7x7 layers and the side of their kernels, the stride of the entry."""

    train_size: int = 2000
    epochs: int = 6
    width: int = 12
    kernel: int = 7
    stride: int = 1  # of the entry: 2 for images of 32 pixels, so that the map behind it has 16
    ranks: tuple[int, ...] = (3, 6, 12, 24)


def arms(settings: Settings) -> Sequence[str]:
    """Return both kinds in both places."""
    return tuple(f"{kind}-{place}" for place in ("middle", "first") for kind in ("square", "factored"))


def network(settings: Settings, arm: str, data: ImageSet) -> nn.Module:
    """Build the network of an arm; layers of equal shape get equal weights from one random state."""
    kind, place = arm.split("-")
    width, factored = settings.width, kind == "factored"
    first, middle = (settings.kernel if place == here else 3 for here in ("first", "middle"))
    seeds = torch.randint(2**31, (6,)).tolist()
    makers: tuple[Callable[[], nn.Module], ...] = (
        partial(layer, data.shape[0], width, first, factored and place == "first", settings.stride),
        partial(layer, width, width, middle, factored and place == "middle"),
        partial(layer, width, width, middle, factored and place == "middle"),
        partial(layer, width, 2 * width, 3, False),
        partial(layer, 2 * width, 2 * width, 3, False),
        partial(nn.Linear, 2 * width, len(data.classes)),
    )
    parts = []
    for seed, make in zip(seeds, makers, strict=True):
        torch.manual_seed(seed)
        parts.append(make())
        he_init(parts[-1])
    return nn.Sequential(
        *parts[:3], nn.MaxPool2d(2), *parts[3:5], nn.AdaptiveAvgPool2d(1), nn.Flatten(), parts[5]
    )


def energies(model: nn.Module, n: int, width: int) -> dict[str, float]:
    """Return both energies, averaged over the n x n convolutions of `model`."""
    weights = [found.weight for found in _factoring.square_layers(model, n)]
    return {
        "rank1_energy": sum(map(rank1_energy, weights)) / len(weights),
        "reachable_energy": sum(reachable_energy(weight, width) for weight in weights) / len(weights),
    }


def truncation(settings: Settings, model: nn.Module, data: ImageSet) -> dict[str, Any]:
    """Return what a cut to each rank leaves of a trained square network's accuracy, and what the arm's own costs."""
    found = {}
    for rank in {*settings.ranks, settings.width, 10**6}:
        with (
            _factoring.cut(model, settings.kernel, rank),
            measuring.reestimated(model, data.train.images),
        ):
            found[rank] = measuring.right(model, data.test.images, data.test.labels).float()
    changed = found[settings.width] - found[10**6]
    return {
        "truncation": float(changed.mean()),
        "rank_curve": [float(found[rank].mean()) for rank in settings.ranks],
        "outcomes": {"truncation": changed},
    }


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Train one network and measure it; cut the kernels of a square one."""
    build, data = partial(network, settings, arm), fitting.images_of(settings, seed)
    model, found = fitting.fit_and_measure(settings, build, seed, context)
    found["multiplications"] = float(count(model, data.shape).multiplications)
    if arm.startswith("square"):
        training.seed_everything(seed)  # the weights that `fit_and_measure` started from
        start = energies(build(data), settings.kernel, settings.width)
        cut = truncation(settings, model, data)
        found["outcomes"] |= cut.pop("outcomes")
        found |= cut | energies(model, settings.kernel, settings.width)
        found |= {f"{name}_start": value for name, value in start.items()}
    return found


EXPERIMENT = fitting.experiment(
    __name__, "A square kernel, and a row and a column in its place", claims=("C35",),
    network=network, run=run, arms=arms,
    scales={
        "live": Settings(train_size=200, epochs=2, width=4, rates=(0.05,)),
        "quick": Settings(),
        "full": Settings(
            size=0, train_size=0, validation_size=0, epochs=15, batch_size=512, width=64, stride=2,
            rates=(0.1, 0.3, 1.0), ranks=(16, 32, 64, 128),
        ),
    },
    variants={"quick": (Settings("pneumoniamnist", train_size=500),)},
)  # fmt: skip
