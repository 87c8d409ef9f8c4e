"""What a block is worth in a trained network: the size of its response, and whether its loss costs little, surely."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

ONE_SIDED = 1.645


@torch.no_grad()
def responses(model: Any, images: Tensor) -> list[float]:
    """Return |F(x)| / |x| for each block in eval mode, over a batch of images. A plain block has F too."""
    found, handles = [], []
    for _, block in model.blocks:
        handles.append(
            block.register_forward_pre_hook(
                lambda module, args: found.append(float(module.branch(args[0]).norm() / args[0].norm()))
            )
        )
    mode = model.training
    model.eval()(images)
    model.train(mode)
    for handle in handles:
        handle.remove()
    return found


def costs_little(clean: Tensor, left: Tensor, negligible: float) -> bool:
    """Return whether a deletion costs less than `negligible`, surely: the upper end of its cost over paired images."""
    cost = clean.double() - left.double()
    return bool(cost.mean() + ONE_SIDED * cost.std() / len(cost) ** 0.5 < negligible)
