"""Shared weights (Boulch 2018, ShaResNet, arXiv:1702.08782): one kernel for all units of a stage.

    y_l = x_l + w * relu(bn_l(...))       the same w for every l of a stage, normalisation for each l its own

A residual unit corrects its input a little; if neighbours make similar corrections, they may use the same kernel. Gradients
of all places where it stands are added. Training is unchanged, and so is the time of a pass: what shrinks is the number of
parameters. The author's rules for which convolutions share, and the counts that follow, are in `share_weights`.
Section 4.3(4), claims C57 and C89.
"""

from collections.abc import Iterable, Sequence

from torch import Tensor, nn

from resnetbook.principle.block import conv3x3
from resnetbook.structure.residual_unit._unit import ResidualUnit
from resnetbook.timeline._checks import he_init

__all__ = ["SharedWeightsUnit", "share", "share_weights"]


class SharedWeightsUnit(ResidualUnit):
    """The pre-activation unit whose second convolution may belong to several units. Shape: (N, channels, H, W), kept.

    Args:
        channels: of x and y.
        shared: the second convolution of another such unit; None makes a new one.

    Raises:
        ValueError: channels below 1, or a convolution of another form; in `forward` maps of another form.
    """

    def __init__(self, channels: int, *, shared: nn.Conv2d | None = None) -> None:
        super().__init__(channels)
        if shared is not None and shared.weight.shape != (channels, channels, 3, 3):
            raise ValueError(
                f"shared: its weight has the shape {tuple(shared.weight.shape)}, expected {(channels, channels, 3, 3)}"
            )
        self.bn1, self.conv1 = nn.BatchNorm2d(channels), conv3x3(channels, channels)
        self.bn2, self.conv2 = (
            nn.BatchNorm2d(channels),
            conv3x3(channels, channels) if shared is None else shared,
        )
        self.relu = nn.ReLU()
        he_init(self if shared is None else self.conv1)

    def branch(self, x: Tensor) -> Tensor:
        """Return F(x)."""
        return self.conv2(self.relu(self.bn2(self.conv1(self.relu(self.bn1(x))))))


def share(convs: Sequence[nn.Conv2d]) -> None:
    """Give all convolutions the weight of the first; from then on they are one parameter.

    Raises:
        ValueError: weights of different shapes.
    """
    for conv in convs[1:]:
        if conv.weight.shape != convs[0].weight.shape:
            raise ValueError(
                f"convs: weights of the shapes {tuple(convs[0].weight.shape)} and {tuple(conv.weight.shape)}, expected one"
            )
        conv.weight = convs[0].weight


def share_weights(stages: Iterable[Sequence[nn.Module]], *, first_own: bool) -> None:
    """Share `conv2` within each stage of a network of `resnetbook.timeline`, as the author's code does.

    A unit whose second convolution has a stride of 2 or another shape stays as it is.

    Args:
        stages: the units of each stage, such as (net.layer1, net.layer2, net.layer3).
        first_own: the first unit of each stage keeps its own kernel too: the author's rule for networks on CIFAR
            (PreAct-164: 929,114 parameters for 1,703,258; WRN-40-4: 5,852,634 for 8,949,210). Without it: his rule for
            ImageNet (ResNet-34: 13,613,864, ResNet-50: 20,469,800).

    Raises:
        ValueError: a unit without `conv2`.
    """
    for units in stages:
        kept: list[nn.Conv2d] = []
        for index, unit in enumerate(units):
            conv = getattr(unit, "conv2", None)
            if not isinstance(conv, nn.Conv2d):
                raise ValueError(
                    f"stages: {type(unit).__name__} has no convolution conv2, expected units of two or three"
                )
            if conv.stride == (1, 1) and not (first_own and index == 0):
                kept.append(conv)
        share(kept)
