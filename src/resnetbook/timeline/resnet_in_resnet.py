"""ResNet in ResNet, RiR (Targ, Almeida and Lyman 2016, arXiv:1603.08029, equation 1, figure 1 and table 1).

    r_{l+1} = relu(norm(W_rr r_l + W_tr t_l + s(r_l)))      residual stream, with a shortcut
    t_{l+1} = relu(norm(W_rt r_l + W_tt t_l))               transient stream, without

A layer has two streams of equal width and four 3x3 convolutions between them. Without the transient stream it is a residual
layer (of one convolution, normalised after the sum), without the residual stream a plain one. RiR puts two such layers in the
place of the two convolutions of a residual block, so that a shortcut over both is left as well: `outer`. The sources part
here: one public implementation has it (zero padding, added after the ReLU), two leave it out, and equation 1 says only how a
layer's own shortcut is added, before normalisation and ReLU. `join` names both places. "after" (default) is that
implementation's: r leaves a block as relu(...) + r, never below what came in, so a block cannot forget what r holds, whatever
its weights; He et al. 2016 (arXiv:1603.05027, figure 4c) say the same of a ReLU before the addition. With "before" the outer
shortcut stands in the second layer's sum, as its own shortcut does, and a block that normalises to zero forgets. Survey:
sections 3(3) and 4.5(1), claims C23 and C88.

"ResNet Init" is the same layer as one convolution on the 2c channels of both streams, whose centre tap starts with an
identity from r to r: `ResNetInit`, with `one_convolution` to carry an RiR over. Weight decay tells the two apart: it pulls RiR
towards the identity and ResNet Init towards zero.

Differs from pytorchcv, whose `rir_cifar10` carries our weights by order: nothing with `outer=False`, 9,492,980 parameters. With
zero padding for its two 1x1 projections there are 9,469,940.
"""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from resnetbook.principle.block import Shortcut, ShortcutA, conv1x1, conv3x3, shortcut
from resnetbook.timeline._checks import check_images, check_positive
from resnetbook.timeline._resnet_init import ResNetInit, add_identity, draw, plan_of

Streams = Literal["residual", "both", "none"]
Join = Literal["after", "before"]

__all__ = [
    "VARIANTS",
    "GeneralizedLayer",
    "Join",
    "ResNetInit",
    "RiR",
    "RiRBlock",
    "Streams",
    "one_convolution",
    "turn_off",
]


class GeneralizedLayer(nn.Module):
    """(r, t), each (N, in_channels, H, W) -> (r, t), each (N, channels, H / stride, W / stride).

    Args:
        in_channels: channels of each stream.
        channels: channels of each stream after the layer.
        stride: of all four convolutions and of the shortcut.
        kind: type "A", "B" (a 1x1 convolution without normalisation) or "C" of the shortcut.
        shortcuts: the streams that have one: "residual" as in the paper, "both" for a residual layer of twice the width,
            "none" for a plain one.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        stride: int = 1,
        kind: Shortcut = "B",
        shortcuts: Streams = "residual",
    ) -> None:
        super().__init__()
        if shortcuts not in get_args(Streams):
            raise ValueError(f"shortcuts={shortcuts!r}: expected 'residual', 'both' or 'none'")
        self.conv_rr = conv3x3(in_channels, channels, stride=stride)
        self.conv_tt = conv3x3(in_channels, channels, stride=stride)
        self.conv_rt = conv3x3(in_channels, channels, stride=stride)
        self.conv_tr = conv3x3(in_channels, channels, stride=stride)
        self.bn_r = nn.BatchNorm2d(channels)
        self.bn_t = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        for convolution in (self.conv_rr, self.conv_tt, self.conv_rt, self.conv_tr):
            draw(convolution, streams=2)

        def of(stream: str) -> nn.Module | None:
            has = shortcuts in (stream, "both")
            return shortcut(kind, in_channels, channels, stride=stride, norm=False) if has else None

        self.shortcut, self.shortcut_t = of("residual"), of("transient")

    def forward(self, r: Tensor, t: Tensor, beside: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return both streams after the layer; `beside`, of the shape of r after it, joins the sum of the residual stream."""
        residual = self.conv_rr(r) + self.conv_tr(t)
        if beside is not None:
            residual = residual + beside
        transient = self.conv_rt(r) + self.conv_tt(t)
        if self.shortcut is not None:
            residual = residual + self.shortcut(r)
        if self.shortcut_t is not None:
            transient = transient + self.shortcut_t(t)
        return self.relu(self.bn_r(residual)), self.relu(self.bn_t(transient))


