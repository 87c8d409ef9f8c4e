"""The exact split of the gradient at a block's input into what came through the shortcut and what came through F.

For y = F(x) + s(x) the chain rule gives two terms (He et al. 2016, arXiv:1603.05027, equation 5, for one block),

    dL/dx = (ds/dx)^T dL/dy + (dF/dx)^T dL/dy = identity part + residual part

On entry to the block x is forked: the shortcut gets one alias of it and the branch another. In the backward pass the two
terms arrive at the fork separately, and their sum goes on to x. Nothing is subtracted or computed twice, and no module
backward hook is needed: those fail on blocks that add in place, as torchvision's do. Used through
`resnetbook.principle.gradient_flow`.
"""

import weakref
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from resnetbook.principle.block import is_block

__all__ = ["BlockSplitter", "Split", "hook_gradient", "to_split"]

# What may stand on an identity path between the block's input and the sum: no weights, no activation.
_IDENTITY_OPERATIONS = frozenset(
    f"{name}Backward0"
    for name in (
        "Add",
        "Sub",
        "Cat",
        "View",
        "Alias",
        "Slice",
        "ConstantPadNd",
        "AvgPool2D",
        "Clone",
        "ToCopy",
    )
)

# Nodes that hide which operations they stand for.
_REMEDIES = {
    "CompiledFunction": "compiled code, which hides its operations: expected eager mode",
    "CheckpointFunction": "reentrant checkpointing, which hides its operations: pass use_reentrant=False",
}


@dataclass(frozen=True)
class Split:
    """Gradients of the loss with respect to a block's input x, each of x's shape.

    `identity` came through the shortcut, `residual` through the branch F; `total` is their sum, which went on to x.
    """

    identity: Tensor
    residual: Tensor
    total: Tensor


def _total(identity: Tensor | None, residual: Tensor | None) -> Tensor | None:
    if identity is None or residual is None:
        return residual if identity is None else identity
    return identity + residual


def hook_gradient(tensor: Tensor, hook: Callable[[Tensor], None]) -> None:
    """Call `hook` with the gradient of `tensor`, as `tensor.register_hook(hook)` does, but make no handle.

    Nobody takes these hooks off: they go with the graph. Most of the time of `register_hook` is spent on its handle, and
    on small images that shows.
    """
    node = tensor.grad_fn
    if node is None or not hasattr(node, "_register_hook_dict"):
        tensor.register_hook(hook)
    else:
        hooks: OrderedDict[Any, Any] = OrderedDict({hook: hook})  # the keys of others are whole numbers
        tensor._backward_hooks = hooks
        node._register_hook_dict(tensor)


class _Call(NamedTuple):
    """One call of a block: its input, how often that had been written to, and its two aliases."""

    x: Tensor
    version: int
    shortcut: Tensor
    branch: Tensor


def to_split(gradients: dict[str, Tensor]) -> Split | None:
    """Return the parts as a `Split`; None if no gradient came, a part that no path feeds as zeros."""
    identity, residual = (gradients.get(part) for part in ("identity", "residual"))
    total = _total(identity, residual)  # again, as in the backward pass: kept from there it would cost memory
    if total is None:
        return None
    return Split(
        torch.zeros_like(total) if identity is None else identity,
        torch.zeros_like(total) if residual is None else residual,
        total,
    )


def _operations_on(alias: Tensor, outputs: Iterable[Tensor]) -> set[str]:
    """Return the names of the autograd nodes that take `alias` as input on its way to `outputs`."""
    fork, seen, names = alias.grad_fn, {alias.grad_fn}, set()
    todo = [out.grad_fn for out in outputs if out.grad_fn is not None]
    while todo:
        node = todo.pop()
        if node in seen:
            continue
        seen.add(node)
        for following, output_number in node.next_functions:
            if following is fork and output_number == alias.output_nr:
                names.add(node.name())
            elif following is not None:
                todo.append(following)
    return names


