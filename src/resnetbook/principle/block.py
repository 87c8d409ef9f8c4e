"""The residual block of He et al. (2016, arXiv:1512.03385, figures 2 and 5) and its plain twin.

    y = relu(F(x) + s(x))        the survey's equation (1), H(x) = F(x) + x, when s is the identity

F is the branch of convolutions, s the shortcut. Where the shape is kept s(x) = x; where it changes, the paper offers
three types (its section 3.3, table 3):

    A   subsample x and pad the new channels with zeros: no parameter
    B   a 1x1 convolution with batch normalisation where the shape changes, x elsewhere
    C   that projection in every block

With `residual=False` the sum is left out and nothing else: with type A the plain block has the same parameters. The
order of layers is the original one (v1): the ReLU comes after the sum. Attribute names are torchvision's, so that the
weights of its blocks load here. Survey: section 2, claims C03 to C05.
"""

from typing import Literal, get_args

from torch import Tensor, nn
from torch.nn import functional

Shortcut = Literal["A", "B", "C"]

__all__ = [
    "BasicBlock",
    "Bottleneck",
    "Shortcut",
    "ShortcutA",
    "conv1x1",
    "conv3x3",
    "is_block",
    "is_unit",
    "shortcut",
]


def _require_positive(**sizes: int) -> None:
    for name, value in sizes.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name}={value!r}: expected an integer of 1 or more")


def conv3x3(
    in_channels: int, out_channels: int, *, stride: int = 1, groups: int = 1, bias: bool = False
) -> nn.Conv2d:
    """Return a 3x3 convolution with padding 1; without bias by default, since batch normalisation has its own.

    Shape: (N, in_channels, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride)).

    Raises:
        ValueError: a size below 1, or channels that `groups` does not divide.
    """
    _require_positive(in_channels=in_channels, out_channels=out_channels, stride=stride, groups=groups)
    if in_channels % groups or out_channels % groups:
        raise ValueError(f"groups={groups}: expected a divisor of {in_channels} and {out_channels} channels")
    return nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, groups=groups, bias=bias)


def conv1x1(in_channels: int, out_channels: int, *, stride: int = 1, bias: bool = False) -> nn.Conv2d:
    """Return a 1x1 convolution, by default without bias.

    Shape: (N, in_channels, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride)).

    Raises:
        ValueError: a size below 1.
    """
    _require_positive(in_channels=in_channels, out_channels=out_channels, stride=stride)
    return nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=bias)


class ShortcutA(nn.Module):
    """Type A: every `stride`-th pixel of x, then zeros for the channels that x lacks.

    Shape: (N, in_channels, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride)). It is the projection with
    the frozen matrix [I; 0] and has no parameter.

    Raises:
        ValueError: `out_channels` below `in_channels`: channels can be added, not dropped.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__()
        _require_positive(in_channels=in_channels, out_channels=out_channels, stride=stride)
        if out_channels < in_channels:
            raise ValueError(
                f"out_channels={out_channels}: expected at least in_channels={in_channels} (type A pads)"
            )
        self.padding = out_channels - in_channels
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Subsample and pad."""
        return functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.padding))

    def extra_repr(self) -> str:
        """Describe the module in `print`."""
        return f"stride={self.stride}, zero_channels={self.padding}"


def shortcut(
    kind: Shortcut, in_channels: int, out_channels: int, *, stride: int = 1, norm: bool = True
) -> nn.Module:
    """Return the shortcut s of type A, B or C for a block that maps `in_channels` to `out_channels`.

    Where the shape is kept, A and B return `nn.Identity`. A projection is `Sequential(conv1x1, BatchNorm2d)`, with
    `norm=False` the convolution alone.

    Raises:
        ValueError: an unknown kind or a size below 1.
    """
    _require_positive(in_channels=in_channels, out_channels=out_channels, stride=stride)
    if kind not in get_args(Shortcut):
        raise ValueError(f"shortcut={kind!r}: expected 'A', 'B' or 'C'")
    keeps_shape = in_channels == out_channels and stride == 1
    if keeps_shape and kind != "C":
        return nn.Identity()
    if kind == "A":
        return ShortcutA(in_channels, out_channels, stride=stride)
    projection = conv1x1(in_channels, out_channels, stride=stride)
    return nn.Sequential(projection, nn.BatchNorm2d(out_channels)) if norm else nn.Sequential(projection)


def _downsample(
    kind: Shortcut, in_channels: int, out_channels: int, stride: int, norm: bool
) -> nn.Module | None:
    # torchvision writes None for the identity; keeping to that lets its state_dict load strictly.
    module = shortcut(kind, in_channels, out_channels, stride=stride, norm=norm)
    return None if isinstance(module, nn.Identity) else module


