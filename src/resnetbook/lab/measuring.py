"""What experiments measure of a network: accuracy under changes, gaps between modes, time of a step, memory."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from resnetbook.lab.data import ImageSet, Part, transforms


@contextmanager
def batch_statistics(model: nn.Module) -> Iterator[None]:
    """Inside, batch norm uses the statistics of the batch and leaves its running estimates alone."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    counters = [
        None if norm.num_batches_tracked is None else norm.num_batches_tracked.clone() for norm in norms
    ]
    was_training = model.training
    try:
        model.train()
        for norm in norms:
            norm.momentum = 0.0
        yield
    finally:
        for norm, momentum, counter in zip(norms, momenta, counters, strict=True):
            norm.momentum = momentum
            if counter is not None and norm.num_batches_tracked is not None:
                norm.num_batches_tracked.copy_(counter)
        model.train(was_training)


@torch.no_grad()
def logits(model: nn.Module, images: Tensor, *, batch_size: int = 256) -> Tensor:
    """Return the outputs of `model` in the mode it is in, on the CPU, batch by batch."""
    device = next(model.parameters()).device
    return torch.cat([model(batch.to(device)).cpu() for batch in images.split(batch_size)])


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the share of right answers in eval mode."""
    was_training = model.training
    model.eval()
    right = (logits(model, images).argmax(1) == labels).float().mean().item()
    model.train(was_training)
    return right


def mode_gap(model: nn.Module, part: Part) -> float:
    """Return |accuracy in eval mode - accuracy with batch statistics| on `part`: large means a BN artefact."""
    with batch_statistics(model):
        with_batch = (logits(model, part.images).argmax(1) == part.labels).float().mean().item()
    return abs(accuracy(model, part.images, part.labels) - with_batch)


def mean_accuracy(model: nn.Module, part: Part, changes: Sequence[Callable[[Tensor], Tensor]]) -> float:
    """Return the mean accuracy over changes of the same size (left and right, say)."""
    return sum(accuracy(model, change(part.images), part.labels) for change in changes) / len(changes)


def shift_curve(model: nn.Module, part: Part, pixels: Sequence[int]) -> list[float]:
    """Return the accuracy for each shift, the mean over left, right, up and down."""
    return [
        mean_accuracy(
            model,
            part,
            [
                partial(transforms.shift, dy=down * by, dx=right * by)
                for right, down in ((1, 0), (-1, 0), (0, 1), (0, -1))
            ],
        )
        for by in pixels
    ]


def kept(curve: Sequence[float], clean: float) -> float:
    """Return the mean of accuracy under the change over clean accuracy: 1 means nothing is lost."""
    return sum(curve) / len(curve) / clean if clean > 0 else math.nan


def seconds_per_step(
    models: Sequence[nn.Module], data: ImageSet, batch_size: int, device: torch.device, steps: int = 3
) -> list[float]:
    """Return the median time of a training step for each model: seven repeats in turn, two of them to warm up."""
    images, labels = data.train.images[:batch_size].to(device), data.train.labels[:batch_size].to(device)
    optimisers = [torch.optim.SGD(model.to(device).train().parameters(), lr=1e-4) for model in models]
    times: list[list[float]] = [[] for _ in models]
    on_gpu = device.type == "cuda"
    clock = time.perf_counter if on_gpu else time.process_time
    for _ in range(7):
        for model, optimiser, taken in zip(models, optimisers, times, strict=True):
            start = clock()
            for _ in range(steps):
                optimiser.zero_grad()
                functional.cross_entropy(model(images), labels).backward()
                optimiser.step()
            if on_gpu:
                torch.cuda.synchronize()
            taken.append((clock() - start) / steps)
    return [statistics.median(taken[2:]) for taken in times]