class BlockSplitter:
    """The hooks on one block.

    Args:
        name: the block's name, for messages.
        block: the block.
        shortcuts: names of its children that are its shortcut; all others belong to the branch.
        new_split: called at each call of the block; what it returns gets the two gradients as they come, each with its
            name, "identity" or "residual". None asks for no split of this call.
    """

    def __init__(
        self,
        name: str,
        block: nn.Module,
        shortcuts: Collection[str],
        new_split: Callable[[], Callable[[str, Tensor], None] | None],
    ) -> None:
        self.name = name
        self._new_split = new_split
        self._call: _Call | None = None
        self._unsplit: weakref.ref[Tensor] | None = None  # what a call that is not split got as x
        self._verified = False
        self.handles = [
            block.register_forward_pre_hook(self._enter),
            block.register_forward_hook(self._leave),
        ]
        # These read x in conv1 alone, so the other modules need no hook.
        known = is_block(block, exactly=True)
        for child_name, child in block.named_children():
            # First in line, so that a block within a block gets what this one hands on.
            if child_name in shortcuts:
                self.handles.append(child.register_forward_pre_hook(self._enter_shortcut, prepend=True))
            elif child_name == "conv1" or not known:
                for part in child.modules():
                    self.handles.append(part.register_forward_pre_hook(self._enter_branch, prepend=True))

    def remove(self) -> None:
        """Take all hooks off."""
        for handle in self.handles:
            handle.remove()
        self._call = None

    def _error(self, what: str) -> RuntimeError:
        self._call = None
        return RuntimeError(f"block {self.name!r}: {what}")

    def _enter(self, module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        x = args[0] if args else None
        if not isinstance(x, Tensor) or not x.is_floating_point():
            raise self._error("expected a tensor of floats as its first positional argument")
        receive = self._new_split()
        if receive is None:
            return self._enter_unsplit(x, args)
        if not x.requires_grad:
            x = x.detach().requires_grad_()
        shortcut, branch = x[...], x[...]  # aliases: their backward pass only hands on
        self._call = _Call(x, x._version, shortcut, branch)
        hook_gradient(shortcut, partial(receive, "identity"))
        hook_gradient(branch, partial(receive, "residual"))
        return (shortcut, *args[1:])

    def _enter_unsplit(self, x: Tensor, args: tuple[Any, ...]) -> tuple[Any, ...]:
        # A recomputation must save the tensors that the first call saved, so x needs its gradient and gets its alias.
        self._call = None
        if torch.is_grad_enabled() and not x.requires_grad:
            x = x.detach().requires_grad_()
        alias = x[...]
        self._unsplit = weakref.ref(alias)  # weak, since checkpointing may stop in the middle of the block
        return (alias, *args[1:])

    def _enter_branch(self, module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        call = self._call
        if call is None:
            return None
        if len(args) == 1:  # nearly always, and this runs for each module of each block
            return (call.branch,) if args[0] is call.shortcut else None
        return tuple(call.branch if arg is call.shortcut else arg for arg in args)

    def _enter_shortcut(self, module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        call = self._call
        if call is None:
            return None
        if not args or args[0] is not call.shortcut:
            raise self._error(
                "its shortcut does not start at the block's input; part of its path is shared with the branch, and no "
                "split at the input exists"
            )
        # One alias more, so that `_verify` tells the shortcut's first operation from one on x itself.
        return (call.shortcut[...], *args[1:])

    def _leave(self, module: nn.Module, args: Any, output: Any) -> Any:
        call, self._call = self._call, None  # the aliases hold the graph: let them go
        if call is None:
            alias = None if self._unsplit is None else self._unsplit()
            self._unsplit = None
            return alias.clone() if alias is not None and output is alias else None
        if call.x._version != call.version:
            raise self._error("it overwrites its input, so that branch and shortcut cannot be told apart")
        if not self._verified:
            outputs = output if isinstance(output, tuple | list) else (output,)
            self._verify(call, [out for out in outputs if isinstance(out, Tensor)])
        # A block that returns x as it came: autograd forbids in-place operations on the fork's outputs, so hand out a copy.
        return output.clone() if output is call.shortcut else None

    def _verify(self, call: _Call, outputs: list[Tensor]) -> None:
        # Done once: a weight or an activation applied to x outside any submodule would count as shortcut.
        foreign = _operations_on(call.shortcut, outputs) - _IDENTITY_OPERATIONS
        for name, remedy in _REMEDIES.items():
            if any(operation.startswith(name) for operation in foreign):
                raise self._error(f"the path from its input runs through {remedy}")
        if foreign:
            raise self._error(
                f"it applies {', '.join(sorted(foreign))} to its input outside any submodule, so that branch and "
                "shortcut cannot be told apart; make that operation a submodule"
            )
        self._verified = True
