"""What the pooling layers share: the windows of a map, and what all of them refuse."""

from torch import Tensor, nn
from torch.nn import functional

from resnetbook.timeline._checks import check_positive

__all__ = ["WindowPool2d", "check_map", "check_window", "pooled_size", "windows"]


def check_window(kernel_size: int, stride: int, padding: int) -> None:
    """Refuse a window that is not positive, or a padding that could fill a whole window.

    Raises:
        ValueError: names the argument, its value and what was expected.
    """
    check_positive(kernel_size=kernel_size, stride=stride)
    if isinstance(padding, bool) or not isinstance(padding, int) or not 0 <= padding <= kernel_size // 2:
        raise ValueError(f"padding={padding!r}: expected 0 to {kernel_size // 2}, half of the window")


def check_map(x: Tensor, dims: int = 4) -> None:
    """Refuse what is not a batch of maps of floats: (N, C, H, W), for `dims=3` (N, C, L).

    Raises:
        ValueError: names the shape and type found.
    """
    if x.dim() != dims or not x.is_floating_point():
        shape = "(N, C, H, W)" if dims == 4 else "(N, C, L)"
        raise ValueError(f"x of shape {tuple(x.shape)} and type {x.dtype}: expected floats of shape {shape}")


def pooled_size(size: int, kernel_size: int, stride: int, padding: int = 0) -> int:
    """Return how many windows stand along an axis of `size` values: floor((size + 2 padding - kernel_size) / stride) + 1.

    Raises:
        ValueError: not one window fits.
    """
    count = (size + 2 * padding - kernel_size) // stride + 1
    if count < 1:
        raise ValueError(f"a side of {size}: expected at least {kernel_size - 2 * padding} for one window")
    return count


def windows(x: Tensor, kernel_size: int, stride: int, padding: int = 0, *, fill: float = 0.0) -> Tensor:
    """Return the values of each window, row by row.

    Shape: (N, C, H, W) -> (N, C, rows, columns, kernel_size^2), see `pooled_size`.

    Raises:
        ValueError: a batch of another form, or no window fits.
    """
    check_map(x)
    for side in x.shape[2:]:
        pooled_size(side, kernel_size, stride, padding)
    if padding:
        x = functional.pad(x, (padding,) * 4, value=fill)
    return x.unfold(2, kernel_size, stride).unfold(3, kernel_size, stride).flatten(-2)


class WindowPool2d(nn.Module):
    """A pooling layer that looks at one square window after the other, as `torch.nn.MaxPool2d` does.

    Shape: (N, C, H, W) -> (N, C, rows, columns), see `pooled_size`.

    Args:
        kernel_size: the window's side in pixels.
        stride: pixels from window to window; None: `kernel_size`, so that windows touch and do not overlap.
        padding: pixels added at each border, half a window at most.

    Raises:
        ValueError: a size below 1, or too much padding; in `forward` a batch of another form, or no window fits.
    """

    def __init__(self, kernel_size: int, stride: int | None = None, padding: int = 0) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        check_window(self.kernel_size, self.stride, padding)

    def windows(self, x: Tensor, *, fill: float = 0.0) -> Tensor:
        """Return the windows of x, (N, C, rows, columns, kernel_size^2), with `fill` as padding."""
        return windows(x, self.kernel_size, self.stride, self.padding, fill=fill)

    def extra_repr(self) -> str:
        """Describe the layer in `print`."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
