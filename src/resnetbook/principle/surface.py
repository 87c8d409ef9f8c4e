"""The loss around a network, along filter-normalised directions (Li et al. 2018, arXiv:1712.09913, section 4).

    f(a, b) = L(theta + a delta + b eta),      delta_ij <- delta_ij |theta_ij| / |delta_ij|

where i counts layers and j filters. A ReLU network with normalisation computes the same function when a filter is made
ten times larger, so that a plain random direction would be a step of another relative size in each network. Scaling
each filter of the direction to the norm of the network's filter makes two surfaces comparable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from resnetbook.principle.signal import buffers_kept

__all__ = ["Direction", "filter_normalised_direction", "loss_surface", "offsets"]

Direction = dict[str, Tensor]
"""A tensor for each parameter, by the parameter's name, of the parameter's shape."""


def filter_normalised_direction(model: nn.Module, generator: torch.Generator | None = None) -> Direction:
    """Draw a random direction whose filters have the norms of the model's filters.

    A filter is one slice along the first axis: an output channel of a convolution, a row of a linear layer. Parameters
    with fewer than two axes (biases, batch normalisation) get zeros, as in the paper.

    Raises:
        ValueError: the model has no parameter with two or more axes.
    """
    direction: Direction = {}
    for name, parameter in model.named_parameters():
        weight = parameter.detach()
        if weight.dim() < 2:
            direction[name] = torch.zeros_like(weight)
            continue
        # The generator lives on the CPU: the same direction on every device.
        drawn = torch.randn(weight.shape, generator=generator, dtype=weight.dtype).to(weight.device)
        sizes = [-1] + [1] * (weight.dim() - 1)
        norms = weight.flatten(1).norm(dim=1).view(sizes)
        direction[name] = drawn * norms / drawn.flatten(1).norm(dim=1).view(sizes)
    if not any(value.dim() >= 2 for value in direction.values()):
        raise ValueError(
            f"model is a {type(model).__name__} without weights of two or more axes: no filter to scale by"
        )
    return direction


def loss_surface(
    model: nn.Module,
    loss_fn: Callable[[nn.Module], Tensor | float],
    directions: Direction | Sequence[Direction],
    span: float = 1.0,
    steps: int = 21,
) -> NDArray[np.float64]:
    """Return the loss at theta + a delta (+ b eta) for a, b on a grid from -span to span.

    Args:
        model: the network; its parameters and buffers are put back bit for bit, also after an error.
        loss_fn: takes the model, returns the loss. It chooses the batch and the mode: with batch normalisation in
            evaluation mode the running statistics stay those of the centre, as in the paper.
        directions: one or two directions, as `filter_normalised_direction` returns them.
        span: largest step, in units of the direction: 1 changes each filter by its own norm.
        steps: points along each direction; odd, so that the middle one is the network itself.

    Returns:
        Shape (steps,) for one direction, (steps, steps) for two: first axis along the first direction.

    Raises:
        ValueError: span not above 0, steps even or below 3, not one or two directions, or names that do not fit.
    """
    chosen = [directions] if isinstance(directions, dict) else list(directions)
    if len(chosen) not in (1, 2):
        raise ValueError(f"directions holds {len(chosen)} directions: expected 1 or 2")
    if not span > 0:
        raise ValueError(f"span={span}: expected a number above 0")
    if steps < 3 or steps % 2 == 0:
        raise ValueError(f"steps={steps}: expected an odd number, 3 or more")
    names = {name for name, _ in model.named_parameters()}
    for direction in chosen:
        if set(direction) != names:
            raise ValueError(
                f"directions do not fit the model: they differ in {sorted(names ^ set(direction))[:3]}"
            )
    line = offsets(span, steps)
    surface = np.empty((steps,) * len(chosen))
    with _parameters_kept(model) as start, buffers_kept(model), torch.no_grad():
        for index in np.ndindex(surface.shape):
            for name, parameter in model.named_parameters():
                parameter.copy_(start[name])
                for axis, direction in zip(index, chosen, strict=True):
                    if (
                        axis != steps // 2
                    ):  # adding 0 * direction would be exact too, unless the direction has an inf
                        parameter.add_(direction[name], alpha=float(line[axis]))
            surface[index] = float(loss_fn(model))
    return surface


def offsets(span: float = 1.0, steps: int = 21) -> NDArray[np.float64]:
    """Return the grid's coordinates, shape (steps,): equally spaced, the middle one exactly 0."""
    return span * (np.arange(steps) - steps // 2) / (steps // 2)


@contextmanager
def _parameters_kept(model: nn.Module) -> Iterator[dict[str, Tensor]]:
    kept = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    try:
        yield kept
    finally:
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(kept[name])