class RiRBlock(nn.Module):
    """Two generalised layers; with `outer` the residual stream also passes beside both. Shapes and arguments as theirs.

    `join` says where it is added: "after" the second layer's ReLU, or "before" its normalisation.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        stride: int = 1,
        kind: Shortcut = "B",
        shortcuts: Streams = "residual",
        outer: bool = True,
        join: Join = "after",
    ) -> None:
        super().__init__()
        if join not in get_args(Join):
            raise ValueError(f"join={join!r}: expected 'after' or 'before'")
        self.join = join
        self.layer1 = GeneralizedLayer(in_channels, channels, stride=stride, kind=kind, shortcuts=shortcuts)
        self.layer2 = GeneralizedLayer(channels, channels, kind=kind, shortcuts=shortcuts)
        self.shortcut = shortcut("A", in_channels, channels, stride=stride) if outer else None

    def forward(self, r: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return both streams after the block."""
        beside = None if self.shortcut is None else self.shortcut(r)
        if beside is None or self.join == "before":
            return self.layer2(*self.layer1(r, t), beside)
        residual, transient = self.layer2(*self.layer1(r, t))
        return residual + beside, transient


class RiR(nn.Module):
    """The network for small images: (N, in_channels, H, W) -> logits (N, num_classes), H and W of 4 or more.

    A convolution for each stream, three stages of blocks on maps of H, H/2 and H/4, a 1x1 convolution on both streams to the
    classes, and the mean over the map. The n blocks are spread evenly over the stages, the later ones first.

    Args:
        depth: 2n + 2 layers, n of 3 or more: 18 in the paper, with 2, 3 and 3 blocks.
        widen_factor: multiplies the widths: 3 for the paper's "wide", 48, 96 and 192 channels a stream.
        num_classes: channels of the last convolution.
        in_channels: 1 for grey images, 3 for colour.
        outer: shortcut of the residual stream over each block of two layers.
        shortcut: "B" (projection) or "A" (zero padding) where a layer changes the shape; "C" projects in each layer.
        widths: channels of one stream in the three stages, before widening.
        shortcuts: which streams have shortcuts in their layers, see `GeneralizedLayer`; the weights are drawn alike.
        join: where the outer shortcut is added, "after" a block's last ReLU or "before" its last normalisation; without
            parameters either way.

    Raises:
        ValueError: a depth other than 2n + 2, an unknown word, a size below 1; in `forward` a bad batch.
    """

    def __init__(
        self,
        depth: int = 18,
        widen_factor: int = 1,
        num_classes: int = 10,
        in_channels: int = 3,
        outer: bool = True,
        shortcut: Shortcut = "B",
        widths: Sequence[int] = (16, 32, 64),
        shortcuts: Streams = "residual",
        join: Join = "after",
    ) -> None:
        super().__init__()
        plan = plan_of(depth, widen_factor, widths)
        check_positive(num_classes=num_classes, in_channels=in_channels)
        self.in_channels = in_channels
        self.widths = tuple(width for _, width in plan)
        channels = self.widths[0]
        self.conv_r, self.bn_r = conv3x3(in_channels, channels), nn.BatchNorm2d(channels)
        self.conv_t, self.bn_t = conv3x3(in_channels, channels), nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        for convolution in (self.conv_r, self.conv_t):
            draw(convolution, streams=1)
        forms: dict[str, Any] = {"shortcuts": shortcuts, "outer": outer, "join": join}
        stages = []
        for number, (blocks, width) in enumerate(plan):
            stage = nn.ModuleList()
            for position in range(blocks):
                stride = 2 if number > 0 and position == 0 else 1
                stage.append(RiRBlock(channels, width, stride=stride, kind=shortcut, **forms))
                channels = width
            stages.append(stage)
        self.layer1, self.layer2, self.layer3 = stages
        self.classes = conv1x1(2 * channels, num_classes)
        self.bn = nn.BatchNorm2d(num_classes)
        self.avgpool = nn.AdaptiveAvgPool2d(1)

    @property
    def blocks(self) -> list[tuple[str, nn.Module]]:
        """The blocks in order of depth, named as in `named_modules`: ("layer1.0", block), ..."""
        return [(name, module) for name, module in self.named_modules() if isinstance(module, RiRBlock)]

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        check_images(x, self.in_channels, 4)
        r, t = self.relu(self.bn_r(self.conv_r(x))), self.relu(self.bn_t(self.conv_t(x)))
        for stage in (self.layer1, self.layer2, self.layer3):
            for block in stage:
                r, t = block(r, t)
        x = self.bn(self.classes(torch.cat([r, t], 1)))
        return self.avgpool(x).flatten(1)


