"""C28: DenseNet needs fewer parameters than ResNet. C29: DenseNet is more efficient.

Design: three families of networks, each a ladder of widths: DenseNet-BC-22, ResNet-20 (basic blocks, type A) and, since
DenseNet-BC has bottlenecks and pre-activation too, pre-activation ResNet-29 with bottlenecks. Nine blocks each, of two
convolutions (three in the last). Equal: images, order of batches, epochs, schedule; each family takes its best of three
learning rates, chosen for the middle of its ladder on validation loss with an extra seed.
For each of two targets, the lower and the higher accuracy on the test images, the first network of the ladder that reaches
it gives, for "higher", parameters_higher, multiplications_higher (for one image), memory_higher (peak of the tensors alive in
a training step, for one image of the batch) and time_higher (a training step's processor time with one thread over that of
ResNet-20 with `reference` channels, in turn in the same job). Where no network reaches the target, the largest counts twice,
and reached_higher is 0. frugal_memory_higher and frugal_time_higher: the same DenseNet with `memory_efficient`, for the other
families the network itself. accuracies, sizes: of the whole ladder.
Refuted: C28 if DenseNet needs as many parameters or more; C29, read for each measure apart, if it needs as much or more.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from resnetbook.lab import fitting, measuring, training
from resnetbook.lab.data import ImageSet
from resnetbook.lab.fitting import Fitting
from resnetbook.lab.measuring import seconds_per_step
from resnetbook.lab.running import Context, Experiment


@dataclass(frozen=True)
class Settings(Fitting):
    """Depths, the ladders (growth rates of DenseNet, channels of the others' first stage), lower and higher target."""

    densenet_depth: int = 22
    resnet_depth: int = 20
    preact_depth: int = 29
    growth_rates: tuple[int, ...] = (2, 3, 4, 6, 8)
    resnet_widths: tuple[int, ...] = (2, 3, 4, 5, 6)
    preact_widths: tuple[int, ...] = (2, 3, 4, 5, 6)
    reference: int = 8
    targets: tuple[float, float] = (0.95, 0.97)


def peak_memory(work: Callable[[], object]) -> int:
    """Return the largest number of bytes that tensors made inside `work` hold at one time; exact, on any device."""
    sizes: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
    now = peak = 0

    def freed(size: int) -> None:
        nonlocal now
        now -= size

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            nonlocal now, peak
            old = {t.untyped_storage() for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)}
            result = func(*args, **(kwargs or {}))
            for tensor in tree_leaves(result):
                if isinstance(tensor, torch.Tensor):
                    storage = tensor.untyped_storage()
                    if storage not in old and storage not in sizes:
                        sizes[storage] = size = storage.nbytes()
                        now += size
                        weakref.finalize(storage, freed, size)
            peak = max(peak, now)
            return result

    with Watch():
        work()
    return peak


def ladder(settings: Settings, arm: str) -> Sequence[int]:
    """Return the sizes of a family, smallest first."""
    return {
        "densenet": settings.growth_rates,
        "resnet": settings.resnet_widths,
        "preact": settings.preact_widths,
    }[arm]


def network(settings: Settings, arm: str, size: int, data: ImageSet, frugal: bool = False) -> nn.Module:
    """Build the network of a family at one size."""
    from resnetbook.timeline.densenet import CifarDenseNet
    from resnetbook.timeline.resnet import CifarResNet
    from resnetbook.timeline.resnet_v2 import PreActResNet

    of: dict[str, Any] = {"num_classes": len(data.classes), "in_channels": data.train.images.shape[1]}
    if arm == "densenet":
        return CifarDenseNet(settings.densenet_depth, size, memory_efficient=frugal, **of)
    widths = (size, 2 * size, 4 * size)
    if arm == "resnet":
        return CifarResNet(settings.resnet_depth, widths=widths, **of)
    return PreActResNet(settings.preact_depth, bottleneck=True, widths=widths, **of)


def arms(settings: Settings) -> Sequence[str]:
    """Return the three families."""
    return ("densenet", "resnet", "preact")


