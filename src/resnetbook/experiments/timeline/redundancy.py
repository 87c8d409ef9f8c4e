"""C33: ResNet has little redundancy but explores new features badly; DenseNet is the reverse.

Design: networks of equal parameters (within 5 %), what their layers read and write on test images. Two pairs of arms.
"resnet" and "densenet" are the published networks, ResNet-20 and DenseNet-28 without bottlenecks, which come to equal
parameters. "sum" and "concat" are one network, DPN, with dense increment 0 and with residual width 0: nine blocks of one form,
whose output is added to what they read or appended to it. Equal within a pair: parameters, images, order of batches, steps,
warm-up, schedule; the features are those of the rate with the lowest validation loss, batch normalisation with statistics of
the training images.

A feature matrix has a row for each position of each image and a column for each channel, standardised (`_features`). Means over
the layers:
rank_read, rank_written: effective rank of the correlation matrix (exp of the entropy of its spectrum; Roy and Vetterli 2007)
over width: 1 means that every channel says something of its own, whatever its size.
correlation_read, correlation_written: mean absolute correlation of two channels.
cka: linear centred kernel alignment (Kornblith et al. 2019) of what a layer writes with what it reads: near 1 means that
the layer says again what was there. new: share of the variance of what is written that no linear function of what is read
gives. cka and new are taken where the map keeps its size.
The control are random weights: `_start` are the same measures of the network before its training, `_learned` the trained one
minus that. What differs at the start is the form of the network; the sentence is on features, and those are learned. So both
decide: the trained features as they are, and what training changed in rank and novelty.
A second set, `--set data=pneumoniamnist`: 400 chest X-rays at 14 px.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from resnetbook.experiments.timeline import _features
from resnetbook.experiments.timeline._paths import two_paths
from resnetbook.lab import fitting, measuring, training
from resnetbook.lab.data import ImageSet
from resnetbook.lab.running import Context
from resnetbook.principle.block import BasicBlock
from resnetbook.timeline.densenet import CifarDenseNet, DenseLayer
from resnetbook.timeline.dual_path import DualPathBlock
from resnetbook.timeline.resnet import CifarResNet

MEASURES = ("rank_read", "rank_written", "correlation_read", "correlation_written", "cka", "new")


@dataclass(frozen=True)
class Settings(fitting.Fitting):
    """Sizes of the four networks; `images` test images are measured at `positions` places of the map each."""

    train_size: int = 500
    epochs: int = 10
    resnet_depth: int = 20
    resnet_widths: tuple[int, ...] = (8, 16, 32)
    densenet_depth: int = 28
    growth_rate: int = 4
    blocks: int = 3  # in each stage of "sum" and "concat"
    inner_width: int = 10  # not below what a block writes: else it would bound the rank of that
    residual_width: int = 8
    dense_increment: int = 8
    images: int = 300


def arms(settings: Settings) -> Sequence[str]:
    """Return the published pair and the pair that differs in the join alone."""
    return ("resnet", "densenet", "sum", "concat")


def network(settings: Settings, arm: str, data: ImageSet) -> nn.Module:
    """Build an arm's network."""
    of: dict[str, Any] = {"num_classes": len(data.classes), "in_channels": data.shape[0]}
    if arm == "resnet":
        return CifarResNet(settings.resnet_depth, widths=settings.resnet_widths, **of)
    if arm == "densenet":
        return CifarDenseNet(
            settings.densenet_depth, settings.growth_rate, bottleneck=False, compression=1.0, **of
        )
    added, appended = (settings.residual_width, 0) if arm == "sum" else (0, settings.dense_increment)
    return two_paths(settings, added, appended, 1, **of)


def layers_of(model: nn.Module) -> list[tuple[str, nn.Module, nn.Module]]:
    """Return for each layer its name, the module that reads the state first and the one whose output is written to it."""
    ends: dict[type[nn.Module], Callable[[Any], tuple[nn.Module, nn.Module]]] = {
        BasicBlock: lambda block: (block.conv1, block.bn2),
        DualPathBlock: lambda block: (block.reduce.norm, block.expand),
        DenseLayer: lambda layer: (layer.norm1, layer.conv2 if layer.bottleneck else layer.conv1),
    }
    return [
        (name, *ends[kind](module))
        for name, module in model.named_modules()
        for kind in ends
        if isinstance(module, kind)
    ]


@torch.no_grad()
def features_of(model: nn.Module, images: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Return for each layer what it reads and what it writes: (images, channels, height, width) each."""
    found: dict[str, dict[str, Tensor]] = {}
    hooks = []
    for name, reader, writer in layers_of(model):
        slot = found.setdefault(name, {})

        def keep_read(module: nn.Module, args: Any, slot: dict[str, Tensor] = slot) -> None:
            slot["read"] = args[0].clone()

        def keep_written(module: nn.Module, args: Any, out: Any, slot: dict[str, Tensor] = slot) -> None:
            slot["written"] = out.clone()

        hooks += [reader.register_forward_pre_hook(keep_read), writer.register_forward_hook(keep_written)]
    was_training = model.training
    try:
        model.eval()(images.to(next(model.parameters()).device))
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    return {name: (slot["read"].cpu(), slot["written"].cpu()) for name, slot in found.items()}


def measures(features: Mapping[str, tuple[Tensor, Tensor]]) -> dict[str, list[float]]:
    """Return each metric layer by layer; cka and new where the map keeps its size."""
    found: dict[str, list[float]] = {name: [] for name in MEASURES}
    for read, written in features.values():
        x, y = _features.columns_of(read), _features.columns_of(written)
        found["rank_read"].append(_features.effective_rank(x) / x.shape[1])
        found["rank_written"].append(_features.effective_rank(y) / y.shape[1])
        found["correlation_read"].append(_features.mean_correlation(x))
        found["correlation_written"].append(_features.mean_correlation(y))
        if len(x) == len(y):
            found["cka"].append(_features.linear_cka(x, y))
            found["new"].append(_features.new_share(x, y))
    return found


def means(found: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Return each measure's mean over the layers."""
    return {name: sum(values) / len(values) for name, values in found.items()}


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Measure a network's features before and after training: means over layers, and two of them layer by layer."""
    build, data = partial(network, settings, arm), fitting.images_of(settings, seed)
    images = data.test.images[: settings.images]
    model, results = fitting.fit_and_measure(settings, build, seed, context)
    training.seed_everything(seed)  # the weights that `fit_and_measure` started from
    fresh = build(data)
    with measuring.reestimated(model, data.train.images):
        trained = measures(features_of(model, images))
    with measuring.reestimated(fresh, data.train.images):
        end, start = means(trained), means(measures(features_of(fresh, images)))
    return {
        **results,
        **end,
        **{f"{name}_start": value for name, value in start.items()},
        **{f"{name}_learned": end[name] - value for name, value in start.items()},
        "rank_by_layer": trained["rank_read"],
        "cka_by_layer": trained["cka"],
    }


EXPERIMENT = fitting.experiment(
    __name__, "Redundancy and new features: sums and concatenations", claims=("C33",),
    network=network, run=run, arms=arms,
    scales={
        "live": Settings(epochs=2, rates=(0.05,), images=100),
        "quick": Settings(),
        "full": Settings(
            "cifar10_jpeg", train_size=0, epochs=15, batch_size=512, rates=(0.1, 0.3, 1.0),
            resnet_widths=(16, 32, 64), growth_rate=9, inner_width=20, residual_width=16, dense_increment=16,
            images=200,
        ),
    },
    variants={"quick": (Settings("pneumoniamnist", size=14, train_size=400, epochs=6),)},
)  # fmt: skip
