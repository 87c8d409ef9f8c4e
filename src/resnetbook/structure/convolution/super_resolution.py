"""Super-resolution with a transposed convolution (after the survey's [30], Peng et al.): small image in, large image out.

    y = up(x) + T' relu(w_d * ... relu(w_1 * x))       up: bicubic; T': transposed convolution of stride `scale`

All convolutions run on the small image, and the last layer takes their maps to the large one. With the sum the network
learns what interpolation lacks, H(x) - up(x): the residual idea once more, over the whole network. The paper's text was
not found: this is a reconstruction, faithful to what the survey says of it. Section 4.1(7), claim C43.
"""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from resnetbook.timeline._checks import check_images, check_positive, he_init

__all__ = ["DeconvSR"]


class DeconvSR(nn.Module):
    """Convolutions on the small image, one transposed convolution, the interpolated image added.

    Shape: (N, channels, H, W) -> (N, channels, scale H, scale W).

    Args:
        scale: how many times larger, 2 or more.
        width: channels of the inner maps.
        depth: convolutions before the transposed one.
        channels: channels of the image.
        residual: False leaves the interpolated image out.

    Raises:
        ValueError: a size below 1, a scale below 2; in `forward` images of another form.
    """

    def __init__(
        self, scale: int = 2, width: int = 32, depth: int = 4, *, channels: int = 1, residual: bool = True
    ) -> None:
        super().__init__()
        check_positive(scale=scale, width=width, depth=depth, channels=channels)
        if scale < 2:
            raise ValueError(f"scale={scale}: expected 2 or more")
        self.scale, self.channels, self.residual = scale, channels, residual
        widths = [channels, *[width] * depth]
        layers = [layer for a, b in pairwise(widths) for layer in (nn.Conv2d(a, b, 3, padding=1), nn.ReLU())]
        self.body = nn.Sequential(*layers)
        side, padding = 2 * scale, (scale + 1) // 2  # a multiple of the stride: no checkerboard
        self.up = nn.ConvTranspose2d(width, channels, side, scale, padding, output_padding=scale % 2)
        he_init(self)
        for parameter in self.up.parameters():  # with the sum it starts as interpolation
            nn.init.zeros_(parameter)
        if not residual:
            nn.init.kaiming_normal_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return the large image."""
        check_images(x, self.channels, 1)
        out = self.up(self.body(x))
        if not self.residual:
            return out
        return out + functional.interpolate(x, scale_factor=self.scale, mode="bicubic", align_corners=False)
