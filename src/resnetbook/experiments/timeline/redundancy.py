"""C33: ResNet has little redundancy but explores new features badly; DenseNet is the reverse.

Design: trained networks of equal parameters (within 5 %), what their layers read and write on test images. Two pairs of
arms. "resnet" and "densenet" are the published networks, ResNet-20 and DenseNet-28
without bottlenecks, which come to equal parameters. "sum" and "concat" are one network, DPN, with dense increment 0 and with residual width 0:
nine blocks of one form, whose output is added to what they read or appended to it. Equal within a pair: parameters,
images, order of batches, epochs, schedule; each arm takes its best of three learning rates.

A feature matrix has a row for each position of each image and a column for each channel; every channel is standardised,
as the batch normalisation of the next layer does. Means over the layers:
rank_read, rank_written: effective rank (exp of the entropy of the spectrum; Roy and Vetterli 2007) over width: 1 means that
every channel says something of its own. correlation_read, correlation_written: mean absolute correlation of two channels.
cka: linear centred kernel alignment (Kornblith et al. 2019) of what a layer writes with what it reads: near 1 means that
the layer says again what was there. new: share of the variance of what is written that no linear function of what is read
gives. cka and new are taken where the map keeps its size.
Refuted if DenseNet reads channels of higher rank or lower correlation than ResNet, or if its layers write features that are
more like what they read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from resnetbook.lab import fitting
from resnetbook.lab.data import ImageSet
from resnetbook.lab.fitting import Fitting
from resnetbook.lab.running import Context, Experiment


@dataclass(frozen=True)
class Settings(Fitting):
    """Sizes of the four networks; `images` test images are measured at `positions` places of the map each."""

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
    from resnetbook.timeline.densenet import CifarDenseNet
    from resnetbook.timeline.dual_path import DPN
    from resnetbook.timeline.resnet import CifarResNet

    of: dict[str, Any] = {"num_classes": len(data.classes), "in_channels": data.train.images.shape[1]}
    if arm == "resnet":
        return CifarResNet(settings.resnet_depth, widths=settings.resnet_widths, **of)
    if arm == "densenet":
        return CifarDenseNet(
            settings.densenet_depth, settings.growth_rate, bottleneck=False, compression=1.0, **of
        )
    added, appended = (settings.residual_width, 0) if arm == "sum" else (0, settings.dense_increment)
    return DPN(
        stages=(settings.blocks,) * 3,
        dense_increments=(appended,) * 3,
        residual_width=added,
        inner_width=settings.inner_width,
        groups=1,
        stem_width=settings.resnet_widths[0],
        small_input=True,
        **of,
    )


def standardised(features: Tensor) -> Tensor:
    """Return the columns with mean 0 and norm 1; those that do not vary become 0. In double precision."""
    centred = features.double() - features.double().mean(0)
    norms = centred.norm(dim=0)
    return torch.where(norms > 1e-9 * norms.max().clamp_min(1e-30), centred / norms.clamp_min(1e-300), 0.0)


def effective_rank(features: Tensor) -> float:
    """Return exp(entropy) of the spectrum of the correlations of the columns: 1 to the number of columns; 0 if none vary."""
    columns = standardised(features)
    spectrum = torch.linalg.eigvalsh(columns.T @ columns).clamp_min(0)
    if spectrum.sum() <= 0:
        return 0.0
    shares = spectrum / spectrum.sum()
    return float(torch.special.entr(shares).sum().exp())


def mean_correlation(features: Tensor) -> float:
    """Return the mean absolute correlation of two different columns, of those that vary."""
    columns = standardised(features)
    columns = columns[:, columns.abs().sum(0) > 0]
    count = columns.shape[1]
    if count < 2:
        return 0.0
    return float(((columns.T @ columns).abs().sum() - count) / (count * (count - 1)))


def linear_cka(a: Tensor, b: Tensor) -> float:
    """Return the linear centred kernel alignment of two sets of standardised columns: 0 unrelated, 1 the same up to a turn."""
    x, y = standardised(a), standardised(b)
    own = (x.T @ x).norm() * (y.T @ y).norm()
    return float((x.T @ y).square().sum() / own) if own > 0 else 0.0


def new_share(read: Tensor, written: Tensor) -> float:
    """Return the share of the variance of the standardised `written` that no linear function of `read` gives."""
    x, y = standardised(read), standardised(written)
    # Components of a correlation below 1e-6 are rounding: what is read is single precision.
    values, vectors = torch.linalg.eigh(x.T @ x)
    keep = values > 1e-6
    basis = (x @ vectors[:, keep]) / values[keep].sqrt()
    total = y.square().sum()
    return float(1 - (basis.T @ y).square().sum() / total) if total > 0 else 0.0


def layers_of(model: nn.Module) -> list[tuple[str, nn.Module, nn.Module]]:
    """Return for each layer its name, the module that reads the state first and the one whose output is written to it."""
    from resnetbook.principle.block import BasicBlock
    from resnetbook.timeline.densenet import DenseLayer
    from resnetbook.timeline.dual_path import DualPathBlock

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


def columns_of(maps: Tensor) -> Tensor:
    """Return (images x positions, channels)."""
    return maps.permute(0, 2, 3, 1).flatten(0, 2)


def measures(features: Mapping[str, tuple[Tensor, Tensor]]) -> dict[str, list[float]]:
    """Return each metric layer by layer; cka and new where the map keeps its size."""
    found: dict[str, list[float]] = {
        name: []
        for name in ("rank_read", "rank_written", "correlation_read", "correlation_written", "cka", "new")
    }
    for read, written in features.values():
        x, y = columns_of(read), columns_of(written)
        found["rank_read"].append(effective_rank(x) / x.shape[1])
        found["rank_written"].append(effective_rank(y) / y.shape[1])
        found["correlation_read"].append(mean_correlation(x))
        found["correlation_written"].append(mean_correlation(y))
        if len(x) == len(y):
            found["cka"].append(linear_cka(x, y))
            found["new"].append(new_share(x, y))
    return found


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Train one network and measure its features; the means over layers, and rank_read of each layer."""
    data = fitting.images_of(settings)
    model, results = fitting.fit_and_measure(
        settings, lambda: network(settings, arm, data), data, seed, context
    )
    found = measures(features_of(model, data.test.images[: settings.images]))
    means = {name: sum(values) / len(values) for name, values in found.items()}
    return {**results, **means, "rank_by_layer": found["rank_read"], "cka_by_layer": found["cka"]}


def tune(settings: Settings, arm: str, context: Context) -> dict[str, Any]:
    """Choose the arm's learning rate."""
    data = fitting.images_of(settings)
    return fitting.best_rate(settings, lambda: network(settings, arm, data), data, context)


EXPERIMENT = Experiment(
    name="redundancy",
    title="Redundancy and new features: sums and concatenations",
    claims=("C33",),
    scales={
        "live": Settings(epochs=2, rates=(0.05,), images=100),
        "quick": Settings(),
        "full": Settings(
            data="cifar10_jpeg", epochs=60, batch_size=128, rates=(0.03, 0.1, 0.3), resnet_widths=(16, 32, 64),
            growth_rate=9, inner_width=20, residual_width=16, dense_increment=16, images=1000,
        ),
    },
    arms=arms,
    run=run,
    tune=tune,
    data=fitting.describe,
)  # fmt: skip
