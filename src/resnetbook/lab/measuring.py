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


@contextmanager
def reestimated(model: nn.Module, images: Tensor, *, batch_size: int = 256) -> Iterator[None]:
    """Inside, the model is in eval mode and batch norm uses statistics estimated again over `images`; afterwards its own.

    For a network from which something was taken out: its running estimates are those of the whole. One pass, each batch as
    large as the others up to one image, equal weight for each; what else differs between the modes stays as in eval mode.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    kept = [(norm.momentum, {name: value.clone() for name, value in norm.named_buffers()}) for norm in norms]
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # type: ignore[assignment]  # the mean over all batches
            norm.train()
        batches = max(1, -(-len(images) // batch_size))
        with torch.no_grad():
            for batch in images.chunk(batches):
                model(batch.to(next(model.parameters()).device))
        model.eval()
        yield
    finally:
        for norm, (momentum, buffers) in zip(norms, kept, strict=True):
            norm.momentum = momentum
            for name, value in buffers.items():
                norm.get_buffer(name).copy_(value)
        for module, mode in modes:
            module.training = mode


@torch.no_grad()
def logits(model: nn.Module, images: Tensor, *, batch_size: int = 256) -> Tensor:
    """Return the outputs of `model` in the mode it is in, on the CPU, batch by batch."""
    device = next(model.parameters()).device
    return torch.cat([model(batch.to(device)).cpu() for batch in images.split(batch_size)])


def right(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Return for each image whether it is classified rightly in eval mode, shape (N,), bool."""
    was_training = model.training
    model.eval()
    found = logits(model, images).argmax(1) == labels
    model.train(was_training)
    return found


def losses(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Return each image's cross entropy in eval mode, shape (N,)."""
    was_training = model.training
    model.eval()
    found = functional.cross_entropy(logits(model, images), labels, reduction="none")
    model.train(was_training)
    return found


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the share of right answers in eval mode."""
    return right(model, images, labels).float().mean().item()


def mode_gap(model: nn.Module, part: Part) -> float:
    """Return |accuracy in eval mode - accuracy with batch statistics| on `part`: large means a BN artefact."""
    with batch_statistics(model):
        with_batch = (logits(model, part.images).argmax(1) == part.labels).float().mean().item()
    return abs(accuracy(model, part.images, part.labels) - with_batch)


def right_under(model: nn.Module, part: Part, changes: Sequence[Callable[[Tensor], Tensor]]) -> Tensor:
    """Return for each image the share of changes (left and right, say) under which it is classified rightly, (N,)."""
    return torch.stack([right(model, change(part.images), part.labels).float() for change in changes]).mean(0)


def shifts(by: int) -> list[Callable[[Tensor], Tensor]]:
    """Return the four moves of an image by `by` pixels: right, left, down, up."""
    return [
        partial(transforms.shift, dy=down * by, dx=right * by)
        for right, down in ((1, 0), (-1, 0), (0, 1), (0, -1))
    ]


def kept(under: Tensor, clean: Tensor) -> tuple[float, Tensor]:
    """Return the accuracy kept under a change, and each image's contribution to it.

    Args:
        under: (N,) share of right answers of each image under the change.
        clean: (N,) right answers on the image as it is.

    Returns:
        mean(under) / mean(clean), and (N,) contributions that have it as their mean: the ratio's first-order expansion,
        from which its interval over images is taken.
    """
    changed, base = under.double(), clean.double()
    whole = base.mean()
    if whole == 0:
        return math.nan, torch.full_like(base, math.nan)
    ratio = changed.mean() / whole
    return float(ratio), ratio + (changed - ratio * base) / whole


def area(model: nn.Module, part: Part) -> tuple[float, Tensor]:
    """Return the area under the ROC curve of a network of two classes, and each image's contribution to it.

    The contributions, (N,), have the area as their mean: its first-order expansion (DeLong et al. 1988), in which an
    image's own term is the share of the other class that it is ranked rightly against, ties counting half.
    """
    was_training = model.training
    outputs = logits(model.eval(), part.images).double()
    model.train(was_training)
    # A network that diverged gives no scores: it ranks as chance does.
    scores = (outputs[:, 1] - outputs[:, 0]).nan_to_num(0.0, 0.0, 0.0)
    positive = part.labels == 1
    ahead = torch.sign(scores[positive][:, None] - scores[~positive][None, :]) / 2 + 0.5
    whole = ahead.mean()
    terms = torch.empty_like(scores)
    for which, placed in ((positive, ahead.mean(1)), (~positive, ahead.mean(0))):
        terms[which] = whole + (placed - whole) * len(scores) / which.sum()
    return float(whole), terms


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