class BasicBlock(nn.Module):
    """Two 3x3 convolutions: F = bn2 . conv2 . relu . bn1 . conv1; the first carries the stride.

    Shape: (N, in_channels, H, W) -> (N, channels, ceil(H / stride), ceil(W / stride)).

    Args:
        in_channels: channels of x.
        channels: channels of F(x) and of the output.
        stride: of conv1 and of the shortcut.
        shortcut: type "A", "B" or "C".
        residual: False leaves out the sum (the plain twin; it has no shortcut at all).
        norm: False leaves out batch normalisation; the convolutions then stand bare, unless `bias` is set.
        bias: True gives each convolution of F a bias. It has no effect under batch normalisation.

    Raises:
        ValueError: an unknown shortcut, a size below 1, or type A with fewer channels out than in.
    """

    expansion = 1

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        stride: int = 1,
        shortcut: Shortcut = "B",
        residual: bool = True,
        norm: bool = True,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, channels, stride=stride, bias=bias)
        self.bn1 = nn.BatchNorm2d(channels) if norm else nn.Identity()
        self.conv2 = conv3x3(channels, channels, bias=bias)
        self.bn2 = nn.BatchNorm2d(channels) if norm else nn.Identity()
        self.relu = nn.ReLU()
        self.downsample = _downsample(shortcut, in_channels, channels, stride, norm) if residual else None
        self.residual = residual

    def branch(self, x: Tensor) -> Tensor:
        """Return F(x), shape (N, channels, ceil(H / stride), ceil(W / stride))."""
        out = self.relu(self.bn1(self.conv1(x)))
        return self.bn2(self.conv2(out))

    def identity(self, x: Tensor) -> Tensor:
        """Return s(x): x itself, or the shortcut where the shape changes."""
        return x if self.downsample is None else self.downsample(x)

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(F(x) + s(x)), without the sum in a plain block."""
        out = self.branch(x)
        if self.residual:
            out = out + self.identity(x)
        return self.relu(out)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions: F = bn3 . conv3 . relu . bn2 . conv2 . relu . bn1 . conv1.

    Shape: (N, in_channels, H, W) -> (N, 4 channels, ceil(H / stride), ceil(W / stride)). The stride sits on the 3x3
    convolution, as in torchvision ("v1.5"); the paper has it on the first 1x1. Arguments and errors as `BasicBlock`,
    but `channels` is the inner width and the output has `expansion * channels`.
    """

    expansion = 4

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        stride: int = 1,
        shortcut: Shortcut = "B",
        residual: bool = True,
        norm: bool = True,
        bias: bool = False,
    ) -> None:
        super().__init__()
        _require_positive(channels=channels)
        out_channels = self.expansion * channels
        self.conv1 = conv1x1(in_channels, channels, bias=bias)
        self.bn1 = nn.BatchNorm2d(channels) if norm else nn.Identity()
        self.conv2 = conv3x3(channels, channels, stride=stride, bias=bias)
        self.bn2 = nn.BatchNorm2d(channels) if norm else nn.Identity()
        self.conv3 = conv1x1(channels, out_channels, bias=bias)
        self.bn3 = nn.BatchNorm2d(out_channels) if norm else nn.Identity()
        self.relu = nn.ReLU()
        self.downsample = _downsample(shortcut, in_channels, out_channels, stride, norm) if residual else None
        self.residual = residual

    def branch(self, x: Tensor) -> Tensor:
        """Return F(x), shape (N, 4 channels, ceil(H / stride), ceil(W / stride))."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        return self.bn3(self.conv3(out))

    def identity(self, x: Tensor) -> Tensor:
        """Return s(x): x itself, or the shortcut where the shape changes."""
        return x if self.downsample is None else self.downsample(x)

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(F(x) + s(x)), without the sum in a plain block."""
        out = self.branch(x)
        if self.residual:
            out = out + self.identity(x)
        return self.relu(out)


def is_block(module: nn.Module, *, exactly: bool = False) -> bool:
    """Return whether `module` is a residual block of this package or of torchvision, plain twins included.

    With `exactly` a class derived from one of them does not count: it may use its layers in another way.
    """
    # torchvision's by name, so that models which do not use it need not import it.
    kinds = (type(module),) if exactly else type(module).__mro__
    return any(
        cls in (BasicBlock, Bottleneck)
        or (cls.__module__ == "torchvision.models.resnet" and cls.__name__ in ("BasicBlock", "Bottleneck"))
        for cls in kinds
    )


def is_unit(module: nn.Module) -> bool:
    """Return whether `module` says of itself, by `residual_unit = True`, that it adds a shortcut and a branch of its x."""
    return getattr(module, "residual_unit", False) is True
