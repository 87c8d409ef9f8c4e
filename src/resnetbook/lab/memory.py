"""How much memory tensors take: the peak of those that some work makes, counted, so that it is the same in every repeat."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from resnetbook.lab.data import ImageSet


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


def training_memory(model: nn.Module, data: ImageSet, batch_size: int, device: torch.device) -> float:
    """Return the peak of the tensors that a training step makes, gradients included, for one image of the batch."""
    images, labels = data.train.images[:batch_size].to(device), data.train.labels[:batch_size].to(device)
    model.to(device).train().zero_grad(set_to_none=True)
    return peak_memory(lambda: cross_entropy(model(images), labels).backward()) / len(images)
