"""LeNet-5 (LeCun et al. 1998, Gradient-based learning applied to document recognition, figure 2 and table 1).

    C1:  y_j = A tanh(S (b_j + w_j * x))                    convolution, 5x5 kernels
    S2:  y_j = A tanh(S (b_j + c_j (sum over 2x2 of x_j)))  subsampling with a trainable coefficient and bias
    C3:  y_j = A tanh(S (b_j + sum over (i, j) of w_ij * x_i))  over the 60 of 96 links (i, j) of table 1

and S4, C5, F6 likewise: 60,000 parameters up to F6. Survey: section 3(1), "the base of modern networks".
Differs from the paper: there ten units of fixed +1/-1 weights measure the squared distance between F6 and a drawing of
each digit; here a linear layer of 84 inputs stands in their place (850 parameters for ten classes). It contains them:
softmax of the negative distances is softmax of a linear layer (tests/timeline/test_lenet.py). First weights have variance
1 / fan_in, which keeps the spread of the signal with this A and S; the paper's uniform draw is narrower.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from resnetbook.timeline._checks import check_images, check_positive

__all__ = ["C3_TABLE", "VARIANTS", "LeNet5", "LinkedConv", "ScaledTanh", "Subsampling"]

# Table 1: for each of the 16 maps of C3 the maps of S2 that it sees.
C3_TABLE: tuple[tuple[int, ...], ...] = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)  # fmt: skip
_SIDE, _SMALLEST = 32, 28  # the paper's input; MNIST's


class ScaledTanh(nn.Module):
    """A tanh(S x) with A = 1.7159 and S = 2/3, so that f(1) = 1 and f(-1) = -1. Keeps the shape."""

    def forward(self, x: Tensor) -> Tensor:
        """Squash x."""
        return 1.7159 * torch.tanh(2 / 3 * x)


class Subsampling(nn.Module):
    """(N, C, H, W) -> (N, C, H // 2, W // 2): the sum of each 2x2 window times a coefficient, plus a bias.

    Two parameters a map. The coefficients start at 1/4, where the layer is the mean of the window.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), 0.25))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Add, scale, shift."""
        sums = functional.avg_pool2d(x, 2, divisor_override=1)
        return sums * self.weight[:, None, None] + self.bias[:, None, None]


class LinkedConv(nn.Module):
    """(N, C, H, W) -> (N, len(table), H - 4, W - 4): a 5x5 convolution on the links of a table, one bias for each map.

    Its parameters are the kernels of the links, `weight` (links, 5, 5); each forward pass writes them into the full kernel,
    zero elsewhere, since one dense convolution is faster than one for each map. (So `principle.counting.count`, which knows
    torch's own layers alone, leaves it out: 25 multiplications for each link and pixel.)

    Args:
        in_channels: input maps C.
        table: for each output map the input maps that it sees.

    Raises:
        ValueError: an empty table, a map that sees nothing, or one that C does not have.
    """

    sources: Tensor
    targets: Tensor

    def __init__(self, in_channels: int, table: Sequence[Sequence[int]]) -> None:
        super().__init__()
        if not table or any(not row or not set(row) <= set(range(in_channels)) for row in table):
            raise ValueError(f"table={table!r}: expected for each map one or more of 0 to {in_channels - 1}")
        pairs = [(source, target) for target, row in enumerate(table) for source in row]
        sources, targets = (torch.tensor(ends) for ends in zip(*pairs, strict=True))
        self.register_buffer("sources", sources, persistent=False)
        self.register_buffer("targets", targets, persistent=False)
        self.shape = (len(table), in_channels, 5, 5)
        fan_in = torch.tensor([25 * len(table[target]) for _, target in pairs])
        self.weight = nn.Parameter(_drawn((len(pairs), 5, 5), fan_in[:, None, None]))
        self.bias = nn.Parameter(torch.zeros(len(table)))

    def forward(self, x: Tensor) -> Tensor:
        """Convolve along the links."""
        kernel = self.weight.new_zeros(self.shape).index_put((self.targets, self.sources), self.weight)
        return functional.conv2d(x, kernel, self.bias)


class LeNet5(nn.Module):
    """(N, in_channels, H, W) -> logits (N, num_classes), H and W of 28 or more; the paper's input is 32 x 32.

    What an image lacks to 32 pixels is filled by repeating its border: a digit of MNIST (28 x 28) so gets the two pixels of
    background on each side that the paper gives it. On a larger image C5 yields several columns, as the paper notes; their
    mean goes on.

    Args:
        num_classes: outputs of the last layer.
        in_channels: 1 for grey images, 3 for colour.

    Raises:
        ValueError: a size below 1; in `forward` a batch of another form or of images below 28 pixels.
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1) -> None:
        super().__init__()
        check_positive(num_classes=num_classes, in_channels=in_channels)
        self.in_channels = in_channels
        self.c1 = nn.Conv2d(in_channels, 6, 5)
        self.s2 = Subsampling(6)
        self.c3 = LinkedConv(6, C3_TABLE)
        self.s4 = Subsampling(16)
        self.c5 = nn.Conv2d(16, 120, 5)
        self.f6 = nn.Linear(120, 84)
        self.output = nn.Linear(84, num_classes)
        self.squash = ScaledTanh()
        for layer in (self.c1, self.c5, self.f6, self.output):
            layer.weight = nn.Parameter(_drawn(layer.weight.shape, torch.tensor(layer.weight[0].numel())))
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        check_images(x, self.in_channels, _SMALLEST)
        x = self.squash(self.c1(_padded(x)))  # 6 maps of 28 x 28
        x = self.squash(self.s2(x))  # 6 of 14 x 14
        x = self.squash(self.c3(x))  # 16 of 10 x 10
        x = self.squash(self.s4(x))  # 16 of 5 x 5
        x = self.squash(self.c5(x)).mean((2, 3))  # 120 of 1 x 1
        return self.output(self.squash(self.f6(x)))


def _drawn(shape: Sequence[int], fan_in: Tensor) -> Tensor:
    """Return a uniform draw of mean 0 and variance 1 / fan_in."""
    return (2 * torch.rand(shape) - 1) * (3 / fan_in) ** 0.5


def _padded(x: Tensor) -> Tensor:
    missing = [max(0, _SIDE - side) for side in x.shape[2:]]
    if not any(missing):
        return x
    top, left = (side // 2 for side in missing)
    return functional.pad(x, (left, missing[1] - left, top, missing[0] - top), mode="replicate")


VARIANTS: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {"lenet5": (LeNet5, {})}
