"""Stochastic pooling (Zeiler & Fergus 2013, arXiv:1301.3557): one value of the window, drawn by its size.

    training    p_i = a_i / sum(a)    draw i with probability p_i, y = a_i
    evaluation  y = sum(p_i a_i) = sum(a^2) / sum(a)

The survey says "one of the values at random" (section 4.2(1)), which would make all equally likely. They are not: a value
of twice the size is drawn twice as often, and a zero never (erratum E5).
"""

import torch
from torch import Tensor

from resnetbook.structure.pooling._windows import WindowPool2d

__all__ = ["StochasticPool2d", "draw"]


def draw(weights: Tensor) -> Tensor:
    """Return an index along the last axis, drawn with a probability proportional to its weight.

    Shape: (..., K) -> (..., 1). Weights are not negative; where all are 0 the last index is returned.
    """
    below = weights.cumsum(-1)
    total = below[..., -1:]
    # The draw stays below the total, so that rounding never picks a weight of 0.
    mark = torch.minimum(torch.rand_like(total) * total, torch.nextafter(total, torch.zeros_like(total)))
    return (below <= mark).sum(-1, keepdim=True).clamp_max(weights.shape[-1] - 1)


class StochasticPool2d(WindowPool2d):
    """One value of each window, drawn in training; its expectation in evaluation. Arguments as `WindowPool2d`.

    It is made for what comes out of a ReLU: negative values count as 0, are never drawn, and a window without a positive
    value gives 0. Draws come from torch's global generator, one for each window.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the drawn values in training, the expected ones in evaluation, (N, C, rows, columns)."""
        values = self.windows(x).relu()
        if self.training:
            return values.gather(-1, draw(values.detach())).squeeze(-1)
        smallest = torch.finfo(values.dtype).tiny  # a window of zeros gives 0, not 0 / 0
        return values.square().sum(-1) / values.sum(-1).clamp_min(smallest)
