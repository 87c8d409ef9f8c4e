"""Batch normalisation folded into the convolution before it: what a trained network needs where it is only used.

In evaluation mode batch normalisation is a fixed factor and a fixed offset for each channel, and the convolution before
it is linear, so both are one convolution with a bias (Jacob et al. 2018, arXiv:1712.05877, section 3.2):

    gamma (W * x - mean) / sqrt(variance + eps) + beta  =  W' * x + b',
    W' = gamma W / sqrt(variance + eps),    b' = beta - gamma mean / sqrt(variance + eps).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import pairwise
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from resnetbook.principle.block import is_block
from resnetbook.principle.twins import TwinNet

__all__ = ["folded"]

Network = TypeVar("Network", bound=nn.Module)


def folded(network: Network) -> Network:
    """Return a copy in evaluation mode, without batch normalisation, that computes what `network` does in that mode.

    Folded are the convolutions of `TwinNet`, of this package's and torchvision's blocks, and of any Sequential in which batch
    normalisation follows a convolution. `network` stays as it is.

    Raises:
        ValueError: a batch normalisation that follows no such convolution, or that keeps no running statistics.
    """
    made = copy.deepcopy(network).eval()
    for module in made.modules():
        for before, after in list(_pairs(module)):
            convolution, norm = module.get_submodule(before), module.get_submodule(after)
            if norm.running_mean is None:
                raise ValueError(
                    f"network: {after!r} keeps no running statistics, so there is nothing to fold"
                )
            setattr(module, before, fuse_conv_bn_eval(convolution, norm))  # type: ignore[type-var, arg-type]
            setattr(module, after, nn.Identity())
    left = [
        name for name, module in made.named_modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)
    ]
    if left:
        raise ValueError(
            f"network: {', '.join(left)} cannot be folded: expected each after a convolution of its own"
        )
    return made


def _pairs(module: nn.Module) -> Iterator[tuple[str, str]]:
    """Yield the names of a convolution and of the normalisation that is always computed right after it."""
    # In other modules the order of the children need not be that of the computation.
    if not (isinstance(module, nn.Sequential | TwinNet) or is_block(module)):
        return
    children = list(module.named_children())
    for (before, first), (after, second) in pairwise(children):
        if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
            yield before, after
