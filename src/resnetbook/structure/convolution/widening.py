"""Widening (Zagoruyko & Komodakis 2016, arXiv:1605.07146): more channels in fewer layers.

    weights of a 3x3 layer   9 (k a)(k b) = k^2 . 9ab        layers that wait for each other   unchanged

Twice the width costs four times the weights and multiplications, twice the depth only twice; but the wide layer is one
large product, while deep ones run in turn. The survey counts it among the ways to make networks smaller; parameters do
not shrink. The network is `resnetbook.timeline.wide_resnet`; here are its block in the place of any unit and its count in
closed form. Section 4.1(4), claims C20 to C22.
"""

from resnetbook.timeline._checks import check_depth, check_positive
from resnetbook.timeline.wide_resnet import WideBlock, WideResNet

__all__ = ["WideBlock", "WideResNet", "wide_parameters"]


def wide_parameters(depth: int, factor: int, *, num_classes: int = 10, in_channels: int = 3) -> int:
    """Return the parameters of WRN-depth-factor: those of `WideResNet(depth, factor)`, counted on paper.

    With n = (depth - 4) / 6 blocks a stage and widths w = 16k, 32k, 64k:
    a stage has 9 v w + 9 w^2 + 18 (n - 1) w^2 weights of 3x3 layers, v w of its projection where v and w differ, and
    2 v + 2 w + 4 (n - 1) w scales and shifts; v is the width before it.

    Raises:
        ValueError: a depth that is not 6n + 4, a size below 1.
    """
    n = check_depth(depth, step=6, offset=4)
    check_positive(factor=factor, num_classes=num_classes, in_channels=in_channels)
    total, before = 9 * in_channels * 16, 16
    for width in (16 * factor, 32 * factor, 64 * factor):
        total += 9 * before * width + 9 * width**2 + 18 * (n - 1) * width**2
        total += before * width if before != width else 0
        total += 2 * before + 2 * width + 4 * (n - 1) * width
        before = width
    return total + 2 * before + (before + 1) * num_classes
