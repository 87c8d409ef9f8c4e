"""What the units of section 4.3 share: one form, (N, channels, H, W) kept, so that each can stand where another stood."""

from typing import ClassVar

from torch import Tensor, nn

from resnetbook.principle.block import conv3x3
from resnetbook.timeline._checks import check_images, check_positive

__all__ = ["ResidualUnit", "pre_activation_branch"]


def pre_activation_branch(channels: int, inner: int | None = None, kernel_size: int = 3) -> nn.Sequential:
    """Return F = conv . relu . bn . conv . relu . bn, which keeps the map's size and its channels.

    Args:
        channels: of x and F(x).
        inner: channels between the two convolutions; None: `channels`.
        kernel_size: side of both kernels, odd.
    """
    inner = channels if inner is None else inner
    check_positive(channels=channels, inner=inner)
    if kernel_size == 3:
        first, second = conv3x3(channels, inner), conv3x3(inner, channels)
    else:
        first = nn.Conv2d(channels, inner, kernel_size, padding=kernel_size // 2, bias=False)
        second = nn.Conv2d(inner, channels, kernel_size, padding=kernel_size // 2, bias=False)
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(), first, nn.BatchNorm2d(inner), nn.ReLU(), second)


class ResidualUnit(nn.Module):
    """A unit that keeps shape: (N, channels, H, W) -> (N, channels, H, W).

    `resnetbook.principle.gradient_flow.GradientFlow` finds it by `residual_unit` and splits it without being told.

    Raises:
        ValueError: channels below 1; in `forward` maps of another form.
    """

    residual_unit: ClassVar[bool] = True

    def __init__(self, channels: int) -> None:
        super().__init__()
        check_positive(channels=channels)
        self.channels = channels

    def branch(self, x: Tensor) -> Tensor:
        """Return F(x)."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Return x + F(x)."""
        check_images(x, self.channels, 1)
        return x + self.branch(x)
