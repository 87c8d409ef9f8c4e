"""C23: RiR keeps the easy optimisation of the shortcut and gains expressiveness. C88: it eases removing what is redundant.

Design: RiR in its two forms and four networks that differ from it in shortcuts alone. On the residual stream in each layer and
over each pair of layers, the outer one added after the pair's last ReLU ("rir"), so that a block cannot forget, or in its last
sum ("rir-before"), so that it can; in the layers alone ("inner"); as "rir", and in the layers of the transient stream too
("both"); nowhere ("plain"). Beside them He et al.'s blocks of two convolutions at twice the stream's width, with RiR's head
("resnet"). Equal: layers, parameters (shortcuts pad with zeros), images, order of batches, epochs, warm-up; all but "resnet"
start from the same weights. Batch normalisation's statistics are estimated anew from the training images after each epoch
(`lab.normalisation`): running averages lag, most in the plain network. Each arm has its own learning rates: the one of the lowest training loss for training loss, of the
lowest validation loss for all else.
C23, "easy optimisation": the training loss at the end, in eval mode, of either form below the plain network's and not above
ResNet's. "Expressiveness" is read from test accuracy, which is narrower: either form above ResNet; or, with one thing changed, a
transient stream above a second residual one ("rir" against "both"). The head normalises the logits, so that losses stay higher
than with a linear layer; it is the same in all arms.
C88 looks at the features that the head takes the mean of, as many channels in every arm, after equally long training.
irrelevant_left: share of the test images' variation within their classes that a linear map (fitted on training images, ridge of
`ridge`) reads from those means; irrelevant_before: the same before training. What is left there says nothing of the class: less
is better removed. redundancy: mean squared correlation of two of the channels, of those that vary: less is less said twice.
norm_rr, norm_tt, norm_rt, norm_tr: root mean square of the trained weights of each group over what it was at the start.
without_r, without_t: test accuracy with one stream cut off from the other and from the classes; names that end in _again: with
the statistics of normalisation that training images give then. All these are 0 for "resnet".
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from resnetbook.lab import fitting, measuring, normalisation, training
from resnetbook.lab.data import ImageSet, Part
from resnetbook.lab.running import Context
from resnetbook.principle.block import conv1x1
from resnetbook.timeline.resnet import CifarResNet
from resnetbook.timeline.resnet_in_resnet import RiR, turn_off

GROUPS = ("rr", "tt", "rt", "tr")
FORMS: dict[str, dict[str, Any]] = {
    "rir": {},
    "rir-before": {"join": "before"},
    "inner": {"outer": False},
    "both": {"shortcuts": "both"},
    "plain": {"outer": False, "shortcuts": "none"},
}


@dataclass(frozen=True)
class Settings(fitting.Fitting):
    """The training, the depth (6n + 2), the channels of one stream in the three stages, and how C88's map is fitted."""

    epochs: int = 5
    depth: int = 32
    widths: tuple[int, ...] = (4, 8, 16)
    ridge: float = 1e-3
    images: int = 256


def arms(settings: Settings) -> Sequence[str]:
    """Return the six networks."""
    return (*FORMS, "resnet")


def network(settings: Settings, arm: str, data: ImageSet) -> nn.Module:
    """Build an arm; the random state decides its weights, equal for all but "resnet"."""
    classes, in_channels = len(data.classes), data.shape[0]
    if arm == "resnet":
        widths = tuple(2 * width for width in settings.widths)
        model = CifarResNet(settings.depth, classes, in_channels, widths=widths)
        head = nn.Sequential(conv1x1(widths[-1], classes), nn.BatchNorm2d(classes), nn.AdaptiveAvgPool2d(1))
        model.avgpool, model.fc = head, nn.Identity()  # type: ignore[assignment]
        return model
    return RiR(
        settings.depth,
        num_classes=classes,
        in_channels=in_channels,
        shortcut="A",
        widths=settings.widths,
        **FORMS[arm],
    )


def group_sizes(model: nn.Module) -> dict[str, float]:
    """Return the root mean square of each group of weights; nothing for a network without streams."""
    found = {}
    for group in GROUPS:
        weights = [p.detach().flatten() for name, p in model.named_parameters() if f"conv_{group}." in name]
        if weights:
            found[group] = float(torch.cat(weights).square().mean().sqrt())
    return found


