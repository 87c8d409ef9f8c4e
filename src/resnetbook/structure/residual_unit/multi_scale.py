"""Multi-scale residual unit (after the survey's [36], Wang & Lu 2018): kernels of several sizes side by side.

    y = x + P [F_1(x), F_3(x), F_5(x)]       F_k = relu . bn . conv k x k,  P: 1x1 over their concatenation

Each branch sees a different neighbourhood; the 1x1 convolution chooses among them, at every pixel the same way. The paper's
text was not found: this is a reconstruction from the survey's sentence, with the shares of MSResnet [52] as the book read
them (a quarter, a half, a quarter of the width). Section 4.3(1), claim C54.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from resnetbook.principle.block import conv1x1
from resnetbook.structure.residual_unit._unit import ResidualUnit
from resnetbook.timeline._checks import check_positive, he_init

__all__ = ["MultiScaleUnit", "one_kernel"]


class MultiScaleUnit(ResidualUnit):
    """Parallel kernels, concatenated, fused and added to x. Shape: (N, channels, H, W), kept.

    Args:
        channels: of x and y.
        kernel_sizes: sides of the kernels, odd.
        widths: channels of each branch; None: equal shares of `channels`, for three kernels a quarter, a half, a quarter.

    Raises:
        ValueError: no kernel, an even one, another number of widths than of kernels, a size below 1; in `forward` maps of another form.
    """

    def __init__(
        self, channels: int, kernel_sizes: Sequence[int] = (1, 3, 5), widths: Sequence[int] | None = None
    ) -> None:
        super().__init__(channels)
        sides = tuple(kernel_sizes)
        if not sides or any(side < 1 or side % 2 == 0 for side in sides):
            raise ValueError(f"kernel_sizes={sides}: expected odd sides, at least one")
        if widths is None:
            shares = [2 if len(sides) == 3 and index == 1 else 1 for index in range(len(sides))]
            widths = [max(1, channels * share // sum(shares)) for share in shares]
        if len(widths) != len(sides):
            raise ValueError(f"widths={tuple(widths)}: expected {len(sides)}, one for each kernel")
        for width in widths:
            check_positive(widths=width)
        self.norm = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        self.scales = nn.ModuleList(
            nn.Conv2d(channels, width, side, padding=side // 2, bias=False)
            for side, width in zip(sides, widths, strict=True)
        )
        self.norm2 = nn.BatchNorm2d(sum(widths))
        self.fuse = conv1x1(sum(widths), channels)
        he_init(self)

    def branch(self, x: Tensor) -> Tensor:
        """Return F(x): all scales, fused."""
        active = self.relu(self.norm(x))
        return self.fuse(self.relu(self.norm2(torch.cat([scale(active) for scale in self.scales], 1))))


def one_kernel(convs: Sequence[nn.Conv2d]) -> Tensor:
    """Return the kernel of one convolution that does what several of different sides do, concatenated.

    Each kernel is set in the middle of the largest one's square, with zeros around. Shape: (sum of outputs, C, side, side).
    """
    side = max(conv.kernel_size[0] for conv in convs)
    rims = [(side - conv.kernel_size[0]) // 2 for conv in convs]
    return torch.cat(
        [nn.functional.pad(conv.weight, (rim,) * 4) for conv, rim in zip(convs, rims, strict=True)]
    )