def training_memory(model: nn.Module, data: ImageSet, batch_size: int, device: torch.device) -> float:
    """Return the peak of the tensors that a training step makes, gradients included, for one image of the batch."""
    images, labels = data.train.images[:batch_size].to(device), data.train.labels[:batch_size].to(device)
    model.to(device).train().zero_grad(set_to_none=True)
    return peak_memory(lambda: cross_entropy(model(images), labels).backward()) / len(images)


def costs(settings: Settings, arm: str, size: int, data: ImageSet, device: torch.device) -> dict[str, float]:
    """Return what a network of this size costs; weights play no part."""
    from resnetbook.principle.counting import count

    model, frugal = (network(settings, arm, size, data, frugal) for frugal in (False, True))
    counts = count(model, tuple(data.train.images.shape[1:]))
    reference = network(settings, "resnet", settings.reference, data)
    seconds = seconds_per_step((reference, model, frugal), data, settings.batch_size, device)
    return {
        "parameters": float(counts.parameters),
        "multiplications": float(counts.multiplications),
        "memory": training_memory(model, data, settings.batch_size, device),
        "time": seconds[1] / seconds[0],
        "frugal_memory": training_memory(frugal, data, settings.batch_size, device),
        "frugal_time": seconds[2] / seconds[0],
    }


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Train the ladder of a family; measure the first network that reaches each target."""
    data, device = fitting.images_of(settings), training.device(context.device)
    sizes, accuracies, parameters, gaps = ladder(settings, arm), [], [], []
    for size in sizes:
        training.seed_everything(seed)
        model = network(settings, arm, size, data)
        fitting.train(
            model,
            data,
            epochs=settings.epochs,
            learning_rate=float(context.tuned["learning_rate"]),
            batch_size=settings.batch_size,
            warmup_epochs=settings.warmup_epochs,
            seed=seed,
            device=context.device,
            checkpoint=context.checkpoint_for(str(size)),
        )
        accuracies.append(training.evaluate(model, data.test, device=context.device)["accuracy"])
        parameters.append(float(sum(p.numel() for p in model.parameters())))
        gaps.append(measuring.mode_gap(model, data.train))
    results: dict[str, Any] = {
        "accuracies": accuracies,
        "sizes": parameters,
        "best_accuracy": max(accuracies),
        "mode_gap": max(gaps),
    }
    cost = functools.cache(lambda size: costs(settings, arm, size, data, device))
    for name, target in zip(("lower", "higher"), settings.targets, strict=True):
        first = next((i for i, value in enumerate(accuracies) if value >= target), None)
        factor = 1.0 if first is not None else 2.0
        found = cost(sizes[-1 if first is None else first])
        results |= {f"{measure}_{name}": factor * value for measure, value in found.items()}
        results[f"reached_{name}"] = float(first is not None)
    return results


def tune(settings: Settings, arm: str, context: Context) -> dict[str, Any]:
    """Choose the family's learning rate with the network in the middle of its ladder."""
    data, sizes = fitting.images_of(settings), ladder(settings, arm)
    middle = sizes[len(sizes) // 2]
    return fitting.best_rate(settings, lambda: network(settings, arm, middle, data), data, context)


EXPERIMENT = Experiment(
    name="dense_efficiency",
    title="DenseNet and ResNets at equal accuracy: parameters, multiplications, memory, time",
    claims=("C28", "C29"),
    scales={
        "live": Settings(
            train_size=200, epochs=2, rates=(0.15,), growth_rates=(3,), resnet_widths=(3,), preact_widths=(3,)
        ),
        "quick": Settings(),
        "full": Settings(
            data="cifar10_jpeg", epochs=60, batch_size=128, rates=(0.03, 0.1, 0.3), densenet_depth=40, resnet_depth=38,
            preact_depth=56, growth_rates=(6, 8, 12, 16, 24), resnet_widths=(5, 6, 9, 12, 18),
            preact_widths=(4, 6, 9, 12, 18), reference=16, targets=(0.85, 0.9),
        ),
    },
    arms=arms,
    run=run,
    tune=tune,
    data=fitting.describe,
)  # fmt: skip
