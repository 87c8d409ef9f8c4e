"""Inception-ResNet-v1 and v2 (Szegedy et al. 2016, arXiv:1602.07261, figures 10 to 20).

    y = relu(x + scale W concat(b_1(x), ..., b_k(x)))

An Inception module with a shortcut around it. W is a 1x1 convolution with a bias and without normalisation, which brings the
branches back to the channels of x; `scale` makes the branch small beside x. The paper found that with more than a thousand
filters training died unless the branches were scaled by .1 to .3. Survey: section 3(4) and 4.5(2), claim C36; 4.5 cites
[24] where [23] is meant (E2).

Sources disagree about the number of modules. The paper's figure 15 has 5, 10 and 5 for both versions; TF-slim, and so timm and
pytorchcv, have 10, 20 and 10 in version 2. The default here is timm's, whose weights load through `TIMM_KEYS`;
`blocks=(5, 10, 5)` is the figure's. Version 1 follows pytorchcv (and FaceNet): 5, 10 and 6 modules, and before the last linear
layer another of 512 outputs, which the paper does not have. In both the last module has no relu and a scale of 1.
The widths of all branches stand as tables in `_inception_resnet_tables`.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from resnetbook.timeline._branches import Branches, Conv, Max, Step, Table, chain
from resnetbook.timeline._checks import check_images, check_positive, he_init
from resnetbook.timeline._conv import ConvNorm
from resnetbook.timeline._inception_resnet_tables import SCALES, STEM, V1, V2, V2_MIXED_5B
from resnetbook.timeline.inception import TIMM_STEPS, halve

__all__ = [
    "TIMM_KEYS",
    "VARIANTS",
    "InceptionResNetV1",
    "InceptionResNetV2",
    "MiniInceptionResNet",
    "ResidualInception",
]


class ResidualInception(nn.Module):
    """y = relu(x + scale F(x)), F = W concat(branches): (N, channels, H, W) -> the same.

    Args:
        channels: of x and y.
        table: the branches, as in `Branches`; they keep the map.
        scale: of F. 0 leaves x, which no negative value enters after a relu.
        residual: False leaves out the sum and the scale: y = relu(F(x)).
        activate: False leaves out the relu.
    """

    def __init__(
        self, channels: int, table: Table, scale: float, residual: bool = True, activate: bool = True
    ) -> None:
        super().__init__()
        self.scale = scale
        self.residual = residual
        self.branches = Branches(channels, table)
        self.conv = nn.Conv2d(self.branches.out_channels, channels, 1)
        self.relu = nn.ReLU(inplace=True) if activate else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(x + scale F(x))."""
        out = self.conv(self.branches(x))
        if self.residual:
            out = x + self.scale * out
        return self.relu(out)


class _InceptionResNet(nn.Module):
    # What both versions share: all but the head.

    def __init__(
        self,
        stem: Sequence[Step | Table],
        tables: Sequence[Table],
        blocks: Sequence[int],
        scale: float | None,
        in_channels: int,
    ) -> None:
        super().__init__()
        if len(blocks) != 3:
            raise ValueError(f"blocks={tuple(blocks)!r}: expected three numbers of modules")
        for count in blocks:
            check_positive(blocks=count)
        check_positive(in_channels=in_channels)
        if scale is not None:
            _check_scale(scale)
        scale35, scale17, scale8, last = ((own if scale is None else scale) for own in SCALES)
        self.in_channels = in_channels
        self.stem, channels = chain(in_channels, stem)
        self.blocks35 = _stack(blocks[0], channels, tables[0], scale35)
        self.reduction_a = Branches(channels, tables[1])
        channels = self.reduction_a.out_channels
        self.blocks17 = _stack(blocks[1], channels, tables[2], scale17)
        self.reduction_b = Branches(channels, tables[3])
        self.channels = self.reduction_b.out_channels
        self.blocks8 = _stack(blocks[2] - 1, self.channels, tables[4], scale8)
        self.blocks8.append(ResidualInception(self.channels, tables[4], last, activate=False))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.2)

    def features(self, x: Tensor) -> Tensor:
        """Return the last map, of 8 pixels for an image of 299."""
        check_images(x, self.in_channels, 75)
        x = self.reduction_a(self.blocks35(self.stem(x)))
        return self.blocks8(self.reduction_b(self.blocks17(x)))


def _stack(count: int, channels: int, table: Table, scale: float) -> nn.Sequential:
    return nn.Sequential(*[ResidualInception(channels, table, scale) for _ in range(count)])


def _check_scale(scale: float) -> None:
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 <= scale < float("inf"):
        raise ValueError(f"scale={scale!r}: expected a number of 0 or more")