@torch.no_grad()
def one_convolution(network: RiR) -> ResNetInit:
    """Return the ResNet Init that computes what `network` does: a layer's four convolutions and its shortcut as one.

    Raises:
        ValueError: an outer shortcut, or a layer's shortcut other than identity and zero padding on the residual stream.
    """
    layers = [module for module in network.modules() if isinstance(module, GeneralizedLayer)]
    if any(getattr(block, "shortcut", None) is not None for _, block in network.blocks):
        raise ValueError("outer=True: expected a network without; two layers are not one convolution")
    if any(p.shortcut_t is not None or not isinstance(p.shortcut, nn.Identity | ShortcutA) for p in layers):
        raise ValueError("shortcut: expected type 'A', on the residual stream alone")
    pieces: list[Tensor] = [torch.cat([network.conv_r.weight, network.conv_t.weight])]
    pieces += _joined(network.bn_r, network.bn_t)
    for layer in layers:
        to_r = torch.cat([layer.conv_rr.weight, layer.conv_tr.weight], 1)
        to_t = torch.cat([layer.conv_rt.weight, layer.conv_tt.weight], 1)
        pieces.append(add_identity(torch.cat([to_r, to_t]), layer.conv_rr.in_channels))
        pieces += _joined(layer.bn_r, layer.bn_t)
    pieces += [network.classes.weight, *_joined(network.bn)]
    merged = ResNetInit(
        2 * len(network.blocks) + 2,
        num_classes=network.bn.num_features,
        in_channels=network.in_channels,
        widths=network.widths,
    )
    merged.to(network.classes.weight).load_state_dict(dict(zip(merged.state_dict(), pieces, strict=True)))
    return merged.train(network.training)


def _joined(*norms: nn.Module) -> list[Tensor]:
    states = [norm.state_dict() for norm in norms]
    return [
        torch.cat([s[key] for s in states]) if states[0][key].dim() else states[0][key] for key in states[0]
    ]


@torch.no_grad()
def turn_off(network: RiR, stream: Literal["residual", "transient"]) -> None:
    """Set to zero every weight through which this stream reaches the other one or the classes.

    Raises:
        ValueError: another stream.
    """
    if stream not in ("residual", "transient"):
        raise ValueError(f"stream={stream!r}: expected 'residual' or 'transient'")
    for module in network.modules():
        if isinstance(module, GeneralizedLayer):
            (module.conv_rt if stream == "residual" else module.conv_tr).weight.zero_()
    to_classes = network.classes.weight.chunk(2, dim=1)
    to_classes[stream == "transient"].zero_()


VARIANTS: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    "resnet_init18": (ResNetInit, {"depth": 18, "widen_factor": 3}),
    "rir18_wide": (RiR, {"depth": 18, "widen_factor": 3}),
}
