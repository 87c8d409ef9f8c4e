"""Fully convolutional head (Long et al. 2015, FCN, arXiv:1411.4038): the classifier, slid over a larger image.

    a linear layer on C x h x w numbers  =  a convolution with a kernel of h x w       same weights, same numbers

On an image of the size that it was trained on both give one answer; on a larger one the convolution gives a map of answers,
each equal to the classifier's on its crop, for the price of one pass. What is lost is resolution: a trunk of stride 32
answers for every 32nd pixel. FCN-16s and 8s add scores of earlier, finer maps before they are enlarged; transposed
convolutions that start as bilinear interpolation do the enlarging. Section 4.4(1), claims C60 and C61.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from resnetbook.structure.convolution.transposed import bilinear_kernel
from resnetbook.timeline._checks import check_images, check_positive

__all__ = ["ConvolutionalHead", "FCNHead", "enlarge", "fc_to_conv", "slide"]


def fc_to_conv(linear: nn.Linear, channels: int, height: int, width: int) -> nn.Conv2d:
    """Return the convolution that does to every window of height x width what `linear` does to one, flattened.

    Raises:
        ValueError: the linear layer reads another number of values than channels * height * width.
    """
    check_positive(channels=channels, height=height, width=width)
    if linear.in_features != channels * height * width:
        raise ValueError(
            f"linear: it reads {linear.in_features} values, expected {channels} x {height} x {width} = "
            f"{channels * height * width}"
        )
    conv = nn.Conv2d(channels, linear.out_features, (height, width), bias=linear.bias is not None)
    conv.to(linear.weight)
    with torch.no_grad():
        conv.weight.copy_(linear.weight.reshape(conv.weight.shape))
        if linear.bias is not None and conv.bias is not None:
            conv.bias.copy_(linear.bias)
    return conv


class ConvolutionalHead(nn.Module):
    """A 1x1 convolution to scores, and their mean: the same numbers as the mean followed by a linear layer.

    Shape: (N, channels, H, W) -> (N, num_classes).

    Args:
        channels: of the features.
        num_classes: scores.

    Raises:
        ValueError: a size below 1; in `forward` features of another form.
    """

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        check_positive(channels=channels, num_classes=num_classes)
        self.channels = channels
        self.score = nn.Conv2d(channels, num_classes, 1)

    def dense(self, x: Tensor) -> Tensor:
        """Return scores for each place, (N, num_classes, H, W)."""
        check_images(x, self.channels, 1)
        return self.score(x)

    def forward(self, x: Tensor) -> Tensor:
        """Return scores of the image, (N, num_classes)."""
        return self.dense(x).mean((2, 3))


class FCNHead(nn.Module):
    """Scores for each pixel from one or more maps of a trunk, the coarsest first enlarged and summed into finer ones.

    Shape: maps (N, C_i, H_i, W_i), fine to coarse, each half of the one before -> (N, num_classes, scale H_0, scale W_0).

    Args:
        channels: of each map, fine to coarse. One map: FCN-32s when its stride is 32; two: 16s; three: 8s.
        num_classes: scores of a pixel.
        scale: stride of the finest map, a power of two.

    Raises:
        ValueError: no map, a size below 1, a scale that is no power of two; in `forward` maps of another form.
    """

    def __init__(self, channels: Sequence[int], num_classes: int, scale: int) -> None:
        super().__init__()
        check_positive(num_classes=num_classes, scale=scale)
        if not channels:
            raise ValueError(f"channels={channels!r}: expected at least one map")
        if scale & (scale - 1):
            raise ValueError(f"scale={scale}: expected a power of two")
        self.channels, self.scale = tuple(channels), scale
        self.scores = nn.ModuleList(nn.Conv2d(width, num_classes, 1) for width in channels)
        self.doubling = nn.ModuleList(enlarge(num_classes, 2) for _ in channels[1:])
        self.last = enlarge(num_classes, scale) if scale > 1 else nn.Identity()

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return scores for each pixel."""
        if len(maps) != len(self.channels):
            raise ValueError(f"maps: {len(maps)} given, expected {len(self.channels)}")
        for x, width in zip(maps, self.channels, strict=True):
            check_images(x, width, 1)
        coarse = self.scores[-1](maps[-1])
        for x, score, double in zip(maps[-2::-1], self.scores[-2::-1], reversed(self.doubling), strict=True):
            fine = score(x)
            coarse = double(coarse)[..., : fine.shape[2], : fine.shape[3]]
            if coarse.shape != fine.shape:
                raise ValueError(
                    f"maps of {tuple(fine.shape[2:])} after {tuple(coarse.shape[2:])}: expected halves"
                )
            coarse = coarse + fine
        return self.last(coarse)


def enlarge(channels: int, scale: int) -> nn.ConvTranspose2d:
    """Return a transposed convolution that starts as bilinear interpolation, channel by channel; `scale` is even."""
    conv = nn.ConvTranspose2d(channels, channels, 2 * scale, scale, scale // 2, bias=False)
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight[range(channels), range(channels)] = bilinear_kernel(scale)
    return conv


def slide(classify: nn.Module, x: Tensor, size: int, stride: int) -> Tensor:
    """Return a classifier's answers on each crop of `size` pixels: (N, C, H, W) -> (N, classes, rows, columns).

    The slow way, crop by crop, to hold the fast one to.
    """
    crops = x.unfold(2, size, stride).unfold(3, size, stride)  # (N, C, rows, columns, size, size)
    rows, columns = crops.shape[2:4]
    answers = classify(crops.permute(0, 2, 3, 1, 4, 5).flatten(0, 2))
    return answers.unflatten(0, (len(x), rows, columns)).permute(0, 3, 1, 2)
