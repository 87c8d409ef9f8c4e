"""Dense connection (Huang et al. 2017, DenseNet, arXiv:1608.06993, equation 2): each layer sees all maps before it.

    x_l = w_l * [x_0, x_1, ..., x_{l-1}]  =  sum over j of  w_lj * x_j

The second form is why it belongs beside the residual block: a convolution of a concatenation is a sum of convolutions, one
for each map, where a residual network has w_lj = 1 for all maps but one. l layers have l (l + 1) / 2 connections, within a
block alone, not between any two layers of the network as the survey has it (erratum E3). The network, with its
normalisation and its bottlenecks, is `resnetbook.timeline.densenet`. Section 4.1(6), claims C30 to C33.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from resnetbook.timeline._checks import check_images, check_positive

__all__ = ["DenseConv2d"]


class DenseConv2d(nn.Module):
    """3x3 convolutions, each on the concatenation of x and of all outputs so far; a ReLU behind each.

    Shape: (N, in_channels, H, W) -> (N, in_channels + layers * growth, H, W).

    Args:
        in_channels: channels of x.
        growth: channels that each layer adds.
        layers: how many; 0 hands on x.

    Attributes:
        connections: pairs of a layer and a map that it reads.

    Raises:
        ValueError: channels or growth below 1, a negative number of layers; in `forward` images of another form.
    """

    def __init__(self, in_channels: int, growth: int, layers: int) -> None:
        super().__init__()
        check_positive(in_channels=in_channels, growth=growth)
        if isinstance(layers, bool) or not isinstance(layers, int) or layers < 0:
            raise ValueError(f"layers={layers!r}: expected an integer of 0 or more")
        self.in_channels, self.growth = in_channels, growth
        self.convs = nn.ModuleList(
            nn.Conv2d(in_channels + index * growth, growth, 3, padding=1) for index in range(layers)
        )
        self.connections = layers * (layers + 1) // 2

    def forward(self, x: Tensor) -> Tensor:
        """Return x and all outputs, concatenated."""
        check_images(x, self.in_channels, 1)
        for conv in self.convs:
            x = torch.cat([x, functional.relu(conv(x))], 1)
        return x

    def from_each(self, layer: int, x: Tensor) -> list[Tensor]:
        """Return what each map adds to the sum of one layer, before bias and ReLU: w_lj * x_j, the maps in order.

        Args:
            layer: which, from 0.
            x: what the layer reads, (N, in_channels + layer * growth, H, W).

        Raises:
            ValueError: a layer that there is not, or maps of another form.
        """
        if not 0 <= layer < len(self.convs):
            raise ValueError(f"layer={layer}: expected 0 to {len(self.convs) - 1}")
        sizes = [self.in_channels] + [self.growth] * layer
        check_images(x, sum(sizes), 1)
        kernels = self.convs[layer].get_parameter("weight").split(sizes, 1)
        return [
            functional.conv2d(part, w, padding=1) for part, w in zip(x.split(sizes, 1), kernels, strict=True)
        ]
