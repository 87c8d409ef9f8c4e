"""Feature pyramid (Lin et al. 2017, arXiv:1612.03144, figure 3): fine maps that know what coarse ones have found.

    P_5 = 1x1(C_5)      P_l = 1x1(C_l) + P_{l+1} enlarged      and a 3x3 convolution on each before it is used

C_2 to C_5 are the outputs of a residual network's four stages. P_6 takes every second cell of P_5, for the largest boxes.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from resnetbook.principle.block import BasicBlock, Bottleneck
from resnetbook.timeline._checks import check_images, check_positive
from resnetbook.timeline.resnet import ResNet

__all__ = ["Backbone", "FeaturePyramid", "StageMaps"]


class StageMaps(ResNet):
    """A ResNet without its classifier: (N, in_channels, H, W) -> the maps of its stages, strides 4, 8, 16 and 32."""

    def __init__(
        self, block: type[BasicBlock] | type[Bottleneck], layers: Sequence[int], *, in_channels: int = 3
    ) -> None:
        super().__init__(block, layers, num_classes=1, in_channels=in_channels)
        self.channels = tuple(width * block.expansion for width in (64, 128, 256, 512))
        self.fc = nn.Identity()  # type: ignore[assignment]

    def forward(self, x: Tensor) -> list[Tensor]:  # type: ignore[override]
        """Return the maps, fine to coarse."""
        check_images(x, self.in_channels, 32)
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        maps = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            maps.append(x)
        return maps


class FeaturePyramid(nn.Module):
    """Maps of a trunk, fine to coarse, to as many maps of equal width, and one more of half the coarsest's size.

    Args:
        channels: of the trunk's maps.
        width: of the pyramid.

    Raises:
        ValueError: no map, a size below 1.
    """

    def __init__(self, channels: Sequence[int], width: int = 256) -> None:
        super().__init__()
        if not channels:
            raise ValueError(f"channels={channels!r}: expected at least one map")
        check_positive(width=width)
        # Each in a Sequential of one: the names of torchvision's weights.
        self.inner_blocks = nn.ModuleList(nn.Sequential(nn.Conv2d(c, width, 1)) for c in channels)
        self.layer_blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 3, padding=1)) for _ in channels
        )
        for conv in (m for m in self.modules() if isinstance(m, nn.Conv2d)):
            nn.init.kaiming_uniform_(conv.weight, a=1)
            if conv.bias is not None:
                nn.init.zeros_(conv.bias)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Return the pyramid, fine to coarse."""
        lateral = [inner(x) for inner, x in zip(self.inner_blocks, maps, strict=True)]
        found = [lateral[-1]]
        for x in lateral[-2::-1]:
            found.insert(0, x + functional.interpolate(found[0], size=x.shape[2:], mode="nearest"))
        out = [layer(x) for layer, x in zip(self.layer_blocks, found, strict=True)]
        return [*out, out[-1][:, :, ::2, ::2]]


class Backbone(nn.Module):
    """A trunk and the pyramid on it. `body` gives maps, fine to coarse, of `channels`."""

    def __init__(self, body: nn.Module, channels: Sequence[int], width: int = 256) -> None:
        super().__init__()
        self.body = body
        self.fpn = FeaturePyramid(channels, width)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the pyramid."""
        return self.fpn(self.body(x))
