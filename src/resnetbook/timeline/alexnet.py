"""AlexNet (Krizhevsky et al. 2012, ImageNet classification with deep convolutional neural networks, figure 2).

    conv 11x11 / 4, pool, conv 5x5, pool, conv 3x3 three times, pool, linear 4096 twice, linear     relu after each layer
    b_i = a_i / (k + alpha sum over |j - i| <= 2 of a_j^2)^beta      after conv 1 and 2, in 2012 alone (section 3.3)

Two networks bear the name. That of 2012 ran on two graphics cards, half of the channels on each: conv 2, 4 and 5 see their
own half alone, which is a convolution of two groups; 60,965,224 parameters. torchvision's is the single tower of
Krizhevsky 2014 (One weird trick, arXiv:1404.5997): no groups, fewer channels, no response normalisation, 61,100,840. Its
parameter names are ours, and its weights load strictly (tests/timeline/test_alexnet.py). `groups` picks the network.
Survey: section 3(1), "the base of modern deep networks". Erratum E1: it has kernels of 11, 5 and 3 pixels and none of 7.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from resnetbook.principle.block import conv3x3
from resnetbook.timeline._checks import check_images, check_positive

__all__ = ["VARIANTS", "AlexNet"]

# Channels of the five convolutions, by the number of groups.
_WIDTHS = {1: (64, 192, 384, 256, 256), 2: (96, 256, 384, 384, 256)}


class AlexNet(nn.Module):
    """(N, in_channels, H, W) -> logits (N, num_classes), H and W of 63 or more; 224 in the papers.

    Maps of 224 pixels shrink to 55, 27, 13 and 6; others are averaged to 6 x 6 before the linear layers.

    Args:
        num_classes: outputs of the last layer.
        in_channels: 1 for grey images, 3 for colour.
        groups: 1 for the single tower of 2014, 2 for the two halves of 2012, with its widths, response normalisation and
            first weights.
        widths: channels of the five convolutions; None takes those of the paper that `groups` picks.
        dropout: share of the inputs that the first two linear layers lose in training.

    Raises:
        ValueError: groups other than 1 and 2, another number of widths than five, widths that the groups do not divide, a
            size below 1, a share outside [0, 1); in `forward` a batch of another form.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        groups: int = 1,
        widths: Sequence[int] | None = None,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        check_positive(num_classes=num_classes, in_channels=in_channels)
        if groups not in _WIDTHS:
            raise ValueError(f"groups={groups!r}: expected 1 (single tower, 2014) or 2 (the network of 2012)")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout={dropout!r}: expected 0 or more and less than 1")
        widths = tuple(widths or _WIDTHS[groups])
        if len(widths) != 5 or any(width % groups for width in widths):
            raise ValueError(f"widths={widths!r}: expected five numbers of channels that {groups} divides")
        for width in widths:
            check_positive(widths=width)
        self.in_channels = in_channels
        a, b, c, d, e = widths

        # Pooling overlaps: windows of 3 pixels, 2 apart (section 3.4).
        self.features = nn.Sequential(
            *_layer(nn.Conv2d(in_channels, a, 11, stride=4, padding=2), normalise=groups == 2),
            nn.MaxPool2d(3, stride=2),
            *_layer(nn.Conv2d(a, b, 5, padding=2, groups=groups), normalise=groups == 2),
            nn.MaxPool2d(3, stride=2),
            *_layer(conv3x3(b, c, bias=True)),  # the one layer in which the halves of 2012 meet
            *_layer(conv3x3(c, d, groups=groups, bias=True)),
            *_layer(conv3x3(d, e, groups=groups, bias=True)),
            nn.MaxPool2d(3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(6)
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            *_layer(nn.Linear(36 * e, 4096)),
            nn.Dropout(dropout),
            *_layer(nn.Linear(4096, 4096)),
            nn.Linear(4096, num_classes),
        )
        if groups == 2:
            self._init_2012()

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        check_images(x, self.in_channels, 63)
        x = self.avgpool(self.features(x))
        return self.classifier(x.flatten(1))

    def _init_2012(self) -> None:
        """Section 5: weights from N(0, .01^2); biases 1 in conv 2, 4, 5 and the hidden linear layers, else 0."""
        layers = [module for module in self.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
        for number, layer in enumerate(layers, start=1):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.constant_(layer.bias, float(number in (2, 4, 5, 6, 7)))  # type: ignore[arg-type]


def _layer(weighted: nn.Conv2d | nn.Linear, *, normalise: bool = False) -> list[nn.Module]:
    layers: list[nn.Module] = [weighted, nn.ReLU(inplace=True)]
    if normalise:
        # The paper's alpha is 1e-4 for the sum of five squares; torch takes it for their mean.
        layers.append(nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0))
    return layers


VARIANTS: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    "alexnet": (AlexNet, {}),
    "alexnet_2012": (AlexNet, {"groups": 2}),
}