class InceptionResNetV1(_InceptionResNet):
    """(N, in_channels, H, W) -> logits (N, num_classes), H and W of 75 or more; 23,995,624 parameters.

    Args:
        num_classes: outputs of the last linear layer.
        in_channels: 1 for grey images, 3 for colour.
        scale: of all branches; None for the modules' own, .17, .10, .20 by stage and 1 in the last module.
        blocks: residual modules on the maps of 35, 17 and 8 pixels.

    Raises:
        ValueError: a size below 1, a negative scale, or another number of stages; in `forward` a batch of another form.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        scale: float | None = None,
        blocks: Sequence[int] = (5, 10, 6),
    ) -> None:
        check_positive(num_classes=num_classes)
        super().__init__([*STEM, halve(256)], V1, blocks, scale, in_channels)
        self.embedding = nn.Linear(self.channels, 512, bias=False)
        self.bn = nn.BatchNorm1d(512, eps=0.001)
        self.fc = nn.Linear(512, num_classes)
        he_init(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        x = self.dropout(self.avgpool(self.features(x)).flatten(1))
        return self.fc(self.bn(self.embedding(x)))


class InceptionResNetV2(_InceptionResNet):
    """(N, in_channels, H, W) -> logits (N, num_classes), H and W of 75 or more; 55,843,464 parameters.

    Args:
        num_classes: outputs of the linear layer.
        in_channels: 1 for grey images, 3 for colour.
        scale: of all branches; None for the modules' own, .17, .10, .20 by stage and 1 in the last module.
        blocks: residual modules on the maps of 35, 17 and 8 pixels.

    Raises:
        ValueError: a size below 1, a negative scale, or another number of stages; in `forward` a batch of another form.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        scale: float | None = None,
        blocks: Sequence[int] = (10, 20, 10),
    ) -> None:
        check_positive(num_classes=num_classes)
        super().__init__([*STEM, Max(), V2_MIXED_5B], V2, blocks, scale, in_channels)
        self.conv_7b = ConvNorm(self.channels, 1536, 1)
        self.fc = nn.Linear(1536, num_classes)
        he_init(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        x = self.avgpool(self.conv_7b(self.features(x)))
        return self.fc(self.dropout(x.flatten(1)))


class MiniInceptionResNet(nn.Module):
    """Our small form, for images of 8 to 32 pixels: (N, in_channels, H, W) -> logits (N, num_classes), H, W of 4 or more.

    A 3x3 convolution, then three stages of equal residual modules (1x1; 1x1, 3x3; 1x1, 1x3, 3x1: each a quarter of the
    stage's channels), a reduction module between two stages, the mean over the map, one linear layer. It is in no paper.

    Args:
        num_classes: outputs of the linear layer.
        in_channels: 1 for grey images, 3 for colour.
        widths: channels of the three stages, rising, multiples of 4.
        blocks: residual modules in each stage.
        scale: of the branches beside the shortcut.
        residual: False for the plain network: the sums (and the scale) left out, the same parameters.

    Raises:
        ValueError: a bad size, scale or width; in `forward` a batch of another form.
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 3,
        widths: Sequence[int] = (16, 32, 64),
        blocks: int = 3,
        scale: float = 0.3,
        residual: bool = True,
    ) -> None:
        super().__init__()
        check_positive(num_classes=num_classes, in_channels=in_channels, blocks=blocks)
        rising = len(widths) == 3 and all(a < b for a, b in zip((0, *widths), widths, strict=False))
        if not rising or any(width % 4 for width in widths):
            raise ValueError(f"widths={tuple(widths)!r}: expected three rising multiples of 4")
        _check_scale(scale)
        self.in_channels = in_channels
        self.stem = ConvNorm(in_channels, widths[0], 3, padding=1)
        stages: list[nn.Module] = []
        before = widths[0]
        for width in widths:
            if width > before:
                stages.append(
                    Branches(before, {"conv": (Conv(width - before, 3, stride=2),), "pool": (Max(1),)})
                )
            quarter = width // 4
            table: Table = {
                "branch0": (Conv(quarter),),
                "branch1": (Conv(quarter), Conv(quarter, 3)),
                "branch2": (Conv(quarter), Conv(quarter, (1, 3)), Conv(quarter, (3, 1))),
            }
            stages += [ResidualInception(width, table, scale, residual) for _ in range(blocks)]
            before = width
        self.features = nn.Sequential(*stages)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(before, num_classes)
        he_init(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        check_images(x, self.in_channels, 4)
        return self.fc(self.avgpool(self.features(self.stem(x))).flatten(1))


VARIANTS: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    "inception_resnet_v1": (InceptionResNetV1, {}),
    "inception_resnet_v2": (InceptionResNetV2, {}),
}
# timm's version 2.
TIMM_KEYS = (
    *TIMM_STEPS,
    *((rf"^conv2d_{key}\.", f"stem.{i}.") for i, key in enumerate(("1a", "2a", "2b", "", "3b", "4a"))),
    (r"^mixed_5b\.", "stem.7."),
    (r"^mixed_6a\.", "reduction_a."),
    (r"^mixed_7a\.", "reduction_b."),
    (r"^block8\.", "repeat_2.9."),
    (r"^(repeat\w*\.\d+)\.branch", r"\1.branches.branch"),
    (r"^repeat\.", "blocks35."),
    (r"^repeat_1\.", "blocks17."),
    (r"^repeat_2\.", "blocks8."),
    (r"\.conv2d\.", ".conv."),
    (r"^conv2d_7b\.", "conv_7b."),
    (r"^classif\.", "fc."),
)
