"""C15: GoogLeNet raised the complexity of the network and with it the strength of its features.

Design: a small network of four blocks (two, a maximum pooling, two) between a 3x3 convolution and the mean over the map. In
the arm "inception" the blocks are GoogLeNet's modules 3a, 3b, 4a, 4b with the paper's 5x5 branch, their channels divided by
`narrow`. In "single" each is one 3x3 convolution, in "chain" a 1x1 that halves the channels and then a 3x3: as deep as a
module, without branches. "wide" is such a chain that puts out as many channels as the module and reduces them to as many
between as the cost allows: as wide and as deep as a module, without branches. Equal: multiplications for one image (within 1 %),
batch normalisation and relu after each convolution, entry, pooling, images, order of batches, steps, warm-up, grid of learning
rates; each arm takes the rate with the lowest validation loss. Where maps are equal in size, equal multiplications are an equal
number of weights. `multiplications` and `parameters` are recorded, `features` are the channels that the last layer reads: only
"wide" has as many as "inception".
Two arms decide by accuracy on test images: "single" at equal multiplications, as the plain network of that cost, and "wide"
at equal multiplications and width, since a module may win by its width alone. "chain" decides nothing: it says whether a
difference comes from the depth of two convolutions. On small photographs, and on chest X-rays (`--set data=pneumoniamnist`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

from torch import nn

from resnetbook.experiments.timeline._settings import Photographs
from resnetbook.lab import fitting
from resnetbook.lab.data import ImageSet
from resnetbook.lab.running import Context
from resnetbook.principle.counting import count
from resnetbook.timeline._conv import ConvNorm
from resnetbook.timeline.googlenet import Inception

# Table 1 of GoogLeNet: channels of f_1, f_3 (reduced, out), f_5 (reduced, out), f_p.
MODULES = (
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    ((192, 96, 208, 16, 48, 64), (160, 112, 224, 24, 64, 64)),
)


@dataclass(frozen=True)
class Settings(Photographs):
    """The training, the channels of the entry, and by how much the modules are narrower than GoogLeNet's."""

    train_size: int = 1000
    epochs: int = 8
    entry: int = 16
    narrow: int = 8


def arms(settings: Settings) -> Sequence[str]:
    """Return the module, one convolution, a chain of two, and one as wide as the module."""
    return ("inception", "single", "chain", "wide")


def reduced(channels: int) -> int:
    """Return the channels between the two convolutions of a "chain"."""
    return max(1, channels // 2)


def cost(arm: str, channels: int, table: Any) -> int:
    """Return the multiplications of a block for one pixel.

    `table` is a module's channels, another block's width, or for "wide" the widths between and behind its convolutions.
    """
    if arm == "single":
        return 9 * channels * table
    if arm == "inception":
        c1, r3, c3, r5, c5, cp = table
        return channels * (c1 + r3 + r5 + cp) + 9 * r3 * c3 + 25 * r5 * c5
    inner, out = table if arm == "wide" else (reduced(channels), table)
    return channels * inner + 9 * inner * out


def modules(settings: Settings) -> list[tuple[int, tuple[int, ...], int]]:
    """Return the channels that reach each module, its own, and those that it puts out."""
    found, channels = [], settings.entry
    for half in MODULES:
        for full in half:
            table = tuple(c // settings.narrow for c in full)
            out = table[0] + table[2] + table[4] + table[5]
            found.append((channels, table, out))
            channels = out
    return found


def widths(settings: Settings, arm: str) -> tuple[tuple[Any, Any], ...]:
    """Return what each half's two blocks are built with: a module's channels, or widths that cost as much."""
    plan = modules(settings)
    if arm == "inception":
        return tuple((plan[i][1], plan[i + 1][1]) for i in (0, 2))
    if arm == "wide":
        return wide_widths(plan)
    found, other = [], settings.entry
    debt = 0.0  # what rounding left over, in multiplications for one pixel of the half that follows
    for first, second in (plan[:2], plan[2:]):
        target = cost("inception", *first[:2]) + cost("inception", *second[:2]) + debt
        spent = {w: cost(arm, other, w) + cost(arm, w, w) for w in range(1, 4 * second[2])}
        other = min(spent, key=lambda w: abs(spent[w] - target))
        debt = 4 * (target - spent[other])  # pooling leaves a quarter of the pixels
        found.append((other, other))
    return tuple(found)


def wide_widths(plan: Sequence[tuple[int, tuple[int, ...], int]]) -> tuple[tuple[Any, Any], ...]:
    """Return (between, behind) of each block: each costs what its module does, the rounding such that the whole is nearest."""
    pixels = (4, 4, 1, 1)
    exact = [cost("inception", c, table) / cost("wide", c, (1, out)) for c, table, out in plan]

    def missed(between: Sequence[int]) -> float:
        each = zip(pixels, plan, exact, between, strict=True)
        return abs(sum(n * cost("wide", c, (1, out)) * (b - e) for n, (c, _, out), e, b in each))

    best = min(product(*((int(value), int(value) + 1) for value in exact)), key=missed)
    pairs = [(b, out) for b, (_, _, out) in zip(best, plan, strict=True)]
    return tuple((pairs[i], pairs[i + 1]) for i in (0, 2))


def block(arm: str, channels: int, table: Any) -> tuple[nn.Module, int]:
    """Return a block and the channels that it puts out."""
    if arm == "inception":
        module = Inception(channels, table, kernel=5)
        return module, module.out_channels
    if arm == "single":
        return ConvNorm(channels, table, 3, padding=1), table
    inner, out = table if arm == "wide" else (reduced(channels), table)
    return nn.Sequential(ConvNorm(channels, inner, 1), ConvNorm(inner, out, 3, padding=1)), out


def network(settings: Settings, arm: str, data: ImageSet) -> nn.Module:
    """Build the network of an arm; the random state decides its weights, those of the entry equal for all."""
    layers = OrderedDict[str, nn.Module]()
    channels = settings.entry
    layers["entry"] = ConvNorm(data.shape[0], channels, 3, padding=1)
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
    model, found = fitting.fit_and_measure(settings, partial(network, settings, arm), seed, context)
    found["multiplications"] = float(count(model, fitting.images_of(settings, seed).shape).multiplications)
    found["features"] = float(model.get_submodule("fc").in_features)  # type: ignore[arg-type]
    return found


EXPERIMENT = fitting.experiment(
    __name__, "An Inception module and convolutions of equal multiplications", claims=("C15",),
    network=network, arms=arms, run=run,
    scales={
        "live": Settings(data="digits", size=8, train_size=200, epochs=1, rates=(0.05,)),
        "quick": Settings(),
        "full": Settings(
            size=0, train_size=10_000, validation_size=0, epochs=15, batch_size=512, rates=(0.1, 0.3, 1.0),
            entry=64, narrow=2,
        ),
    },
    variants={"quick": (Settings("pneumoniamnist", size=14, epochs=6),)},
)  # fmt: skip
