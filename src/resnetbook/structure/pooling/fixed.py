"""Average, max and overlapping max pooling: the window's mean, or its largest value.

    average   y = mean of the window
    max       y = largest value of the window
    overlapping   the same with windows wider than their stride (Krizhevsky et al. 2012: 3 pixels, stride 2)

The average keeps a little of everything, the maximum all of the strongest answer and nothing of where in the window it
stood. Survey: section 4.2 (average, max) and 4.2(2).
"""

import math

from torch import Tensor

from resnetbook.structure.pooling._windows import WindowPool2d

__all__ = ["AveragePool2d", "MaxPool2d", "OverlappingPool2d"]


class AveragePool2d(WindowPool2d):
    """The mean of each window; padding counts as zeros, as in `torch.nn.AvgPool2d`. Arguments as `WindowPool2d`."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the means, (N, C, rows, columns)."""
        return self.windows(x).mean(-1)


class MaxPool2d(WindowPool2d):
    """The largest value of each window; padding never is the largest. Arguments as `WindowPool2d`."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the largest values, (N, C, rows, columns)."""
        # The gradient goes to one place of each window, also where values are equal.
        return self.windows(x, fill=-math.inf).max(-1).values


class OverlappingPool2d(MaxPool2d):
    """Max pooling whose windows overlap: `kernel_size` above `stride`. Arguments and shape as `WindowPool2d`.

    Raises:
        ValueError: as `WindowPool2d`, or windows that do not overlap.
    """

    def __init__(self, kernel_size: int = 3, stride: int = 2, padding: int = 0) -> None:
        super().__init__(kernel_size, stride, padding)
        if self.kernel_size <= self.stride:
            raise ValueError(f"kernel_size={kernel_size}: expected more than stride={stride}, to overlap")
