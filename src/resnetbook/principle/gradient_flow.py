"""Where the gradient goes: norms layer by layer and step by step, and the split at each residual block.

    with GradientFlow(model) as flow:
        loss_fn(model(x), y).backward()
    flow.rows                      # one Row for each step and layer
    flow.split["layer1.0"]         # identity part, residual part and total, tensors of the last step

The split is explained in `resnetbook.principle.split`. Survey: section 2, claims C06 and C07.
"""

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from resnetbook.principle._eager import backward_pass, compiled_part, in_backward, in_compiled_call
from resnetbook.principle._layers import kind_of
from resnetbook.principle._steps import NOT_COMPUTED, Step
from resnetbook.principle._steps import norm as _norm
from resnetbook.principle.block import is_block, is_unit
from resnetbook.principle.split import BlockSplitter, Split, hook_gradient, to_split

__all__ = ["GradientFlow", "Row", "Split"]


@dataclass(frozen=True)
class Row:
    """Euclidean norms of one layer in one step, over the whole batch.

    `nan` stands for what was not computed: the gradient of a frozen weight, a layer that was not called. A layer from
    which no path leads to the loss has gradient 0. Where the weight is computed from other parameters (a
    parametrisation, pruning), its gradient is that of the weight which the layer applied.
    """

    step: int
    layer: str
    weight_gradient: float
    activation: float
    activation_gradient: float


_EAGER = (
    "expected eager mode, since compiled code runs without the recorder: record first, compile afterwards"
)


