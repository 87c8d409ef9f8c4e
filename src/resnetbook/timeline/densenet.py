"""DenseNet (Huang et al. 2017, arXiv:1608.06993, section 3; figures 1 and 2, table 1 for ImageNet, table 2 for CIFAR).

    x_l = H_l([x_0, x_1, ..., x_{l-1}])

Each layer H_l of a dense block reads every feature map made before it in the block and adds k new ones (the growth rate).
Here a layer takes all maps so far, x = [x_0, ..., x_{l-1}], and returns [x, H_l(x)]: ResNet's x + F(x) with the sum
replaced by a concatenation. A block of L layers has L(L+1)/2 connections; none crosses a transition, which halves the map.
Survey: section 3(3), claims C28 to C31. That any two layers are joined (4.1(6)) holds inside one block only (erratum E3);
fewer parameters and multiplications do not mean less memory and time (erratum E4).

Parameter names are torchvision's, and its weights load strictly (tests/timeline/test_densenet.py). What differs, with equal
numbers: a layer joins its new maps to the old ones once, where torchvision joins the whole list in every layer and takes
its gradient apart again; a transition averages before its 1x1 convolution, for a quarter of the multiplications;
`memory_efficient` counts a batch once in the running statistics, torchvision's twice.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import relu
from torch.utils.checkpoint import checkpoint

from resnetbook.principle.block import conv1x1, conv3x3
from resnetbook.timeline._checks import check_depth, check_images, check_positive, he_init

__all__ = ["TIMM_KEYS", "VARIANTS", "CifarDenseNet", "DenseBlock", "DenseLayer", "DenseNet", "Transition"]


class DenseLayer(nn.Module):
    """The old maps and k new ones, [x, H(x)]; H = conv3x3 . relu . norm, behind conv1x1 . relu . norm in a bottleneck.

    Shape: (N, in_channels, H, W) -> (N, in_channels + growth_rate, H, W).

    Args:
        in_channels: channels of x, all maps so far.
        growth_rate: k, channels of H(x). A bottleneck is 4k channels wide.
        bottleneck: False leaves the 1x1 convolution out (the paper's plain DenseNet).

    Raises:
        ValueError: a size below 1.
    """

    def __init__(self, in_channels: int, growth_rate: int, *, bottleneck: bool = True) -> None:
        super().__init__()
        check_positive(in_channels=in_channels, growth_rate=growth_rate)
        width = 4 * growth_rate
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.conv1 = conv1x1(in_channels, width) if bottleneck else conv3x3(in_channels, growth_rate)
        if bottleneck:
            self.norm2 = nn.BatchNorm2d(width)
            self.conv2 = conv3x3(width, growth_rate)
        self.relu = nn.ReLU(inplace=True)  # of what a normalisation puts out, which nothing else needs
        self.bottleneck = bottleneck

    def branch(self, x: Tensor) -> Tensor:
        """Return H(x), the new maps, shape (N, growth_rate, H, W)."""
        return self._rest(self.conv1(self.relu(self.norm1(x))))

    def branch_again(self, maps: Sequence[Tensor]) -> Tensor:
        """Return H of the joined maps; what conv1 reads is not kept but computed again in the backward pass."""
        return self._rest(_twice(self.norm1, self.conv1, *maps))

    def _rest(self, out: Tensor) -> Tensor:
        return self.conv2(self.relu(self.norm2(out))) if self.bottleneck else out

    def forward(self, x: Tensor) -> Tensor:
        """Return the old maps and the new ones."""
        return torch.cat([x, self.branch(x)], 1)


class DenseBlock(nn.Sequential):
    """Layers joined densely: (N, in_channels, H, W) -> (N, in_channels + layers growth_rate, H, W).

    By default each layer keeps all maps that it reads, joined and normalised, for the backward pass: memory grows with the
    square of `layers`. With `memory_efficient` every map is kept once, and joining, normalisation and relu are done again
    (Pleiss et al. 2017, arXiv:1707.06990): it grows with `layers`. Values, gradients and running statistics are the same.

    Raises:
        ValueError: a size below 1.
    """

    def __init__(
        self,
        layers: int,
        in_channels: int,
        growth_rate: int,
        *,
        bottleneck: bool = True,
        memory_efficient: bool = False,
    ) -> None:
        super().__init__()
        check_positive(layers=layers, in_channels=in_channels, growth_rate=growth_rate)
        for i in range(layers):
            layer = DenseLayer(in_channels + i * growth_rate, growth_rate, bottleneck=bottleneck)
            self.add_module(f"denselayer{i + 1}", layer)
        self.memory_efficient = memory_efficient

    def forward(self, x: Tensor) -> Tensor:
        """Return x and the new maps of all layers."""
        if not (self.memory_efficient and torch.is_grad_enabled()):
            return super().forward(x)
        maps = [x]
        for layer in self:
            maps.append(layer.branch_again(maps))  # type: ignore[operator]
        return torch.cat(maps, 1)


class Transition(nn.Module):
    """Between two blocks, norm, relu, mean over 2x2, conv1x1: (N, in_channels, H, W) -> (N, out_channels, H/2, W/2).

    The paper convolves before it averages. A 1x1 convolution does the same in each pixel, and both are linear, so that the
    order changes nothing; after the mean there is a quarter of the pixels.

    Raises:
        ValueError: a size below 1.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        check_positive(in_channels=in_channels, out_channels=out_channels)
        self.norm = nn.BatchNorm2d(in_channels)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.AvgPool2d(2)
        self.conv = conv1x1(in_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return fewer maps of half the side."""
        return self.conv(self.pool(self.relu(self.norm(x))))


def _twice(norm: nn.BatchNorm2d, conv: nn.Module, *maps: Tensor) -> Tensor:
    # Keeps `maps` alone. The backward pass computes again up to the last tensor that it lacks, which is the convolution's
    # input: no convolution is done twice.
    def joined(*maps: Tensor) -> Tensor:
        return conv(relu(norm(torch.cat(maps, 1)), inplace=True))

    def both_runs() -> tuple[Any, Any]:
        return nullcontext(), _statistics_kept(norm)

    # A compiler records one run, and repeats of it what it needs.
    contexts: dict[str, Any] = {} if torch.compiler.is_compiling() else {"context_fn": both_runs}
    return checkpoint(joined, *maps, use_reentrant=False, preserve_rng_state=False, **contexts)


@contextmanager
def _statistics_kept(norm: nn.BatchNorm2d) -> Iterator[None]:
    momentum, counter = norm.momentum, norm.num_batches_tracked
    norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        norm.momentum, norm.num_batches_tracked = momentum, counter


class _Dense(nn.Module):
    """`features` (a stem, blocks with transitions between them, a norm), the mean over the map, a linear `classifier`."""

    def __init__(
        self,
        stem: dict[str, nn.Module],
        channels: int,
        block_config: Sequence[int],
        growth_rate: int,
        *,
        bottleneck: bool = True,
        compression: float = 0.5,
        memory_efficient: bool,
        num_classes: int,
        in_channels: int,
        smallest: int,
    ) -> None:
        super().__init__()
        check_positive(num_classes=num_classes, in_channels=in_channels)
        if not block_config:
            raise ValueError(
                f"block_config={block_config!r}: expected a number of layers for each dense block"
            )
        if not 0 < compression <= 1:
            raise ValueError(f"compression={compression!r}: expected a share above 0 and up to 1")
        self.in_channels, self.smallest = in_channels, smallest
        self.features = nn.Sequential(OrderedDict(stem))
        for number, layers in enumerate(block_config, 1):
            if number > 1:
                kept = int(compression * channels)
                self.features.add_module(f"transition{number - 1}", Transition(channels, kept))
                channels = kept
            block = DenseBlock(
                layers, channels, growth_rate, bottleneck=bottleneck, memory_efficient=memory_efficient
            )
            self.features.add_module(f"denseblock{number}", block)
            channels += layers * growth_rate
        # torchvision calls it so for any number of blocks.
        self.features.add_module("norm5", nn.BatchNorm2d(channels))
        self.relu = nn.ReLU(inplace=True)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, num_classes)
        he_init(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        check_images(x, self.in_channels, self.smallest)
        return self.classifier(self.avgpool(self.relu(self.features(x))).flatten(1))


class DenseNet(_Dense):
    """The network for large images: (N, in_channels, H, W) -> logits (N, num_classes), H and W of 32 or more.

    Args:
        growth_rate: k, new maps of each layer.
        block_config: number of layers in each dense block.
        num_init_features: channels of the stem.
        memory_efficient: keep less for the backward pass (see `DenseBlock`).
        num_classes: outputs of the linear layer.
        in_channels: 1 for grey images, 3 for colour.

    Raises:
        ValueError: no block, or a size below 1; in `forward` a batch of another form.
    """

    def __init__(
        self,
        growth_rate: int = 32,
        block_config: Sequence[int] = (6, 12, 24, 16),
        num_init_features: int = 64,
        memory_efficient: bool = False,
        num_classes: int = 1000,
        in_channels: int = 3,
    ) -> None:
        check_positive(num_init_features=num_init_features, in_channels=in_channels)
        super().__init__(
            {  # 224 -> 112 -> 56 pixels; the blocks work at 56, 28, 14 and 7
                "conv0": nn.Conv2d(in_channels, num_init_features, 7, stride=2, padding=3, bias=False),
                "norm0": nn.BatchNorm2d(num_init_features),
                "relu0": nn.ReLU(inplace=True),
                "pool0": nn.MaxPool2d(3, stride=2, padding=1),
            },
            num_init_features,
            block_config,
            growth_rate,
            memory_efficient=memory_efficient,
            num_classes=num_classes,
            in_channels=in_channels,
            smallest=32,
        )


class CifarDenseNet(_Dense):
    """The network for small images: (N, in_channels, H, W) -> (N, num_classes), H and W of 4 or more.

    Three dense blocks of equal length on maps of 32, 16 and 8 pixels, for CIFAR. With bottlenecks and a compression below 1
    it is DenseNet-BC, whose stem has 2k channels; the paper's "DenseNet" is `bottleneck=False, compression=1.0`, stem 16.

    Args:
        depth: 6n + 4 with bottlenecks (100, 190, 250 in the paper), 3n + 4 without (40, 100).
        growth_rate: k, new maps of each layer.
        bottleneck: a 1x1 convolution to 4k channels in each layer.
        compression: share of the channels that a transition keeps, above 0 and up to 1.
        num_classes: outputs of the linear layer.
        in_channels: 1 for grey images, 3 for colour.
        memory_efficient: keep less for the backward pass (see `DenseBlock`).

    Raises:
        ValueError: a depth that the formula forbids (the message names the nearest), or another bad value; in `forward` a
            batch of another form.
    """

    def __init__(
        self,
        depth: int,
        growth_rate: int,
        bottleneck: bool = True,
        compression: float = 0.5,
        num_classes: int = 10,
        in_channels: int = 3,
        memory_efficient: bool = False,
    ) -> None:
        layers = check_depth(depth, step=6 if bottleneck else 3, offset=4)
        check_positive(growth_rate=growth_rate, in_channels=in_channels)
        channels = 2 * growth_rate if bottleneck and compression < 1 else 16
        super().__init__(
            {"conv0": conv3x3(in_channels, channels)},
            channels,
            (layers, layers, layers),
            growth_rate,
            bottleneck=bottleneck,
            compression=compression,
            memory_efficient=memory_efficient,
            num_classes=num_classes,
            in_channels=in_channels,
            smallest=4,
        )


TIMM_KEYS: tuple[tuple[str, str], ...] = ()  # timm has torchvision's names

_PLAIN = {"bottleneck": False, "compression": 1.0}
VARIANTS: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    "densenet121": (DenseNet, {"block_config": (6, 12, 24, 16)}),
    "densenet161": (DenseNet, {"growth_rate": 48, "block_config": (6, 12, 36, 24), "num_init_features": 96}),
    "densenet169": (DenseNet, {"block_config": (6, 12, 32, 32)}),
    "densenet201": (DenseNet, {"block_config": (6, 12, 48, 32)}),
    "densenet40_12": (CifarDenseNet, {"depth": 40, "growth_rate": 12, **_PLAIN}),
    "densenet_bc100_12": (CifarDenseNet, {"depth": 100, "growth_rate": 12}),
    "densenet_bc190_40": (CifarDenseNet, {"depth": 190, "growth_rate": 40}),
}
