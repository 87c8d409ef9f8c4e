"""C28: DenseNet needs fewer parameters than ResNet. C29: DenseNet is more efficient.

Design: three families of networks, each a ladder of widths: DenseNet-BC-22, ResNet-20 (basic blocks, type A) and, since
DenseNet-BC has bottlenecks and pre-activation too, pre-activation ResNet-29 with bottlenecks. Nine blocks each, of two
convolutions (three in the last). Equal: images, order of batches, epochs, schedule; each family has its own learning rate, of
the lowest validation loss of the network in the middle of its ladder.
A ladder is climbed until a network reaches the higher of two targets, accuracies on validation images; test images choose
nothing. For each target, "lower" and "higher", the first network that reaches it gives, for "higher", parameters_higher,
multiplications_higher (for one image), memory_higher (peak of the tensors alive in a training step, for one image of the
batch), time_higher (a training step's processor time with one thread over that of ResNet-20 with `reference` channels, in turn
in the same job) and accuracy_higher, its accuracy on test images, which shows how equal the chosen networks are. Where none
reaches the target the dearest of the three ladders' ends stands there, one restriction for all families (the ladders end at
different costs, and a family must not look cheap where it fails), and parameters_higher_reached (and so on) is 0.
frugal_memory_higher and frugal_time_higher: the same DenseNet with `memory_efficient`, for the other families the network
itself. accuracies (on validation images), sizes: of the networks that were trained.
C28 reads the parameters, C29 multiplications, memory and time, each against ResNet and against the pre-activation ResNet.
Sets: digits, and chest X-rays (PneumoniaMNIST at 12 px).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from torch import nn

from resnetbook.lab import fitting, measuring, training
from resnetbook.lab.data import ImageSet
from resnetbook.lab.fitting import Fitting
from resnetbook.lab.measuring import seconds_per_step
from resnetbook.lab.memory import peak_memory as peak_memory  # a chapter measures with it, too
from resnetbook.lab.memory import training_memory
from resnetbook.lab.running import Context
from resnetbook.principle.counting import count
from resnetbook.timeline.densenet import CifarDenseNet
from resnetbook.timeline.resnet import CifarResNet
from resnetbook.timeline.resnet_v2 import PreActResNet


@dataclass(frozen=True)
class Settings(Fitting):
    """Depths, the ladders (growth rates of DenseNet, channels of the others' first stage), lower and higher target."""

    epochs: int = 8
    densenet_depth: int = 22
    resnet_depth: int = 20
    preact_depth: int = 29
    growth_rates: tuple[int, ...] = (2, 3, 4, 6, 8, 12)
    resnet_widths: tuple[int, ...] = (2, 3, 4, 6, 8, 12)
    preact_widths: tuple[int, ...] = (2, 3, 4, 6, 8, 12)
    reference: int = 8
    targets: tuple[float, float] = (0.9, 0.95)


def ladder(settings: Settings, arm: str) -> Sequence[int]:
    """Return the sizes of a family, smallest first."""
    return {
        "densenet": settings.growth_rates,
        "resnet": settings.resnet_widths,
        "preact": settings.preact_widths,
    }[arm]


def of_size(settings: Settings, arm: str, size: int, data: ImageSet, frugal: bool = False) -> nn.Module:
    """Build the network of a family at one size."""
    of: dict[str, Any] = {"num_classes": len(data.classes), "in_channels": data.shape[0]}
    if arm == "densenet":
        return CifarDenseNet(settings.densenet_depth, size, memory_efficient=frugal, **of)
    widths = (size, 2 * size, 4 * size)
    if arm == "resnet":
        return CifarResNet(settings.resnet_depth, widths=widths, **of)
    return PreActResNet(settings.preact_depth, bottleneck=True, widths=widths, **of)


def network(settings: Settings, arm: str, data: ImageSet) -> nn.Module:
    """Build the network in the middle of a family's ladder, for which the learning rate is chosen."""
    sizes = ladder(settings, arm)
    return of_size(settings, arm, sizes[len(sizes) // 2], data)


def arms(settings: Settings) -> Sequence[str]:
    """Return the three families."""
    return ("densenet", "resnet", "preact")


def costs(settings: Settings, arm: str, size: int, data: ImageSet, device: torch.device) -> dict[str, float]:
    """Return what a network of this size costs; weights play no part."""
    model, frugal = (of_size(settings, arm, size, data, frugal) for frugal in (False, True))
    counts = count(model, tuple(data.shape))
    reference = of_size(settings, "resnet", settings.reference, data)
    seconds = seconds_per_step((reference, model, frugal), data, settings.batch_size, device)
    return {
        "parameters": float(counts.parameters),
        "multiplications": float(counts.multiplications),
        "memory": training_memory(model, data, settings.batch_size, device),
        "time": seconds[1] / seconds[0],
        "frugal_memory": training_memory(frugal, data, settings.batch_size, device),
        "frugal_time": seconds[2] / seconds[0],
    }


def restriction(settings: Settings, data: ImageSet, device: torch.device) -> dict[str, float]:
    """Return what counts for a family that misses a target: the largest of each cost at the ladders' ends."""
    ends = [costs(settings, arm, ladder(settings, arm)[-1], data, device) for arm in arms(settings)]
    return {measure: max(end[measure] for end in ends) for measure in ends[0]}


def climb(settings: Settings, arm: str, data: ImageSet, seed: int, context: Context) -> list[dict[str, Any]]:
    """Train a family's networks, smallest first, until one reaches the higher target; return what each came to."""
    rungs: list[dict[str, Any]] = []
    for size in ladder(settings, arm):
        training.seed_everything(seed)
        model = of_size(settings, arm, size, data)
        fitting.train(
            model,
            data,
            settings,
            rate=fitting.rate_for("validation_loss", context),
            seed=seed,
            device=context.device,
            checkpoint=context.checkpoint_for(str(size)),
        )
        rungs.append(
            {
                "size": size,
                "accuracy": measuring.accuracy(model, data.validation.images, data.validation.labels),
                "right": measuring.right(model, data.test.images, data.test.labels),
                "parameters": float(sum(p.numel() for p in model.parameters())),
                "mode_gap": measuring.mode_gap(model, data.train),
            }
        )
        if rungs[-1]["accuracy"] >= max(settings.targets):
            break
    return rungs


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Train the ladder of a family; measure the first network that reaches each target."""
    data, device = fitting.images_of(settings, seed), training.device(context.device)
    rungs = climb(settings, arm, data, seed, context)
    results: dict[str, Any] = {
        "accuracies": [rung["accuracy"] for rung in rungs],
        "sizes": [rung["parameters"] for rung in rungs],
        "mode_gap": max(rung["mode_gap"] for rung in rungs),
        "outcomes": {},
    }
    cost = cache(partial(costs, settings, arm, data=data, device=device))
    most = cache(partial(restriction, settings, data, device))
    for name, target in zip(("lower", "higher"), settings.targets, strict=True):
        chosen = next((rung for rung in rungs if rung["accuracy"] >= target), rungs[-1])
        reached = chosen["accuracy"] >= target
        for measure, value in (cost(chosen["size"]) if reached else most()).items():
            results[f"{measure}_{name}"] = value
            results[f"{measure}_{name}_reached"] = float(reached)
        results[f"accuracy_{name}"] = float(chosen["right"].float().mean())
        results["outcomes"][f"accuracy_{name}"] = chosen["right"]
    return results


EXPERIMENT = fitting.experiment(
    __name__, "DenseNet and ResNets at equal accuracy: parameters, multiplications, memory, time",
    claims=("C28", "C29"),
    network=network, run=run, arms=arms,
    scales={
        "live": Settings(
            train_size=200, epochs=2, rates=(0.15,), growth_rates=(3,), resnet_widths=(3,),
            preact_widths=(3,),
        ),
        "quick": Settings(),
        "full": Settings(
            "cifar10_jpeg", train_size=10_000, epochs=10, batch_size=256, rates=(0.05, 0.15, 0.5),
            densenet_depth=40, resnet_depth=38, preact_depth=56, growth_rates=(6, 12, 24),
            resnet_widths=(6, 12, 24), preact_widths=(6, 12, 24), reference=16, targets=(0.5, 0.6),
        ),
    },
    variants={"quick": (Settings("pneumoniamnist", size=12, train_size=500, epochs=6, targets=(0.85, 0.9)),)},
)  # fmt: skip
