"""Taking blocks out of a network, and looking at what is left (Veit et al. 2016, arXiv:1605.06431, section 4.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from resnetbook.principle.block import ShortcutA
from resnetbook.principle.signal import buffers_kept, named_blocks


@contextmanager
def replaced(block: Any, name: str, function: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Shadow a method or submodule by a function of the instance, and take it away again."""
    before = block.__dict__.get(name)
    block.__dict__[name] = function
    try:
        yield
    finally:
        if before is None:
            del block.__dict__[name]
        else:
            block.__dict__[name] = before


def check_names(names: Iterable[str], known: Sequence[str]) -> None:
    """Refuse names that are not `known`."""
    for name in names:
        if name not in known:
            raise ValueError(
                f"names has {name!r}: expected blocks of the network, {known[0]!r} to {known[-1]!r}"
            )


@contextmanager
def lesion(net: nn.Module, names: str | Iterable[str]) -> Iterator[nn.Module]:
    """Delete the branches of the named blocks: inside the context each passes on its identity path alone.

    A plain block loses its convolutions too: it passes on the subsampled and padded input (type A), as a plain network's
    layer does when it is taken out. On exit the blocks are what they were.

    Raises:
        ValueError: a name that is not among the network's blocks.
    """
    blocks = dict(named_blocks(net))
    chosen = [names] if isinstance(names, str) else list(dict.fromkeys(names))
    check_names(chosen, list(blocks))
    with ExitStack() as stack:
        for name in chosen:
            stack.enter_context(replaced(blocks[name], "branch", _without_branch(blocks[name])))
        yield net


def lesion_study(net: nn.Module, evaluate: Callable[[nn.Module], float]) -> dict[str, float]:
    """Return evaluate(net) with each block deleted in turn, by the block's name (Veit et al. 2016, section 4.1)."""
    results = {}
    for name, _ in named_blocks(net):
        with lesion(net, name):
            results[name] = evaluate(net)
    return results


def _without_branch(block: Any) -> Callable[[Tensor], Tensor]:
    keep, branch = block.identity, block.branch

    def zero(x: Tensor, *shared: Tensor) -> Tensor:
        # A projection of ResNet V2 gets its activation from the unit, which computes it for both paths.
        return torch.zeros_like(keep(x, *shared))

    def pass_on(x: Tensor) -> Tensor:
        with torch.no_grad(), buffers_kept(block):
            like = branch(x)  # for its shape alone: a plain block has no shortcut that would tell
        if like.shape == x.shape:
            return x
        stride = -(-x.shape[-1] // like.shape[-1])
        return ShortcutA(x.shape[1], like.shape[1], stride=stride)(x)

    return zero if getattr(block, "residual", True) else pass_on
