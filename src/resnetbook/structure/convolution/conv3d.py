"""VoxResNet (Chen et al. 2018, NeuroImage 170, doi:10.1016/j.neuroimage.2017.04.041): a residual network for volumes.

    x_{l+1} = x_l + conv3x3x3 . relu . bn . conv1x3x3 . relu . bn (x_l)

Three halvings and six such units; before the first halving and after each pair of units a branch leads back to full size by
a transposed convolution, and the four branches' scores are summed: fine detail from the first, context from the last. In
training each branch has a loss of its own. 17 convolutions, 4 transposed ones and 4 classifiers make the paper's 25
layers. The first kernel of a unit is 1x3x3 here, as in a public port of the authors' network; other ports have 3x3x3
throughout (`flat=False`). Section 4.1(8), claims C44 and C45.
"""

import torch
from torch import Tensor, nn

from resnetbook.timeline._checks import check_positive

__all__ = ["VoxRes", "VoxResNet", "inflate"]


def norm_relu_conv(
    in_channels: int, out_channels: int, *, stride: int = 1, flat: bool = False
) -> nn.Sequential:
    """Return bn, relu and a convolution of 3x3x3, `flat` of 1x3x3, which keeps the volume's size but for the stride."""
    kernel, padding = ((1, 3, 3), (0, 1, 1)) if flat else ((3, 3, 3), (1, 1, 1))
    conv = nn.Conv3d(in_channels, out_channels, kernel, stride, padding)
    return nn.Sequential(nn.BatchNorm3d(in_channels), nn.ReLU(), conv)


class VoxRes(nn.Module):
    """The unit: x + conv3x3x3 . relu . bn . conv1x3x3 . relu . bn (x). Shape: (N, channels, D, H, W), kept.

    Args:
        channels: of x and of F(x).
        flat: 1x3x3 for the first kernel; False: 3x3x3.

    Raises:
        ValueError: channels below 1.
    """

    def __init__(self, channels: int = 64, *, flat: bool = True) -> None:
        super().__init__()
        check_positive(channels=channels)
        self.branch = nn.Sequential(
            norm_relu_conv(channels, channels, flat=flat), norm_relu_conv(channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return x + F(x)."""
        return x + self.branch(x)


class VoxResNet(nn.Module):
    """Volumes of several modalities to scores for each voxel.

    Shape: (N, in_channels, D, H, W) -> (N, num_classes, D, H, W); sides are multiples of 8. 1,329,024 parameters for 3
    modalities and 4 classes, 1,789,824 with `flat=False`.

    Args:
        in_channels: modalities; the paper has T1, T1-IR and FLAIR.
        num_classes: classes of a voxel.
        flat: as `VoxRes`, for every 1x3x3 of the network.

    Raises:
        ValueError: a size below 1; in `forward` volumes of another form.
    """

    def __init__(self, in_channels: int, num_classes: int, *, flat: bool = True) -> None:
        super().__init__()
        check_positive(in_channels=in_channels, num_classes=num_classes)
        self.in_channels = in_channels
        first = nn.Conv3d(in_channels, 32, 3, padding=1)
        self.stages = nn.ModuleList(
            [
                nn.Sequential(first, norm_relu_conv(32, 32, flat=flat), nn.BatchNorm3d(32), nn.ReLU()),
                nn.Sequential(
                    nn.Conv3d(32, 64, 3, stride=2, padding=1), VoxRes(64, flat=flat), VoxRes(64, flat=flat)
                ),
                *(
                    nn.Sequential(
                        norm_relu_conv(64, 64, stride=2), VoxRes(64, flat=flat), VoxRes(64, flat=flat)
                    )
                    for _ in range(2)
                ),
            ]
        )
        self.ups = nn.ModuleList(
            [
                nn.ConvTranspose3d(32, num_classes, 3, padding=1),
                *(nn.ConvTranspose3d(64, num_classes, scale, scale) for scale in (2, 4, 8)),
            ]
        )
        self.classifiers = nn.ModuleList(nn.Conv3d(num_classes, num_classes, 1) for _ in self.ups)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def branches(self, x: Tensor) -> list[Tensor]:
        """Return the scores of the four branches, fine to coarse, each (N, num_classes, D, H, W)."""
        if (
            x.dim() != 5
            or x.shape[1] != self.in_channels
            or any(side % 8 or not side for side in x.shape[2:])
        ):
            raise ValueError(
                f"x of shape {tuple(x.shape)}: expected (N, {self.in_channels}, D, H, W) with sides that 8 divides"
            )
        scores = []
        for stage, up, classify in zip(self.stages, self.ups, self.classifiers, strict=True):
            x = stage(x)
            scores.append(classify(up(x)))
        return scores

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of the branches' scores."""
        return torch.stack(self.branches(x)).sum(0)


def inflate(weight: Tensor, depth: int) -> Tensor:
    """Return a kernel for volumes that does to a volume of equal slices what a 2D kernel does to one of them.

    Shape: (O, C, h, w) -> (O, C, depth, h, w): copies, divided by `depth`.

    Raises:
        ValueError: not a 2D kernel, or a depth below 1.
    """
    check_positive(depth=depth)
    if weight.dim() != 4:
        raise ValueError(f"weight of shape {tuple(weight.shape)}: expected (O, C, h, w)")
    return weight[:, :, None].expand(-1, -1, depth, -1, -1) / depth
