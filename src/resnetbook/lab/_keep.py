"""What a model gets back when it was lent: its modes, its device, its buffers; and copies to try things on."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer

from resnetbook.lab import _checkpoint


def device_of(model: nn.Module) -> torch.device:
    """Return the device of the first parameter, the CPU where there is none."""
    return next((p.device for p in model.parameters()), torch.device("cpu"))


@contextmanager
def modes(model: nn.Module) -> Iterator[None]:
    """Give each module its mode back after the block, whatever ends it."""
    before = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, mode in before:
            module.training = mode


@contextmanager
def modes_and_device(model: nn.Module) -> Iterator[None]:
    """Give the model its modes and its device back after the block, whatever ends it."""
    home = device_of(model)
    with modes(model):
        try:
            yield
        finally:
            model.to(home)


@contextmanager
def buffers_on_failure(model: nn.Module) -> Iterator[None]:
    """Give the model its buffers (running statistics) back where the block ends in an error."""
    known = [buffer for buffer in model.buffers() if not isinstance(buffer, UninitializedBuffer)]
    before = [(buffer, buffer.detach().clone()) for buffer in known]
    try:
        yield
    except BaseException:
        with torch.no_grad():
            for buffer, value in before:
                buffer.copy_(value)
        raise


@contextmanager
def trial(model: nn.Module, *, training: bool, seed: int = 0) -> Iterator[nn.Module]:
    """Lend a copy of `model`, in that mode and without hooks, and give the random generators back after the block."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    # A lazy module takes its shape in a hook of its own.
    plain = [module for module in model.modules() if not hasattr(module, "_infer_parameters")]
    memo: dict[int, Any] = {id(getattr(module, name)): OrderedDict() for module in plain for name in hooks}
    # What a hook has computed (the older weight normalisation) cannot be copied as a node of the graph.
    computed = [value for module in plain for value in vars(module).values() if isinstance(value, Tensor)]
    memo |= {id(value): value.detach().clone() for value in computed}
    shapeless = [buffer for buffer in model.buffers() if isinstance(buffer, UninitializedBuffer)]
    empty: Any = UninitializedBuffer
    memo |= {id(buffer): empty(False, buffer.device, buffer.dtype) for buffer in shapeless}
    lent = copy.deepcopy(model, memo)
    lent = getattr(
        lent, "_orig_mod", lent
    )  # a compiled model as it is written: nothing is compiled for a trial
    with _checkpoint.own_randomness(seed):
        yield lent.train(training)
