"""MLP convolution (Lin et al. 2014, Network in Network, arXiv:1312.4400): a small network slid over the image.

    y = relu(W_3 relu(W_2 relu(w_1 * x)))       w_1 of k x k pixels, W_2 and W_3 of 1 x 1

A linear filter followed by ReLU can say "this pattern", a multilayer perceptron on the same pixels "this pattern or that
one". Layers of 1x1 do it: each is one linear map applied at every pixel. The last map has one channel a class, and its mean
over the image is the score: global average pooling in place of the fully connected layers. Section 4.1(3), claim C40.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from resnetbook.timeline._checks import check_images, check_positive, he_init

__all__ = ["MLPConv2d", "NetworkInNetwork"]


class MLPConv2d(nn.Module):
    """A k x k convolution and 1x1 convolutions after it, a ReLU behind each.

    Shape: (N, in_channels, H, W) -> (N, channels[-1], H', W') with H' = H + 2 padding - kernel_size + 1.

    Args:
        in_channels: channels of x.
        channels: of each layer, at least one; the first is the k x k convolution. The paper has three.
        kernel_size, padding: of the first layer; padding None keeps the map's size.

    Raises:
        ValueError: a size below 1, no layer; in `forward` images of another form.
    """

    def __init__(
        self, in_channels: int, channels: Sequence[int], kernel_size: int = 3, *, padding: int | None = None
    ) -> None:
        super().__init__()
        if not channels:
            raise ValueError(f"channels={channels!r}: expected at least the first layer's")
        check_positive(in_channels=in_channels, kernel_size=kernel_size)
        for width in channels:
            check_positive(channels=width)
        first = nn.Conv2d(
            in_channels, channels[0], kernel_size, padding=kernel_size // 2 if padding is None else padding
        )
        self.convs = nn.ModuleList([first, *(nn.Conv2d(a, b, 1) for a, b in pairwise(channels))])
        self.relu = nn.ReLU()
        self.in_channels = in_channels

    def forward(self, x: Tensor) -> Tensor:
        """Slide the small network over the image."""
        check_images(x, self.in_channels, 1)
        for conv in self.convs:
            x = self.relu(conv(x))
        return x


class NetworkInNetwork(nn.Module):
    """The paper's network for CIFAR: three MLP convolutions, two poolings with dropout, the mean over the map.

    Shape: (N, in_channels, H, W) -> (N, num_classes), 32 pixels in the paper. 966,986 parameters for 3 channels, 10 classes.

    Args:
        num_classes: classes, the channels of the last layer.
        in_channels: channels of the images.
        dropout: probability behind each pooling.

    Raises:
        ValueError: a size below 1; in `forward` images of another form, or smaller than 8 pixels.
    """

    def __init__(self, num_classes: int = 10, *, in_channels: int = 3, dropout: float = 0.5) -> None:
        super().__init__()
        check_positive(num_classes=num_classes)
        self.in_channels = in_channels
        self.features = nn.Sequential(
            MLPConv2d(in_channels, (192, 160, 96), 5),
            nn.MaxPool2d(3, 2, 1),
            nn.Dropout(dropout),
            MLPConv2d(96, (192, 192, 192), 5),
            nn.AvgPool2d(3, 2, 1),
            nn.Dropout(dropout),
            MLPConv2d(192, (192, 192, num_classes), 3),
        )
        he_init(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return scores, (N, num_classes)."""
        check_images(x, self.in_channels, 8)
        return self.features(x).mean((2, 3))
