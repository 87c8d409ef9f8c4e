"""GoogLeNet (Szegedy et al. 2015, Going deeper with convolutions, arXiv:1409.4842, figure 2b, table 1).

    y = [f_1(x), f_3(x), f_5(x), f_p(x)]     the Inception module: four branches, joined along the channels

f_1 is a 1x1 convolution, f_3 and f_5 a 1x1 that reduces the channels and then a 3x3 or 5x5, f_p a 3x3 maximum and then a
1x1. Nine modules, the mean over the map, one linear layer; in training two more heads on the way (section 5), whose
losses the paper adds with weight .3. Survey: section 3(1), claim C15.

Two networks bear the name. torchvision's, whose weights load here strictly (tests/timeline/test_googlenet.py), has batch
normalisation, a 3x3 in the branch f_5 (its source calls that a known bug), a last pooling of 2x2 and heads that divide the
map into 4x4 parts: 6,624,904 parameters, 13,004,888 with heads. The paper's has biases and, near the entry, response
normalisation instead, a 5x5, a 3x3 pooling, heads with 5x5 windows: 6,998,552 and 13,378,280. Each is a keyword. Both take
He's first weights here, since the paper names none.
"""

from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from resnetbook.timeline._checks import check_images, check_positive, he_init
from resnetbook.timeline._conv import ConvNorm

__all__ = ["VARIANTS", "ConvBias", "GoogLeNet", "Head", "Inception", "Outputs"]

_SMALLEST = {"torchvision": 15, "paper": 31}  # below, a pooling window finds no pixel


class Outputs(NamedTuple):
    """What a training step returns with heads, in torchvision's order and names; `aux_logits1` is the earlier head's."""

    logits: Tensor
    aux_logits2: Tensor
    aux_logits1: Tensor


class ConvBias(nn.Module):
    """relu(w * x + b), the convolution of the paper: (N, in_channels, H, W) -> (N, out_channels, H', W')."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, padding: int = 0
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(conv(x))."""
        return self.relu(self.conv(x))


class Inception(nn.Module):
    """(N, in_channels, H, W) -> (N, c1 + c3 + c5 + cp, H, W).

    Args:
        in_channels: channels of x.
        channels: (c1, r3, c3, r5, c5, cp): what f_1, f_3, f_5 and f_p put out, and to what r3 and r5 channels the 1x1
            convolutions of f_3 and f_5 reduce x.
        kernel: side of the kernel of f_5: 5 in the paper, 3 in torchvision.
        norm: batch normalisation after each convolution instead of a bias.

    Raises:
        ValueError: a size below 1, another number of channels than six, or a kernel other than 3 and 5.
    """

    def __init__(
        self,
        in_channels: int,
        channels: tuple[int, int, int, int, int, int],
        *,
        kernel: int = 3,
        norm: bool = True,
    ) -> None:
        super().__init__()
        if len(channels) != 6:
            raise ValueError(f"channels={channels!r}: expected six numbers (c1, r3, c3, r5, c5, cp)")
        for width in (in_channels, *channels):
            check_positive(channels=width)
        if kernel not in (3, 5):
            raise ValueError(f"kernel={kernel!r}: expected 5 (the paper) or 3 (torchvision)")
        conv: type[ConvNorm] | type[ConvBias] = ConvNorm if norm else ConvBias
        c1, r3, c3, r5, c5, cp = channels
        self.branch1 = conv(in_channels, c1, 1)
        self.branch2 = nn.Sequential(conv(in_channels, r3, 1), conv(r3, c3, 3, padding=1))
        self.branch3 = nn.Sequential(conv(in_channels, r5, 1), conv(r5, c5, kernel, padding=kernel // 2))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), conv(in_channels, cp, 1))
        self.out_channels = c1 + c3 + c5 + cp

    def forward(self, x: Tensor) -> Tensor:
        """Return [f_1(x), f_3(x), f_5(x), f_p(x)]."""
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], dim=1)


