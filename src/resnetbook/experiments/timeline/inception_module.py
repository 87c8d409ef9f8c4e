"""C15: GoogLeNet raised the complexity of the network and with it the strength of its features.

Design: a small network of four blocks (two, a maximum pooling, two) between a 3x3 convolution and the mean over the map. In
the arm "inception" the blocks are GoogLeNet's modules 3a, 3b, 4a, 4b with the paper's 5x5 branch, their channels divided by
`narrow`. In "single" each is one 3x3 convolution, in "chain" a 1x1 that halves the channels and then a 3x3: as deep as a
module, without branches. Equal: multiplications for one image (within 1 %, reached by the one width of each half), batch
normalisation and relu after each convolution, entry, pooling, images, order of batches, steps; each arm takes its best of
three learning rates, chosen on validation loss with an extra seed. Where maps are equal in size, equal multiplications are
an equal number of weights. `multiplications` and `parameters` are recorded, `features` are the channels that the last layer
reads.
Refuted if "inception" is not more accurate on test images than "single". "chain" decides nothing: it says whether a difference
comes from the branches or from the depth. Records beside CIFAR-10 (JPEG): `--set data=pneumoniamnist`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from torch import nn

from resnetbook.lab import fitting
from resnetbook.lab.data import ImageSet, draw
from resnetbook.lab.running import Context, Experiment

# Table 1 of GoogLeNet: channels of f_1, f_3 (reduced, out), f_5 (reduced, out), f_p.
MODULES = (
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    ((192, 96, 208, 16, 48, 64), (160, 112, 224, 24, 64, 64)),
)


@dataclass(frozen=True)
class Settings(fitting.Fitting):
    """The training, the channels of the entry, and by how much the modules are narrower than GoogLeNet's."""

    data: str = "cifar10_jpeg"
    size: int = 16
    train_size: int = 1000
    validation_size: int = 1000  # most validation images that are used
    epochs: int = 8
    batch_size: int = 32
    entry: int = 16
    narrow: int = 8


@cache
def images_of(settings: Settings) -> ImageSet:
    """Load the set, with no more validation images than asked for."""
    data = fitting.images_of(settings)
    if len(data.validation) <= settings.validation_size:
        return data
    return replace(data, validation=draw(data.validation, settings.validation_size))


def arms(settings: Settings) -> Sequence[str]:
    """Return the module, one convolution, and a chain of two."""
    return ("inception", "single", "chain")


def reduced(channels: int) -> int:
    """Return the channels between the two convolutions of a "chain"."""
    return max(1, channels // 2)


def cost(arm: str, channels: int, table: Sequence[int] | int) -> int:
    """Return the multiplications of a block for one pixel; `table` is a module's channels, or the width of another block."""
    if isinstance(table, int):
        inner = reduced(channels)
        return 9 * channels * table if arm == "single" else channels * inner + 9 * inner * table
    c1, r3, c3, r5, c5, cp = table
    return channels * (c1 + r3 + r5 + cp) + 9 * r3 * c3 + 25 * r5 * c5


def widths(settings: Settings, arm: str) -> tuple[tuple[Any, Any], ...]:
    """Return what each half's two blocks are built with: a module's channels, or the width that costs as much."""
    tables = [tuple(tuple(c // settings.narrow for c in table) for table in half) for half in MODULES]
    if arm == "inception":
        return tuple((first, second) for first, second in tables)
    found, own, other = [], settings.entry, settings.entry
    debt = 0.0  # what rounding left over, in multiplications for one pixel of the half that follows
    for first, second in tables:
        middle = first[0] + first[2] + first[4] + first[5]
        target = cost("inception", own, first) + cost("inception", middle, second) + debt
        own = second[0] + second[2] + second[4] + second[5]
        spent = {w: cost(arm, other, w) + cost(arm, w, w) for w in range(1, 4 * own)}
        other = min(spent, key=lambda w: abs(spent[w] - target))
        debt = 4 * (target - spent[other])  # pooling leaves a quarter of the pixels
        found.append((other, other))
    return tuple(found)


def block(arm: str, channels: int, table: Any) -> tuple[nn.Module, int]:
    """Return a block and the channels that it puts out."""
    from resnetbook.timeline._conv import ConvNorm
    from resnetbook.timeline.googlenet import Inception

    if arm == "inception":
        module = Inception(channels, table, kernel=5)
        return module, module.out_channels
    if arm == "single":
        return ConvNorm(channels, table, 3, padding=1), table
    inner = reduced(channels)
    return nn.Sequential(ConvNorm(channels, inner, 1), ConvNorm(inner, table, 3, padding=1)), table


def network(settings: Settings, arm: str, data: ImageSet) -> nn.Module:
    """Build the network of an arm; the random state decides its weights, those of the entry equal for all."""
    from resnetbook.timeline._conv import ConvNorm

    layers = OrderedDict[str, nn.Module]()
    channels = settings.entry
    layers["entry"] = ConvNorm(data.train.images.shape[1], channels, 3, padding=1)
    for name, half in zip(("first", "second"), widths(settings, arm), strict=True):
        for number, table in enumerate(half, start=1):
            layers[f"{name}{number}"], channels = block(arm, channels, table)
        if name == "first":
            layers["pool"] = nn.MaxPool2d(2)
    layers |= {
        "mean": nn.AdaptiveAvgPool2d(1),
        "flat": nn.Flatten(),
        "fc": nn.Linear(channels, len(data.classes)),
    }
    return nn.Sequential(layers)


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Train one network and measure it."""
    from resnetbook.principle.counting import count

    data = images_of(settings)
    model, found = fitting.fit_and_measure(
        settings, lambda: network(settings, arm, data), data, seed, context
    )
    found["multiplications"] = float(count(model, data.train.images.shape[1:]).multiplications)
    found["features"] = float(model.get_submodule("fc").in_features)  # type: ignore[arg-type]
    return found


def tune(settings: Settings, arm: str, context: Context) -> dict[str, Any]:
    """Choose the arm's learning rate."""
    data = images_of(settings)
    return fitting.best_rate(settings, lambda: network(settings, arm, data), data, context)


EXPERIMENT = Experiment(
    name="inception_module",
    title="An Inception module and convolutions of equal multiplications",
    claims=("C15",),
    scales={
        "live": Settings(data="digits", size=8, train_size=200, epochs=1, rates=(0.05,)),
        "quick": Settings(),
        "full": Settings(
            size=0,
            train_size=0,
            validation_size=5000,
            epochs=60,
            batch_size=128,
            rates=(0.03, 0.1, 0.3),
            entry=64,
            narrow=2,
        ),
    },
    variants={"quick": (Settings(data="pneumoniamnist", size=14, epochs=6),)},
    arms=arms,
    run=run,
    tune=tune,
    data=fitting.describe,
)
