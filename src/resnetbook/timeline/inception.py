"""Inception-v3 (Szegedy et al. 2016, arXiv:1512.00567, table 1) and Inception-v4 (2016, arXiv:1602.07261, figures 3 to 9).

    w * x  with w of n x n   ->   w2 * relu(w1 * x)  with w1 of 1 x n and w2 of n x 1

Asymmetric factorisation: 2n weights instead of n^2 for each pair of channels, and two layers instead of one. Together they
reach only kernels of low rank: for one channel the outer product of a column and a row. Version 3 puts it, with n = 7,
on the maps of 17 pixels; version 4 has the same ideas, more of them, and a stem with branches. Both are written here as
tables of branches. Survey: section 3(4), claims C34 and C35; it cites [24] for the factorisation where [22] is meant (E2).

Inception-v3 carries torchvision's names and loads its weights strictly, `AuxLogits` included with `aux_logits=True`. That
is not the default here: the auxiliary classifier serves training alone and needs images of 299 pixels. Inception-v4
equals timm's through `TIMM_KEYS`. Initial weights are He's, not the truncated normal of torchvision.
"""

from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from resnetbook.timeline._branches import Branches, Conv, Max, Mean, Step, Table, chain
from resnetbook.timeline._checks import check_images, check_positive, he_init
from resnetbook.timeline._conv import ConvNorm

__all__ = ["TIMM_KEYS", "VARIANTS", "InceptionOutputs", "InceptionV3", "InceptionV4"]

ROW, COLUMN = (1, 7), (7, 1)


def halve(channels: int) -> Conv:
    """Return a 3x3 convolution of stride 2 without padding: 35 -> 17 -> 8 pixels."""
    return Conv(channels, 3, stride=2, valid=True)


# The modules of version 3. Its mean pools count the zeros of the padding, those of version 4 do not.


def v3_a(pool: int) -> Table:
    """Figure 5: the 5x5 of GoogLeNet beside two 3x3 (torchvision and TF-slim keep one 5x5; the paper has none left)."""
    return {
        "branch1x1": (Conv(64),),
        "branch5x5": (Conv(48), Conv(64, 5)),
        "branch3x3dbl": (Conv(64), Conv(96, 3), Conv(96, 3)),
        "branch_pool": (Mean(pool, count_padding=True),),
    }


def v3_c(inner: int) -> Table:
    """Figure 6: n x n factorised into 1 x n and n x 1, n = 7."""
    return {
        "branch1x1": (Conv(192),),
        "branch7x7": (Conv(inner), Conv(inner, ROW), Conv(192, COLUMN)),
        "branch7x7dbl": (
            Conv(inner), Conv(inner, COLUMN), Conv(inner, ROW), Conv(inner, COLUMN), Conv(192, ROW),
        ),
        "branch_pool": (Mean(192, count_padding=True),),
    }  # fmt: skip


V3_E: Table = {  # figure 7: the two factors side by side, for more channels on the smallest maps
    "branch1x1": (Conv(320),),
    "branch3x3": (Conv(384), (Conv(384, (1, 3)), Conv(384, (3, 1)))),
    "branch3x3dbl": (Conv(448), Conv(384, 3), (Conv(384, (1, 3)), Conv(384, (3, 1)))),
    "branch_pool": (Mean(192, count_padding=True),),
}
V3_STEM: dict[str, Step] = {  # 299 -> 35 pixels
    "Conv2d_1a_3x3": halve(32),
    "Conv2d_2a_3x3": Conv(32, 3, valid=True),
    "Conv2d_2b_3x3": Conv(64, 3),
    "maxpool1": Max(),
    "Conv2d_3b_1x1": Conv(80),
    "Conv2d_4a_3x3": Conv(192, 3, valid=True),
    "maxpool2": Max(),
}
V3_35_AND_17: dict[str, Table] = {
    "Mixed_5b": v3_a(32),
    "Mixed_5c": v3_a(64),
    "Mixed_5d": v3_a(64),
    "Mixed_6a": {  # figure 10: halve the map without a bottleneck
        "branch3x3": (halve(384),),
        "branch3x3dbl": (Conv(64), Conv(96, 3), halve(96)),
        "branch_pool": (Max(),),
    },
    "Mixed_6b": v3_c(128),
    "Mixed_6c": v3_c(160),
    "Mixed_6d": v3_c(160),
    "Mixed_6e": v3_c(192),
}
V3_8: dict[str, Table] = {
    "Mixed_7a": {
        "branch3x3": (Conv(192), halve(320)),
        "branch7x7x3": (Conv(192), Conv(192, ROW), Conv(192, COLUMN), halve(192)),
        "branch_pool": (Max(),),
    },
    "Mixed_7b": V3_E,
    "Mixed_7c": V3_E,
}


