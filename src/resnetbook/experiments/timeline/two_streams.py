"""C23: RiR keeps the easy optimisation of the shortcut and gains expressiveness.

Design: RiR and three networks that differ from it in shortcuts alone. On the residual stream in each layer and over each pair
of layers ("rir"); in the layers alone ("inner"); as "rir", and in the layers of the transient stream too ("both"); nowhere
("plain"). Beside them He et al.'s blocks of two convolutions at twice the stream's width, with RiR's head ("resnet"). Equal: layers, parameters (shortcuts
pad with zeros), images, order of batches, epochs, warm-up; all but "resnet" start from the same weights. Each arm takes its best
of three learning rates, chosen on validation loss with an extra seed.
"Easy optimisation" reads the training loss at the end, in eval mode on the whole training set: RiR below the plain network and
not above ResNet. "Expressiveness" reads the test accuracy: RiR above ResNet; or, with one thing changed, a transient stream
above a second residual one ("rir" against "both"). Refuted where RiR is worse. (In a first form "both" had no outer
shortcut and stood against "inner": neither trained, and nothing could be said.)
The head normalises the logits, so that losses stay higher than with a linear layer; it is the same in all arms.
norm_rr, norm_tt, norm_rt, norm_tr: root mean square of the trained weights of each group over what it was at the start.
without_r, without_t: test accuracy with one stream cut off from the other and from the classes. All are 0 for "resnet".

The record on PneumoniaMNIST (`--set data=pneumoniamnist`: 600 chest X-rays at 14 px, depth 20) decides nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from resnetbook.lab import fitting, training
from resnetbook.lab.data import ImageSet
from resnetbook.lab.running import Context, Experiment

GROUPS = ("rr", "tt", "rt", "tr")


@dataclass(frozen=True)
class Settings(fitting.Fitting):
    """The training, the depth (6n + 2), and the channels of one stream in the three stages."""

    epochs: int = 7
    depth: int = 32
    widths: tuple[int, ...] = (4, 8, 16)


def arms(settings: Settings) -> Sequence[str]:
    """Return the five networks."""
    return ("rir", "inner", "both", "plain", "resnet")


def network(settings: Settings, arm: str, data: ImageSet) -> nn.Module:
    """Build an arm; the random state decides its weights, equal for all but "resnet"."""
    from resnetbook.principle.block import conv1x1
    from resnetbook.timeline.resnet import CifarResNet
    from resnetbook.timeline.resnet_in_resnet import RiR, Streams

    classes, in_channels = len(data.classes), data.train.images.shape[1]
    if arm == "resnet":
        widths = tuple(2 * width for width in settings.widths)
        model = CifarResNet(settings.depth, classes, in_channels, widths=widths)
        head = nn.Sequential(conv1x1(widths[-1], classes), nn.BatchNorm2d(classes), nn.AdaptiveAvgPool2d(1))
        model.avgpool, model.fc = head, nn.Identity()  # type: ignore[assignment]
        return model
    shortcuts: dict[str, Streams] = {"both": "both", "plain": "none"}
    return RiR(
        settings.depth,
        num_classes=classes,
        in_channels=in_channels,
        outer=arm in ("rir", "both"),
        shortcut="A",
        widths=settings.widths,
        shortcuts=shortcuts.get(arm, "residual"),
    )


def group_sizes(model: nn.Module) -> dict[str, float]:
    """Return the root mean square of each group of weights; nothing for a network without streams."""
    found = {}
    for group in GROUPS:
        weights = [p.detach().flatten() for name, p in model.named_parameters() if f"conv_{group}." in name]
        if weights:
            found[group] = float(torch.cat(weights).square().mean().sqrt())
    return found


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Train one network, measure it, and look at its streams."""
    from resnetbook.timeline.resnet_in_resnet import RiR, turn_off

    data = fitting.images_of(settings)

    def build() -> nn.Module:
        return network(settings, arm, data)

    training.seed_everything(seed)
    before = group_sizes(build())
    model, measured = fitting.fit_and_measure(settings, build, data, seed, context)
    after = group_sizes(model)
    cut = {"without_r": 0.0, "without_t": 0.0}
    if isinstance(model, RiR):
        for stream in ("residual", "transient"):
            blind = copy.deepcopy(model)
            turn_off(blind, stream)  # type: ignore[arg-type]
            found = training.evaluate(blind, data.test, device=context.device)
            cut[f"without_{stream[0]}"] = found["accuracy"]
    norms = {f"norm_{group}": after[group] / before[group] if before else 0.0 for group in GROUPS}
    return {**measured, **norms, **cut}


def tune(settings: Settings, arm: str, context: Context) -> dict[str, Any]:
    """Choose the arm's learning rate."""
    data = fitting.images_of(settings)
    return fitting.best_rate(settings, lambda: network(settings, arm, data), data, context)


EXPERIMENT = Experiment(
    name="two_streams",
    title="RiR, ResNet and a plain network",
    claims=("C23",),
    scales={
        "live": Settings(epochs=1, depth=8, rates=(0.05,)),
        "quick": Settings(),
        "full": Settings(
            data="cifar10_jpeg", epochs=60, batch_size=128, widths=(8, 16, 32), rates=(0.03, 0.1, 0.3)
        ),
    },
    variants={
        "quick": (
            Settings("pneumoniamnist", size=14, train_size=600, depth=20, epochs=6, target_accuracy=0.85),
        )
    },
    arms=arms,
    run=run,
    tune=tune,
    data=fitting.describe,
)
