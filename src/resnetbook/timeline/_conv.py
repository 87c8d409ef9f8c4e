"""The convolution of every Inception network: no bias, batch normalisation, relu."""

from torch import Tensor, nn

__all__ = ["ConvNorm"]


class ConvNorm(nn.Module):
    """relu(BN(w * x)): (N, in_channels, H, W) -> (N, out_channels, H', W').

    The attributes `conv` and `bn` are named as in torchvision.

    Args:
        in_channels, out_channels: channels before and after.
        kernel_size, stride, padding: of the convolution; a pair (rows, columns) for kernels that are not square.
        eps: added to the variance; .001 in all networks of this family.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        eps: float = 0.001,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out_channels, eps=eps)
        self.relu = nn.ReLU(inplace=True)  # what the normalisation hands over is needed by nothing else

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(BN(conv(x)))."""
        return self.relu(self.bn(self.conv(x)))