class GradientFlow:
    """Record every forward and backward pass inside a `with` block as a step.

    A step is one call of `model` with the backward passes that follow it; a call without a backward pass leaves no
    step. A layer or block that is called several times in a step is recorded at its last call. Weight gradients are
    those of the step alone, also when `.grad` accumulates. Activation checkpointing is seen through: what the backward
    pass computes again is no second call. Eager mode, any device, one process. Norms that
    leave the range of single precision are summed in double (not on MPS, which has none).

    Its cost: a pass over each layer's output and gradients, some calls of hooks, and two gradients kept for each block.
    The calls cost the same for images of any size, so on very small ones they show; `make bench` prints the ratio.

    Args:
        model: a module with at least one trainable parameter.
        blocks: names as in `named_modules` of the blocks to split. None finds this package's and torchvision's blocks
            by type, and modules that say of themselves `residual_unit = True`; an empty list splits none. A named block may be any module that adds a shortcut and a branch of its
            first positional argument x. What its submodules do to x is the branch, but for children named in
            `shortcuts`; what it does to x itself (add, slice, pad, concatenate) is the shortcut.
        shortcuts: names of those children of a block that are its shortcut.

    Attributes:
        layers: names of the recorded layers (leaf modules with a weight matrix or kernel), as in `named_modules`; lazy
            and parametrised ones too.
        blocks: names of the split blocks.

    Raises:
        ValueError: nothing to train in `model`, a compiled part of it, an unknown name in `blocks`, or no block found.
        RuntimeError: a forward pass under `torch.no_grad()`, or in compiled code; an exit, or `rows` or `split` asked
            for, before any backward pass; a block whose paths cannot be told apart (it overwrites x, applies a function of its own to x
            outside any submodule, or starts its shortcut elsewhere than at x).
    """

    def __init__(
        self,
        model: nn.Module,
        blocks: Sequence[str] | None = None,
        *,
        shortcuts: Sequence[str] = ("downsample", "shortcut"),
    ) -> None:
        kind = type(model).__name__
        if not any(p.requires_grad for p in model.parameters()):
            raise ValueError(f"model={kind}: expected at least one parameter that requires a gradient")
        if compiled := compiled_part(model):
            raise ValueError(f"model={kind}: {compiled}; {_EAGER}")
        modules = dict(model.named_modules())
        if blocks is None:
            blocks = [name for name, module in modules.items() if is_block(module) or is_unit(module)]
            if not blocks:
                raise ValueError(
                    f"blocks=None: {kind} has no block of this package or of torchvision; expected names as in "
                    "named_modules, or [] to record norms only"
                )
        for name in blocks:
            if name not in modules:
                raise ValueError(f"blocks={list(blocks)}: {name!r} is not a module of {kind}")
        self.model = model
        self.blocks = list(blocks)
        self.layers = [name for name, module in modules.items() if kind_of(module) is not None]
        self._shortcuts = frozenset(shortcuts)
        self._hooks: list[Any] = []
        self._reset()

    def _reset(self) -> None:
        self._finished: list[array[float]] = []
        self._step: Step | None = None
        self._last: Step | None = None  # the last step that a gradient has reached

    def __enter__(self) -> Self:
        if self._hooks:
            raise RuntimeError("this GradientFlow is active already: make one for each `with` block")
        self._reset()
        self._refuse_compiled()
        try:
            self._attach()
        except BaseException:
            self._detach()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._detach()
        if kind is not None:
            return
        self._refuse_compiled()
        if self._last is None:
            seen = "" if self._step is not None else "; a compiled function that calls the model is not seen"
            raise RuntimeError(
                f"no gradient was recorded: call the model and then backward() inside the `with` block{seen}"
            )

    def _refuse_compiled(self) -> None:
        if compiled := compiled_part(self.model):
            raise RuntimeError(f"{type(self.model).__name__}: {compiled}; {_EAGER}")

    def _attach(self) -> None:
        modules = dict(self.model.named_modules())
        self._hooks.append(self.model.register_forward_pre_hook(self._begin))
        for index, name in zip(range(0, 3 * len(self.layers), 3), self.layers, strict=True):
            self._attach_layer(index, modules[name])
        for name in self.blocks:
            self._hooks.append(
                BlockSplitter(name, modules[name], self._shortcuts, partial(self._new_split, name))
            )

    def _attach_layer(self, index: int, layer: Any) -> None:
        after, kind = self._after_layer, kind_of(layer)
        if kind == "parameter":
            self._attach_weight(index, layer)
        else:
            after = self._after_computing_layer
            if kind == "parametrised":
                computing = layer.parametrizations.weight
                self._hooks.append(computing.register_forward_hook(partial(self._after_weight, index)))
        self._hooks.append(layer.register_forward_hook(partial(after, index)))

    def _attach_weight(self, index: int, layer: Any) -> None:
        if isinstance(
            layer.weight, UninitializedParameter
        ):  # takes no hook before its first call has given it a shape

            def once(module: nn.Module, args: Any) -> None:
                handle.remove()
                self._attach_weight(index, module)

            handle = layer.register_forward_pre_hook(once)
            self._hooks.append(handle)
        elif layer.weight.requires_grad:
            self._hooks.append(layer.weight.register_hook(partial(self._on_weight_gradient, index)))

    def _detach(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    # Called by the hooks.

    def _begin(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        if not torch.is_grad_enabled():
            raise RuntimeError(
                "GradientFlow needs gradients: this forward pass runs without them (torch.no_grad)"
            )
        # The whole stack once; then the nearest callers, since this runs at each step.
        if in_compiled_call() if self._step is None else in_compiled_call(depth=8):
            raise RuntimeError(f"{type(module).__name__}: it is called in compiled code; {_EAGER}")
        if in_backward():  # the whole model under checkpointing, computed again
            return
        if self._step is not None and self._step.reached:
            self._finished.append(self._step.fetched())
            self._step.computed.clear()
        self._step = Step(len(self.layers))

    def _after_layer(self, index: int, module: nn.Module, args: Any, output: Any) -> None:
        step = self._step
        if step is None or not isinstance(output, Tensor):
            return
        norms = step.norms
        if norms[index + 2] is not NOT_COMPUTED and in_backward():
            return  # checkpointing: computed again, the gradient comes to the first output
        norms[index + 1] = _norm(output)
        if output.requires_grad:
            # Both 0 until a gradient comes.
            weight = module._parameters.get("weight")
            norms[index] = 0.0 if weight is None or weight.requires_grad else NOT_COMPUTED
            norms[index + 2] = 0.0
            hook_gradient(output, partial(self._on_gradient, step, index + 2))

    def _after_weight(self, index: int, module: nn.Module, args: Any, weight: Tensor) -> Tensor | None:
        step = self._step
        if step is None or not weight.requires_grad:
            return None
        own = weight if weight.grad_fn is not None else weight[...]  # else the hook would stay on a parameter
        hook_gradient(own, partial(self._on_computed_weight, step, index))
        return own

    def _after_computing_layer(self, index: int, module: nn.Module, args: Any, output: Any) -> None:
        self._after_layer(index, module, args, output)
        step = self._step
        if step is None or not isinstance(output, Tensor) or not output.requires_grad:
            return
        weight = vars(module).get("weight")  # where a pre-hook computes it
        if weight is not None:
            self._after_weight(index, module, args, weight)
            trains = weight.requires_grad
        else:
            trains = any(p.requires_grad for p in module.parametrizations.weight.parameters())  # type: ignore[union-attr]
        if not trains:
            step.norms[index] = NOT_COMPUTED

    def _on_computed_weight(self, step: Step, index: int, gradient: Tensor) -> None:
        # One tensor for each call of the layer: their gradients add up, as autograd adds them up for a parameter.
        this_pass = backward_pass()
        last_pass, before = step.computed.get(index, (this_pass, None))
        gradient = gradient.detach()
        total = gradient if before is None or last_pass != this_pass else before + gradient
        step.computed[index] = (this_pass, total)
        self._on_gradient(step, index, total)

    def _on_gradient(self, step: Step, index: int, gradient: Tensor) -> None:
        step.reached = True
        self._last = step
        step.norms[index] = _norm(gradient)

    def _on_weight_gradient(self, index: int, gradient: Tensor) -> None:
        if self._step is not None:
            self._on_gradient(self._step, index, gradient)

    def _new_split(self, name: str) -> Callable[[str, Tensor], None] | None:
        step = self._step
        if step is None:  # called apart from its model
            return None
        # Checkpointing calls a block twice: once without gradients and then with them, in the backward pass (reentrant), or
        # with them both times.
        if not torch.is_grad_enabled():
            step.splits.setdefault(name, None)
            return None
        if step.splits.get(name) is not None and in_backward():
            return None
        parts: dict[str, Tensor] = {}
        step.splits[name] = parts
        return partial(self._on_part, step, parts)

    def _on_part(self, step: Step, parts: dict[str, Tensor], part: str, gradient: Tensor) -> None:
        step.reached = True
        self._last = step
        # Kept as it comes: autograd neither adds in place to a gradient that somebody holds nor makes it a leaf's `.grad`.
        parts[part] = gradient.detach() if gradient.requires_grad else gradient

    # What was recorded.

    def _norms(self) -> np.ndarray[Any, Any]:
        if self._last is None:
            raise RuntimeError("no backward pass recorded yet")
        steps = list(self._finished)
        if self._step is not None and self._step.reached:
            steps.append(self._step.fetched())
        return np.array(steps, dtype=np.float64).reshape(len(steps), len(self.layers), 3)

    @property
    def rows(self) -> list[Row]:
        """The norms of each layer in each step; steps are counted from 0."""
        return [
            Row(step, layer, *norms)
            for step, table in enumerate(self._norms().tolist())
            for layer, norms in zip(self.layers, table, strict=True)
        ]

    @property
    def split(self) -> dict[str, Split]:
        """The split at each block on which the loss of the last step depends, by the block's name."""
        if self._last is None:
            raise RuntimeError("no backward pass recorded yet")
        splits = {name: to_split(gradients or {}) for name, gradients in self._last.splits.items()}
        return {name: split for name, split in splits.items() if split is not None}

    def table(self, field: str = "weight_gradient") -> tuple[list[str], np.ndarray[Any, Any]]:
        """Return the layers' names and one norm as an array, steps x layers.

        Raises:
            ValueError: `field` is not "weight_gradient", "activation" or "activation_gradient".
        """
        columns = [column.name for column in fields(Row)][2:]
        if field not in columns:
            raise ValueError(f"field={field!r}: expected one of {', '.join(columns)}")
        return list(self.layers), self._norms()[:, :, columns.index(field)]
