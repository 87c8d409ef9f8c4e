"""What the identity costs, counted: parameters, multiplications, additions, activations, memory.

Multiplications are those of convolutions and linear layers (multiply-accumulates, MACs), the usual convention;
normalisation, activations, pooling and biases are left out. The sum of a residual block adds one number per element of
its output and multiplies nothing. Closed forms for He's 6n + 2 layer network with type A (arXiv:1512.03385, section 4.2),
32 x 32 colour images, ten classes: 97,216 n - 21,926 parameters and 14,155,776 n - 1,916,288 MACs.
Survey: section 2, claim C05.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from resnetbook.principle.block import is_block
from resnetbook.principle.twins import blocks_per_stage

__all__ = ["Counts", "closed_form", "count", "memory_of_identity", "saved_for_backward"]


@dataclass(frozen=True)
class Counts:
    """Exact counts of one model; all but `parameters` are for one input.

    `multiplications`: MACs of convolutions and linear layers. `additions_shortcut`: element-wise additions of the
    residual blocks' sums. `activations`: numbers put out by convolutions and linear layers.
    """

    parameters: int
    multiplications: int
    additions_shortcut: int
    activations: int


def _is_residual(module: nn.Module) -> bool:
    return is_block(module) and bool(getattr(module, "residual", True))  # torchvision's always add


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _example(model: nn.Module, input_shape: Sequence[int]) -> Tensor:
    if not input_shape or any(
        isinstance(size, bool) or not isinstance(size, int) or size < 1 for size in input_shape
    ):
        raise ValueError(
            f"input_shape={tuple(input_shape)!r}: expected positive sizes of one input, such as (3, 32, 32)"
        )
    like = next(model.parameters(), torch.zeros(()))
    return torch.zeros(1, *input_shape, dtype=like.dtype, device=like.device)


def count(model: nn.Module, input_shape: Sequence[int]) -> Counts:
    """Count by one forward pass over a single input of zeros, in evaluation mode (restored afterwards).

    Args:
        model: any module; sums are counted in this package's and torchvision's residual blocks.
        input_shape: of one input without the batch, such as (3, 32, 32).

    Raises:
        ValueError: `input_shape` has a size below 1.
    """
    totals = {"macs": 0, "additions": 0, "activations": 0}

    def after_layer(module: nn.Module, args: Any, output: Tensor) -> None:
        # Each output is a sum over one row of the weight: in_channels / groups x kernel, or in_features.
        weight: Any = module.weight
        totals["macs"] += output.numel() * weight[0].numel()
        totals["activations"] += output.numel()

    def after_block(module: nn.Module, args: Any, output: Tensor) -> None:
        totals["additions"] += output.numel()

    x = _example(model, input_shape)
    handles = []
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            handles.append(module.register_forward_hook(after_layer))
        elif _is_residual(module):
            handles.append(module.register_forward_hook(after_block))
    try:
        with _evaluating(model):
            model(x)
    finally:
        for handle in handles:
            handle.remove()
    parameters = sum(p.numel() for p in model.parameters())
    return Counts(parameters, totals["macs"], totals["additions"], totals["activations"])


def closed_form(depth: int) -> tuple[int, int]:
    """Return (parameters, MACs) of He's network of this depth: type A, 32 x 32 colour images, ten classes.

    Raises:
        ValueError: `depth` is not 6n + 2 with n of 1 or more.
    """
    n = blocks_per_stage(depth)
    return 97_216 * n - 21_926, 14_155_776 * n - 1_916_288


def memory_of_identity(model: nn.Module, input_shape: Sequence[int]) -> int:
    """Return the bytes that the largest block input takes, for one input: what inference keeps for the sum.

    Without the sum x could be dropped once the first convolution has read it. Blocks run one after the other, so the
    largest x counts, not all of them. In training nothing is added: the first convolution keeps x for its weight
    gradient anyway (`saved_for_backward` shows it).

    Raises:
        ValueError: `input_shape` has a size below 1.
    """
    largest = 0

    def before_block(module: nn.Module, args: tuple[Any, ...]) -> None:
        nonlocal largest
        largest = max(largest, args[0].numel() * args[0].element_size())

    x = _example(model, input_shape)
    handles = [m.register_forward_pre_hook(before_block) for m in model.modules() if _is_residual(m)]
    try:
        with _evaluating(model):
            model(x)
    finally:
        for handle in handles:
            handle.remove()
    return largest


def saved_for_backward(model: nn.Module, x: Tensor) -> int:
    """Return the bytes that autograd keeps for the backward pass of `model(x)`, each storage once, parameters left out.

    The model runs in its present mode; batch normalisation in training mode updates its running statistics.
    """
    own = {p.untyped_storage().data_ptr() for p in (*model.parameters(), *model.buffers())}
    storages: dict[int, int] = {}
    kept: list[Tensor] = []  # a freed storage's address could come back under another tensor

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = storage.nbytes()
            kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model(x)
    return sum(storages.values())
