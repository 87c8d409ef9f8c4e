"""Mixed pooling: max or average, by chance; and its learned kin.

    training    y = lambda max + (1 - lambda) mean,   lambda = 1 with probability p, else 0
    evaluation  y = p max + (1 - p) mean              the expectation

Two papers of the same authors differ in what one draw decides: in 2016 each pooling zone has its own, with one probability
for all; in 2019, the one that the survey cites [34], a whole layer has one, and each layer a probability of its own
(erratum E9). `granularity` has both. The test rule of 2019 was not found; the expectation is our reading.

Learned (Lee et al. 2016, arXiv:1509.08985, section 3): the mix is a weight s instead of a draw. "mixed" has one s for the
layer; "gated" computes it for each zone from the zone itself, s = sigmoid(w . window). Survey: section 4.2(6), claim C49.
"""

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from resnetbook.structure.pooling._windows import WindowPool2d

__all__ = ["GatedPool2d", "MixedPool2d"]

Granularity = Literal["layer", "zone"]
Gate = Literal["mixed", "gated"]


class MaxAndMean(WindowPool2d):
    """What mixed and gated pooling share: both of the numbers that they mix. Arguments as `WindowPool2d`."""

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the largest value and the mean of each window, as `MaxPool2d` and `AveragePool2d` have them."""
        return self.windows(x, fill=-math.inf).max(-1).values, self.windows(x).mean(-1)


class MixedPool2d(MaxAndMean):
    """Max pooling with probability p, else average pooling; their expectation in evaluation. Shape as `WindowPool2d`.

    Args:
        p: probability of the maximum, 0 to 1.
        granularity: what one draw decides: the whole "layer" for a batch, or each "zone", that is each output value.

    Raises:
        ValueError: as `WindowPool2d`, p outside 0 to 1, an unknown granularity.
    """

    def __init__(
        self,
        kernel_size: int,
        stride: int | None = None,
        padding: int = 0,
        *,
        p: float = 0.5,
        granularity: Granularity = "layer",
    ) -> None:
        super().__init__(kernel_size, stride, padding)
        if not 0 <= p <= 1:
            raise ValueError(f"p={p!r}: expected a probability, 0 to 1")
        if granularity not in get_args(Granularity):
            raise ValueError(f"granularity={granularity!r}: expected 'layer' or 'zone'")
        self.p = p
        self.granularity = granularity

    def forward(self, x: Tensor) -> Tensor:
        """Return drawn values in training, the expectation in evaluation, (N, C, rows, columns)."""
        largest, mean = self.both(x)
        if not self.training:
            return self.p * largest + (1 - self.p) * mean
        shape = mean.shape if self.granularity == "zone" else (1,)
        return torch.where(torch.rand(shape, device=x.device) < self.p, largest, mean)

    def extra_repr(self) -> str:
        """Describe the layer in `print`."""
        return f"{super().extra_repr()}, p={self.p}, granularity={self.granularity!r}"


class GatedPool2d(MaxAndMean):
    """A learned mix of maximum and mean; half of each at the start. Shape as `WindowPool2d`.

    It has parameters, so "pooling has none" does not hold for it: one for "mixed", kernel_size^2 for "gated".

    Args:
        gate: "mixed": one weight for the layer; "gated": a weight for each zone, computed from its values.

    Raises:
        ValueError: as `WindowPool2d`, or an unknown gate.
    """

    def __init__(
        self, kernel_size: int, stride: int | None = None, padding: int = 0, *, gate: Gate = "gated"
    ) -> None:
        super().__init__(kernel_size, stride, padding)
        if gate not in get_args(Gate):
            raise ValueError(f"gate={gate!r}: expected 'mixed' or 'gated'")
        self.gate = gate
        self.weight = nn.Parameter(torch.zeros(1 if gate == "mixed" else kernel_size**2))

    def forward(self, x: Tensor) -> Tensor:
        """Return s max + (1 - s) mean, (N, C, rows, columns)."""
        largest, mean = self.both(x)
        share = torch.sigmoid(self.weight if self.gate == "mixed" else self.windows(x) @ self.weight)
        return share * largest + (1 - share) * mean

    def extra_repr(self) -> str:
        """Describe the layer in `print`."""
        return f"{super().extra_repr()}, gate={self.gate!r}"