class Head(nn.Module):
    """A classifier on a map in the middle of the network (section 5): (N, in_channels, H, W) -> logits (N, num_classes)."""

    def __init__(
        self, in_channels: int, num_classes: int, *, norm: bool, pooling: str, dropout: float = 0.7
    ) -> None:
        super().__init__()
        # 14 x 14 pixels become 4 x 4 either way: by windows of 5, 3 apart, or by parts that just cover the map.
        self.pool: nn.Module = nn.AdaptiveAvgPool2d(4)
        if pooling == "paper":
            self.pool = nn.Sequential(nn.AvgPool2d(5, stride=3), self.pool)
        self.conv = ConvNorm(in_channels, 128, 1) if norm else ConvBias(in_channels, 128, 1)
        self.fc1 = nn.Linear(2048, 1024)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(dropout)
        self.fc2 = nn.Linear(1024, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the head's logits."""
        x = self.conv(self.pool(x)).flatten(1)
        return self.fc2(self.dropout(self.relu(self.fc1(x))))


class GoogLeNet(nn.Module):
    """(N, in_channels, H, W) -> logits (N, num_classes); in training with heads `Outputs` of three logits.

    H and W are 15 or more, with the paper's pooling 31 or more, and 79 where its heads are at work; 224 in the paper.

    Args:
        num_classes: outputs of each classifier.
        in_channels: 1 for grey images, 3 for colour.
        aux_logits: build the two heads behind modules 4a and 4d. They work in training alone.
        norm: batch normalisation after each convolution. False: biases, and response normalisation before and after
            the second and third convolution.
        kernel: side of the kernel of f_5: 3 or 5.
        pooling: "torchvision" or "paper": the last maximum pooling (2x2 or 3x3) and the pooling of the heads.
        dropout: share of the last layer's inputs that is lost in training.

    Attributes:
        aux_weights: how much the losses of the heads count in training, by the names of `Outputs` (section 5).
        transform_input: True takes images normalised with ImageNet's means and deviations and normalises them with .5 and
            .5, on which torchvision's published weights were trained. Needs three channels.

    Raises:
        ValueError: a size below 1, an unknown kernel or pooling, a share outside [0, 1); in `forward` a batch of another form.
    """

    aux_weights: ClassVar[dict[str, float]] = {"aux_logits2": 0.3, "aux_logits1": 0.3}

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        aux_logits: bool = True,
        norm: bool = True,
        kernel: int = 3,
        pooling: Literal["torchvision", "paper"] = "torchvision",
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        check_positive(num_classes=num_classes, in_channels=in_channels)
        if pooling not in _SMALLEST:
            raise ValueError(f"pooling={pooling!r}: expected 'torchvision' or 'paper'")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout={dropout!r}: expected 0 or more and less than 1")
        self.in_channels, self.pooling, self.transform_input = in_channels, pooling, False
        conv: type[ConvNorm] | type[ConvBias] = ConvNorm if norm else ConvBias

        # Entry: 224 -> 112 -> 56 -> 28 pixels.
        self.conv1 = conv(in_channels, 64, 7, stride=2, padding=3)
        self.maxpool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.norm1 = nn.Identity() if norm else nn.LocalResponseNorm(5)
        self.conv2 = conv(64, 64, 1)
        self.conv3 = conv(64, 192, 3, padding=1)
        self.norm2 = nn.Identity() if norm else nn.LocalResponseNorm(5)
        self.maxpool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)

        # Table 1, two modules at 28 pixels, five at 14, two at 7: channels of x, then of f_1, f_3 (reduced, out), f_5, f_p.
        module = partial(Inception, kernel=kernel, norm=norm)
        self.inception3a = module(192, (64, 96, 128, 16, 32, 32))
        self.inception3b = module(256, (128, 128, 192, 32, 96, 64))
        self.maxpool3 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception4a = module(480, (192, 96, 208, 16, 48, 64))
        self.inception4b = module(512, (160, 112, 224, 24, 64, 64))
        self.inception4c = module(512, (128, 128, 256, 24, 64, 64))
        self.inception4d = module(512, (112, 144, 288, 32, 64, 64))
        self.inception4e = module(528, (256, 160, 320, 32, 128, 128))
        self.maxpool4 = nn.MaxPool2d(3 if pooling == "paper" else 2, stride=2, ceil_mode=True)
        self.inception5a = module(832, (256, 160, 320, 32, 128, 128))
        self.inception5b = module(832, (384, 192, 384, 48, 128, 128))

        head = partial(Head, num_classes=num_classes, norm=norm, pooling=pooling)
        self.aux1 = head(512) if aux_logits else None
        self.aux2 = head(528) if aux_logits else None
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(1024, num_classes)
        he_init(self)
        if not norm:  # then the spread of the signal is the weights' own matter: the fan of the forward pass
            for layer in self.modules():
                if isinstance(layer, nn.Conv2d):
                    nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor | Outputs:
        """Return the logits, in training with those of the heads."""
        heads = self.training and self.aux1 is not None
        smallest = 79 if heads and self.pooling == "paper" else _SMALLEST[self.pooling]
        check_images(x, self.in_channels, smallest)
        if self.transform_input:
            x = _renormalised(x)
        x = self.norm1(self.maxpool1(self.conv1(x)))
        x = self.maxpool2(self.norm2(self.conv3(self.conv2(x))))
        x = self.maxpool3(self.inception3b(self.inception3a(x)))
        x = self.inception4a(x)
        first = self.aux1(x) if self.training and self.aux1 is not None else None
        x = self.inception4d(self.inception4c(self.inception4b(x)))
        second = self.aux2(x) if self.training and self.aux2 is not None else None
        x = self.maxpool4(self.inception4e(x))
        x = self.inception5b(self.inception5a(x))
        logits = self.fc(self.dropout(self.avgpool(x).flatten(1)))
        return logits if first is None or second is None else Outputs(logits, second, first)


def _renormalised(x: Tensor) -> Tensor:
    means, deviations = x.new_tensor((0.485, 0.456, 0.406)), x.new_tensor((0.229, 0.224, 0.225))
    return (x * deviations[:, None, None] + means[:, None, None] - 0.5) / 0.5


_PAPER: dict[str, Any] = {"norm": False, "kernel": 5, "pooling": "paper", "dropout": 0.4}

VARIANTS: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    "googlenet": (GoogLeNet, {}),
    "googlenet_2014": (GoogLeNet, _PAPER),
}