@torch.no_grad()
def features(model: Any, images: Tensor) -> Tensor:
    """Return the means over the map of what the head reads, in the model's mode, (N, channels) in double precision."""
    seen: list[Tensor] = []
    head = model.classes if isinstance(model, RiR) else model.avgpool[0]
    handle = head.register_forward_pre_hook(lambda module, args: seen.append(args[0].mean((2, 3)).cpu()))
    measuring.logits(model, images)
    handle.remove()
    return torch.cat(seen).double()


def within_classes(rows: Tensor, labels: Tensor, of: Tensor, classes: Tensor) -> Tensor:
    """Return `rows` less the mean that the rows `of` the same class have, each (N, ...); `classes` are the labels of `of`."""
    means = torch.stack([of[classes == label].mean(0) for label in range(int(classes.max()) + 1)])
    return rows - means[labels]


def irrelevant(model: nn.Module, train: Part, test: Part, ridge: float) -> Tensor:
    """Return each test image's contribution to the share of the variation within classes that the features tell, (N,)."""
    read = [features(model, part.images) for part in (train, test)]
    shown = [part.images.flatten(1).double() for part in (train, test)]
    labels = (train.labels, test.labels)
    x, x_test = (within_classes(a, b, read[0], train.labels) for a, b in zip(read, labels, strict=True))
    y, y_test = (within_classes(a, b, shown[0], train.labels) for a, b in zip(shown, labels, strict=True))
    scale = x.std(0).clamp_min(1e-12)
    x, x_test = x / scale, x_test / scale
    gram = x.T @ x + ridge * len(x) * torch.eye(x.shape[1], dtype=x.dtype)
    missed = y_test - x_test @ torch.linalg.solve(gram, x.T @ y)
    return 1 - missed.square().sum(1) / y_test.square().sum(1).mean()


def redundancy(rows: Tensor) -> float:
    """Return the mean squared correlation of two different columns, of those that vary; NaN where fewer than two do."""
    alive = rows[:, rows.std(0) > 1e-6]
    if alive.shape[1] < 2:
        return float("nan")
    squares = torch.corrcoef(alive.T).square()
    return float((squares.sum() - squares.trace()) / (squares.numel() - len(squares)))


def cut_streams(model: nn.Module, data: ImageSet, images: int) -> dict[str, float]:
    """Return the test accuracy without either stream, as it is and with statistics estimated again."""
    found = {f"without_{stream}{way}": 0.0 for stream in "rt" for way in ("", "_again")}
    if not isinstance(model, RiR):
        return found
    for stream in ("residual", "transient"):
        blind = copy.deepcopy(model)
        turn_off(blind, stream)  # type: ignore[arg-type]
        name = f"without_{stream[0]}"
        found[name] = measuring.accuracy(blind, data.test.images, data.test.labels)
        with measuring.reestimated(blind, data.train.images[:images]):
            found[f"{name}_again"] = measuring.accuracy(blind, data.test.images, data.test.labels)
    return found


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Train one network, measure it, and look at its features and streams."""
    data = fitting.images_of(settings, seed)
    training.seed_everything(seed)
    first = network(settings, arm, data)
    before = group_sizes(first)
    with measuring.reestimated(first, data.train.images):
        told = irrelevant(first, data.train, data.test, settings.ridge)
    model, measured = normalisation.fit_and_measure(network, settings, arm, seed, context)
    model.eval()
    left = irrelevant(model, data.train, data.test, settings.ridge)
    after = group_sizes(model)
    measured["outcomes"]["irrelevant_left"] = left
    return {
        **measured,
        "irrelevant_before": float(told.mean()),
        "irrelevant_left": float(left.mean()),
        "redundancy": redundancy(features(model, data.test.images)),
        **{f"norm_{group}": after[group] / before[group] if before else 0.0 for group in GROUPS},
        **cut_streams(model, data, settings.images),
    }


EXPERIMENT = fitting.experiment(
    __name__, "RiR, ResNet and a plain network", claims=("C23", "C88"),
    network=network, run=run, score=partial(normalisation.score, network), arms=arms,
    scales={
        "live": Settings(epochs=1, depth=8, rates=(0.05,)),
        "quick": Settings(),
        "full": Settings(
            "cifar10_jpeg", epochs=15, batch_size=512, widths=(8, 16, 32), rates=(0.1, 0.3, 1.0), images=2000,
        ),
    },
    variants={
        "quick": (
            Settings("pneumoniamnist", size=14, train_size=500, depth=20, epochs=5, target_accuracy=0.85),
        ),
    },
)  # fmt: skip