class InceptionOutputs(NamedTuple):
    """What Inception-v3 returns in training with its auxiliary classifier: (N, num_classes) twice."""

    logits: Tensor
    aux_logits: Tensor


def _from_imagenets_normalisation(x: Tensor) -> Tensor:
    mean, std = x.new_tensor((0.485, 0.456, 0.406)), x.new_tensor((0.229, 0.224, 0.225))
    return x * (2 * std).view(3, 1, 1) + (2 * mean - 1).view(3, 1, 1)


class _Auxiliary(nn.Module):
    # (N, C, 17, 17) -> (N, num_classes); acts as a regulariser, says the paper (section 4).
    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.conv0 = ConvNorm(in_channels, 128, 1)
        self.conv1 = ConvNorm(128, 768, 5)
        self.fc = nn.Linear(768, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(self.conv0(functional.avg_pool2d(x, 5, stride=3)))
        return self.fc(x.mean((2, 3)))


class InceptionV3(nn.Module):
    """(N, in_channels, H, W) -> logits (N, num_classes), H and W of 75 or more; 23,834,568 parameters.

    Args:
        num_classes: outputs of the linear layer.
        aux_logits: True adds the auxiliary classifier (27,161,264 parameters). In training the network then returns
            `InceptionOutputs`, two tensors, and needs H and W of 299 or more; in evaluation it is not computed.
        in_channels: 1 for grey images, 3 for colour.

    Attributes:
        aux_weights: how much the loss of the auxiliary classifier counts in training, by its name in `InceptionOutputs`.
            The paper gives no number; .4 is that of the authors' code (inception_model.py of TensorFlow's models).
        transform_input: True turns colour images normalised as ImageNet's into images in [-1, 1], on which the published
            weights were trained.

    Raises:
        ValueError: a size below 1; in `forward` a batch of another form.
    """

    aux_weights: ClassVar[dict[str, float]] = {"aux_logits": 0.4}

    def __init__(self, num_classes: int = 1000, aux_logits: bool = False, in_channels: int = 3) -> None:
        super().__init__()
        check_positive(num_classes=num_classes, in_channels=in_channels)
        self.in_channels = in_channels
        self.aux_logits = aux_logits
        self.transform_input = False

        channels = in_channels
        for name, step in V3_STEM.items():
            self.add_module(name, step.build(channels))
            channels = step.channels or channels
        for name, table in V3_35_AND_17.items():
            channels = self._add(name, channels, table)
        self.AuxLogits = _Auxiliary(channels, num_classes) if aux_logits else None
        for name, table in V3_8.items():
            channels = self._add(name, channels, table)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(channels, num_classes)
        he_init(self)

    def _add(self, name: str, channels: int, table: Table) -> int:
        module = Branches(channels, table)
        self.add_module(name, module)
        return module.out_channels

    def forward(self, x: Tensor) -> Tensor | InceptionOutputs:
        """Return the logits, in training with an auxiliary classifier those of both."""
        classifier = self.AuxLogits if self.training else None
        check_images(x, self.in_channels, 75 if classifier is None else 299)
        if self.transform_input:
            x = _from_imagenets_normalisation(x)
        for name in (*V3_STEM, *V3_35_AND_17):
            x = getattr(self, name)(x)
        auxiliary = None if classifier is None else classifier(x)
        for name in V3_8:
            x = getattr(self, name)(x)
        logits = self.fc(self.dropout(self.avgpool(x).flatten(1)))
        return logits if auxiliary is None else InceptionOutputs(logits, auxiliary)


# The modules of version 4, on maps of 35, 17 and 8 pixels.
V4_STEM: list[Step | Table] = [  # figure 3: 299 -> 35 pixels, 384 channels
    halve(32),
    Conv(32, 3, valid=True),
    Conv(64, 3),
    {"pool": (Max(),), "conv": (halve(96),)},
    {
        "branch0": (Conv(64), Conv(96, 3, valid=True)),
        "branch1": (Conv(64), Conv(64, ROW), Conv(64, COLUMN), Conv(96, 3, valid=True)),
    },
    {"conv": (halve(192),), "pool": (Max(),)},
]
V4_A: Table = {  # figure 4
    "branch0": (Conv(96),),
    "branch1": (Conv(64), Conv(96, 3)),
    "branch2": (Conv(64), Conv(96, 3), Conv(96, 3)),
    "branch3": (Mean(96),),
}
V4_REDUCTION_A: Table = {  # figure 7
    "branch0": (halve(384),),
    "branch1": (Conv(192), Conv(224, 3), halve(256)),
    "branch2": (Max(),),
}
V4_B: Table = {  # figure 5
    "branch0": (Conv(384),),
    "branch1": (Conv(192), Conv(224, ROW), Conv(256, COLUMN)),
    "branch2": (Conv(192), Conv(192, COLUMN), Conv(224, ROW), Conv(224, COLUMN), Conv(256, ROW)),
    "branch3": (Mean(128),),
}
V4_REDUCTION_B: Table = {  # figure 8
    "branch0": (Conv(192), halve(192)),
    "branch1": (Conv(256), Conv(256, ROW), Conv(320, COLUMN), halve(320)),
    "branch2": (Max(),),
}
V4_C: Table = {  # figure 6
    "branch0": (Conv(256),),
    "branch1": (Conv(384), (Conv(256, (1, 3)), Conv(256, (3, 1)))),
    "branch2": (Conv(384), Conv(448, (3, 1)), Conv(512, (1, 3)), (Conv(256, (1, 3)), Conv(256, (3, 1)))),
    "branch3": (Mean(256),),
}


class InceptionV4(nn.Module):
    """(N, in_channels, H, W) -> logits (N, num_classes), H and W of 75 or more; 42,679,816 parameters.

    Stem, 4 modules A, reduction, 7 modules B, reduction, 3 modules C, the mean over the map, one linear layer.

    Args:
        num_classes: outputs of the linear layer.
        in_channels: 1 for grey images, 3 for colour.

    Raises:
        ValueError: a size below 1; in `forward` a batch of another form.
    """

    def __init__(self, num_classes: int = 1000, in_channels: int = 3) -> None:
        super().__init__()
        check_positive(num_classes=num_classes, in_channels=in_channels)
        self.in_channels = in_channels
        modules = [*V4_STEM, *[V4_A] * 4, V4_REDUCTION_A, *[V4_B] * 7, V4_REDUCTION_B, *[V4_C] * 3]
        self.features, channels = chain(in_channels, modules)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(channels, num_classes)
        he_init(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        check_images(x, self.in_channels, 75)
        x = self.features(x)
        return self.fc(self.dropout(self.avgpool(x).flatten(1)))


VARIANTS: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    "inception_v3": (InceptionV3, {}),
    "inception_v4": (InceptionV4, {}),
}
# timm counts the steps of a branch from 0, as members of a sequence or behind an underscore.
TIMM_STEPS = (
    (r"branch3\.1\.(conv|bn)", r"branch3.\1"),  # after the pool, which has no weights
    *((rf"branch(\d)_{step}", rf"branch\1_{step + 1}") for step in (3, 2, 1, 0)),
    *((rf"branch(\d)\.{step}\.", rf"branch\1_{step + 1}.") for step in range(5)),
)
TIMM_KEYS = (*TIMM_STEPS, (r"^last_linear", "fc"))
