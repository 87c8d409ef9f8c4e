"""DPN, the dual path network (Chen et al. 2017, arXiv:1707.01629, figure 2d, table 1 for ImageNet).

    [r, n] = F(x)                     one bottleneck, BN-ReLU-conv three times: 1x1, grouped 3x3, 1x1
    x -> [x_res + r, x_dense, n]      x = [x_res, x_dense]

One tensor carries two paths: the first channels add up as in ResNet, the others are kept and grow by `dense_increment`
as in DenseNet; F reads both. A stage opens with a projection to new widths, which has a BN-ReLU of its own. Dense
increment 0 leaves a pre-activation ResNeXt, residual width 0 a DenseNet with bottlenecks: both are settings of this
class. Survey: sections 3(3) and 4.5(7), claims C32 and C33. Against timm (tests/timeline/test_dual_path.py): the
classifier is a linear layer here, a 1x1 convolution there, and each of x and F(x) is cut by one `split`, whose backward
pass is one copy, where two slices need two copies and their sum. timm's argument for the last activation says ELU, but
what it builds is the ReLU of the authors' code, as here.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from resnetbook.principle.block import conv1x1, conv3x3
from resnetbook.timeline._checks import check_images, check_positive, he_init

__all__ = ["DPN", "TIMM_KEYS", "VARIANTS", "DualPathBlock", "from_timm"]


class NormReluConv(nn.Sequential):
    """BN, ReLU, then the convolution: the order of a pre-activation network."""

    def __init__(self, conv: nn.Conv2d) -> None:
        norm = nn.BatchNorm2d(conv.in_channels, eps=1e-3)
        super().__init__(OrderedDict(norm=norm, relu=nn.ReLU(inplace=True), conv=conv))


class DualPathBlock(nn.Module):
    """One block: (N, in_channels, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride)).

    out_channels is in_channels + dense_increment, and residual_width + 3 dense_increment after a projection.

    Args:
        in_channels: channels of x, the residual ones first.
        inner_width: channels of the grouped 3x3 convolution.
        residual_width: channels that are added; 0 leaves a dense block.
        dense_increment: channels that are appended; 0 leaves a residual block.
        stride: of the 3x3 convolution and of the projection.
        groups: of the 3x3 convolution.
        project: True at the start of a stage: x gets a 1x1 convolution to residual_width + 2 dense_increment channels.

    Raises:
        ValueError: a size out of range, `groups` that do not divide `inner_width`, or x too narrow to have the paths.
    """

    def __init__(
        self,
        in_channels: int,
        inner_width: int,
        residual_width: int,
        dense_increment: int,
        *,
        stride: int = 1,
        groups: int = 1,
        project: bool = False,
    ) -> None:
        super().__init__()
        _check_paths(residual_width, dense_increment)
        kept = residual_width + 2 * dense_increment if project else in_channels
        if kept < residual_width or (stride != 1 and not project):
            raise ValueError(
                f"in_channels={in_channels!r}, stride={stride!r}: expected project=True, or stride 1 and at least "
                f"residual_width={residual_width} channels"
            )
        self.shortcut = NormReluConv(conv1x1(in_channels, kept, stride=stride)) if project else nn.Identity()
        self.reduce = NormReluConv(conv1x1(in_channels, inner_width))
        self.grouped = NormReluConv(conv3x3(inner_width, inner_width, stride=stride, groups=groups))
        self.expand = NormReluConv(conv1x1(inner_width, residual_width + dense_increment))
        self.paths = (residual_width, kept - residual_width)
        self.written = (residual_width, dense_increment)
        self.out_channels = kept + dense_increment

    def forward(self, x: Tensor) -> Tensor:
        """Return [x_res + r, x_dense, n]."""
        residual, dense = self.shortcut(x).split(self.paths, dim=1)
        added, new = self.expand(self.grouped(self.reduce(x))).split(self.written, dim=1)
        return torch.cat([residual + added, dense, new], dim=1)


class DPN(nn.Module):
    """The network: (N, in_channels, H, W) -> logits (N, num_classes).

    H and W are 32 or more with four stages (the stem takes a quarter, each stage after the first a half), and 8 or more
    with `small_input`. Stage i, counted from 0, is 2^i times as wide as the first, but for its dense increment.

    Args:
        stages: number of blocks in each stage.
        dense_increments: channels that each block of a stage appends; 0 gives a pre-activation ResNeXt.
        residual_width: channels of the residual path in the first stage; 0 gives a DenseNet-like network.
        inner_width: channels of the grouped 3x3 convolution in the first stage.
        groups: of that convolution, in every stage.
        stem_width: channels of the first convolution.
        stem_kernel: size of the first convolution; 3 in DPN-68, 7 in the others, 3 in any case with `small_input`.
        small_input: True for small images: the first convolution has stride 1 and no pooling follows.
        num_classes: outputs of the linear layer.
        in_channels: 1 for grey images, 3 for colour.

    Raises:
        ValueError: a size out of range, `stages` and `dense_increments` of unequal length, no channel on either path, or
            `groups` that do not divide `inner_width`; in `forward` a batch of another form.
    """

    def __init__(
        self,
        stages: Sequence[int] = (3, 4, 20, 3),
        dense_increments: Sequence[int] = (16, 32, 24, 128),
        residual_width: int = 256,
        inner_width: int = 96,
        groups: int = 32,
        stem_width: int = 64,
        stem_kernel: int = 7,
        small_input: bool = False,
        num_classes: int = 1000,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        if not stages or len(stages) != len(dense_increments):
            raise ValueError(
                f"stages={tuple(stages)!r}, dense_increments={tuple(dense_increments)!r}: expected one number each for every stage"
            )
        check_positive(stem_width=stem_width, num_classes=num_classes, in_channels=in_channels)
        if stem_kernel not in (3, 5, 7):
            raise ValueError(f"stem_kernel={stem_kernel!r}: expected 3, 5 or 7")
        self.in_channels = in_channels
        self.smallest = max(8, 2 ** (len(stages) - 1)) if small_input else 4 * 2 ** (len(stages) - 1)

        # Stem: 224 -> 112 -> 56 pixels.
        size, stride = (3, 1) if small_input else (stem_kernel, 2)
        self.conv1 = nn.Conv2d(in_channels, stem_width, size, stride, padding=size // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(stem_width, eps=1e-3)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.Identity() if small_input else nn.MaxPool2d(3, stride=2, padding=1)

        # Stages: 56, 28, 14 and 7 pixels.
        channels = stem_width
        self.stages = nn.Sequential()
        for number, (blocks, increment) in enumerate(zip(stages, dense_increments, strict=True)):
            check_positive(stages=blocks)
            stage = nn.Sequential()
            for index in range(blocks):
                first = index == 0
                block = DualPathBlock(
                    channels,
                    inner_width * 2**number,
                    residual_width * 2**number,
                    increment,
                    stride=2 if first and number > 0 else 1,
                    groups=groups,
                    project=first,
                )
                channels = block.out_channels
                stage.append(block)
            self.stages.append(stage)

        # Head.
        self.norm = nn.BatchNorm2d(channels, eps=1e-3)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, num_classes)
        he_init(self)

    @property
    def blocks(self) -> list[tuple[str, DualPathBlock]]:
        """The blocks in order of depth, named as in `named_modules`: ("stages.0.0", block), ..."""
        return [(name, module) for name, module in self.named_modules() if isinstance(module, DualPathBlock)]

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        check_images(x, self.in_channels, self.smallest)
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.relu(self.norm(self.stages(x)))
        return self.fc(self.avgpool(x).flatten(1))


def _check_paths(residual_width: int, dense_increment: int) -> None:
    for name, value in (("residual_width", residual_width), ("dense_increment", dense_increment)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ValueError(f"{name}={value!r}: expected an integer of 0 or more")
    if residual_width + dense_increment < 1:
        raise ValueError("residual_width=0, dense_increment=0: expected a channel on one path at least")


VARIANTS: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    "dpn68": (DPN, {"stages": (3, 4, 12, 3), "dense_increments": (16, 32, 32, 64), "residual_width": 64,
                    "inner_width": 128, "groups": 32, "stem_width": 10, "stem_kernel": 3}),
    "dpn92": (DPN, {"stages": (3, 4, 20, 3), "dense_increments": (16, 32, 24, 128), "residual_width": 256,
                    "inner_width": 96, "groups": 32, "stem_width": 64}),
    "dpn98": (DPN, {"stages": (3, 6, 20, 3), "dense_increments": (16, 32, 32, 128), "residual_width": 256,
                    "inner_width": 160, "groups": 40, "stem_width": 96}),
    "dpn131": (DPN, {"stages": (4, 8, 28, 3), "dense_increments": (16, 32, 32, 128), "residual_width": 256,
                     "inner_width": 160, "groups": 40, "stem_width": 128}),
}  # fmt: skip

# timm counts stages from conv2 to conv5 and blocks from 1.
TIMM_KEYS: list[tuple[str, str]] = [
    (r"^features\.conv1_1\.conv\.", "conv1."),
    (r"^features\.conv1_1\.bn\.", "bn1."),
    (r"^features\.conv5_bn_ac\.bn\.", "norm."),
    (r"^classifier\.", "fc."),
    *[(rf"^features\.conv{stage + 2}_", f"stages.{stage}.") for stage in range(4)],
    *[(rf"^(stages\.\d)\.{block + 1}\.", rf"\1.{block}.") for block in range(28)],
    (r"\.c1x1_w_s[12]\.", ".shortcut."),
    (r"\.c1x1_a\.", ".reduce."),
    (r"\.c3x3_b\.", ".grouped."),
    (r"\.c1x1_c\.", ".expand."),
    (r"(shortcut|reduce|grouped|expand)\.bn\.", r"\1.norm."),
]


def from_timm(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Turn timm's classifier, a 1x1 convolution, into the linear layer that it is."""
    return {key: value.flatten(1) if key == "fc.weight" else value for key, value in state_dict.items()}
