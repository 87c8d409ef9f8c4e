"""Cross-connected residual block (Shen et al. 2018, DCR-Net, Pattern Recognition 82): six layers, three sums that cross.

    c1 = L1(x)        c2 = L2(c1)       c3 = L3(c2)
    u1 = L4(c3)       u2 = L5(u1 + c1)  u3 = L6(u2 + c2)      y = u3 + c3

L1 to L6 are convolution, batch normalisation and PReLU, with kernels 1, 3, 1, 1, 3, 1. The connections run from 1 to behind
4, 2 to behind 5, 3 to behind 6: each spans the others. There is no identity from x itself. The paper's text was not
found; the layout is that of the public code of its successor Att-DCRNet, which says that it is this block with attention
added. With `outer=True` x is added too: the book's variant, which makes it a residual unit. Section 4.3(3), claim C56.
"""

from torch import Tensor, nn

from resnetbook.structure.residual_unit._unit import ResidualUnit
from resnetbook.timeline._checks import check_images, check_positive, he_init

__all__ = ["CrossConnectedUnit"]

KERNELS = (1, 3, 1, 1, 3, 1)


class CrossConnectedUnit(ResidualUnit):
    """Six layers whose shortcuts cross. Shape: (N, in_channels, H, W) -> (N, channels, H, W).

    in_channels * channels + 21 channels^2 + 12 channels + 6 parameters: one slope for each PReLU.

    Args:
        channels: of y, and of x too unless `in_channels` says otherwise.
        in_channels: of x; None: `channels`.
        outer: add x to y.
        crossed: False leaves the three sums out: a plain chain of six layers.
        kernels: sides of the six kernels.

    Raises:
        ValueError: a size below 1, `outer` where the channels differ; in `forward` maps of another form.
    """

    def __init__(
        self,
        channels: int,
        *,
        in_channels: int | None = None,
        outer: bool = False,
        crossed: bool = True,
        kernels: tuple[int, ...] = KERNELS,
    ) -> None:
        super().__init__(channels)
        self.in_channels = channels if in_channels is None else in_channels
        check_positive(in_channels=self.in_channels)
        if outer and self.in_channels != channels:
            raise ValueError(
                f"outer=True: expected in_channels={self.in_channels} to equal channels={channels}"
            )
        if len(kernels) != 6 or any(side < 1 or side % 2 == 0 for side in kernels):
            raise ValueError(f"kernels={tuple(kernels)}: expected six odd sides")
        self.outer, self.crossed = outer, crossed
        before = [self.in_channels, *[channels] * 5]
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width, channels, side, padding=side // 2, bias=False),
                nn.BatchNorm2d(channels),
                nn.PReLU(),
            )
            for width, side in zip(before, kernels, strict=True)
        )
        he_init(self)

    def branch(self, x: Tensor) -> Tensor:
        """Return the output of the six layers."""
        first, second, third, *rest = self.layers
        c1 = first(x)
        c2 = second(c1)
        c3 = third(c2)
        y = c3
        for layer, crossing in zip(rest, (c1, c2, c3), strict=True):
            y = layer(y) + crossing if self.crossed else layer(y)
        return y

    def forward(self, x: Tensor) -> Tensor:
        """Return y, with `outer` x + y."""
        check_images(x, self.in_channels, 1)
        return x + self.branch(x) if self.outer else self.branch(x)
