"""Plain and residual twins: the networks of He et al. (2016, arXiv:1512.03385, section 4.2) for small images.

A 3x3 convolution, three stages of n basic blocks with widths 16, 32, 64 (the second and third start with stride 2),
global average pooling and one linear layer: 6n + 2 layers with weights. With shortcuts of type A the plain network and
the residual one differ in the additions alone and have the same parameters, 97,216 n - 21,926 for colour images and ten
classes. Survey: sections 1 and 2, claims C03, C06, C07.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from resnetbook.principle.block import BasicBlock, Shortcut, conv3x3

__all__ = ["TwinNet", "blocks_per_stage", "twins"]


def blocks_per_stage(depth: int) -> int:
    """Return n for a depth of 6n + 2.

    Raises:
        ValueError: no n of 1 or more gives this depth; the message names the nearest depths.
    """
    if isinstance(depth, int) and not isinstance(depth, bool) and depth >= 8 and (depth - 2) % 6 == 0:
        return (depth - 2) // 6
    if not isinstance(depth, int) or depth < 8:
        raise ValueError(f"depth={depth!r}: expected 6n + 2 with n of 1 or more; the smallest is 8")
    below = depth - (depth - 2) % 6
    raise ValueError(f"depth={depth}: expected 6n + 2; the nearest are {below} and {below + 6}")


class TwinNet(nn.Module):
    """The 6n + 2 layer network, residual or plain, with He's initial weights.

    Shape: (N, in_channels, H, W) -> (N, num_classes), H and W of 4 or more (the stages see H, H/2 and H/4).
    Convolutions start from a normal distribution of variance 2 / fan_in (He et al. 2015, arXiv:1502.01852, equation 10),
    the linear layer from PyTorch's default.

    Args:
        depth: 8, 14, 20, 26, 32, ..., 56, ..., 110: layers with weights, projections not counted.
        num_classes: outputs of the linear layer.
        in_channels: 1 for grey images, 3 for colour.
        widths: channels of the three stages.
        shortcut: type "A", "B" or "C" (see `resnetbook.principle.block`).
        residual: False for the plain twin.
        norm: False leaves out every batch normalisation.
        bias: True gives each convolution a bias, drawn from PyTorch's default distribution. Without normalisation it
            decides whether gradients of shallow and deep layers part: a ReLU network without biases is homogeneous,
            and the inner product of weight and weight gradient is then the same in every layer.

    Raises:
        ValueError: a depth other than 6n + 2, other than three widths, a size below 1, an unknown shortcut; in
            `forward` an input that is not (N, in_channels, H, W) with H and W of 4 or more.
    """

    def __init__(
        self,
        depth: int,
        *,
        num_classes: int = 10,
        in_channels: int = 1,
        widths: Sequence[int] = (16, 32, 64),
        shortcut: Shortcut = "A",
        residual: bool = True,
        norm: bool = True,
        bias: bool = False,
    ) -> None:
        super().__init__()
        n = blocks_per_stage(depth)
        if len(widths) != 3:
            raise ValueError(f"widths={tuple(widths)!r}: expected three, one for each stage")
        if not isinstance(num_classes, int) or num_classes < 1:
            raise ValueError(f"num_classes={num_classes!r}: expected an integer of 1 or more")
        self.depth = depth
        self.in_channels = in_channels
        options: dict[str, Any] = {"shortcut": shortcut, "residual": residual, "norm": norm, "bias": bias}

        def stage(channels_in: int, channels: int, stride: int) -> nn.Sequential:
            # Only the first block of a stage changes the shape.
            plan = [(channels_in, stride)] + [(channels, 1)] * (n - 1)
            return nn.Sequential(*(BasicBlock(c, channels, stride=s, **options) for c, s in plan))

        self.conv1 = conv3x3(in_channels, widths[0], bias=bias)
        self.bn1 = nn.BatchNorm2d(widths[0]) if norm else nn.Identity()
        self.relu = nn.ReLU()
        self.layer1 = stage(widths[0], widths[0], 1)
        self.layer2 = stage(widths[0], widths[1], 2)
        self.layer3 = stage(widths[1], widths[2], 2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(widths[2], num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    @property
    def blocks(self) -> list[tuple[str, nn.Module]]:
        """The blocks in order of depth, named as in `named_modules`: ("layer1.0", block), ..."""
        return [(name, module) for name, module in self.named_modules() if isinstance(module, BasicBlock)]

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, (N, num_classes)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels or min(x.shape[2:]) < 4:
            raise ValueError(
                f"x of shape {tuple(x.shape)}: expected (N, {self.in_channels}, H, W) with H and W of 4 or more"
            )
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.layer3(self.layer2(self.layer1(out)))
        return self.fc(self.avgpool(out).flatten(1))


def twins(depth: int, **changes: Any) -> tuple[TwinNet, TwinNet]:
    """Return (plain, residual): two networks of this depth that start from the same weights.

    `changes` are keyword arguments of `TwinNet` for both, but `residual`. The weights come from torch's current random
    state: call `torch.manual_seed` first. With shortcut "B" or "C" the residual twin has its projections besides.

    Raises:
        ValueError: `residual` among the changes, or a bad argument of `TwinNet`.
    """
    if "residual" in changes:
        raise ValueError(f"residual={changes['residual']!r}: the twins are one of each; leave it out")
    plain = TwinNet(depth, residual=False, **changes)
    residual = TwinNet(depth, residual=True, **changes)
    shared = residual.state_dict()
    plain.load_state_dict({name: shared[name] for name in plain.state_dict()})
    return plain, residual
