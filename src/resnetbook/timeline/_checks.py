"""What every network of the timeline refuses, in the same words, and the weights that they start from."""

from torch import Tensor, nn

__all__ = ["check_depth", "check_images", "check_positive", "he_init"]


def check_positive(**sizes: int) -> None:
    """Refuse a size that is not an integer of 1 or more.

    Raises:
        ValueError: names the argument and its value.
    """
    for name, value in sizes.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name}={value!r}: expected an integer of 1 or more")


def check_depth(depth: int, *, step: int, offset: int) -> int:
    """Return n for a depth of `step` n + `offset` with n of 1 or more.

    Raises:
        ValueError: there is no such n; the message names the nearest depths that are allowed.
    """
    smallest, formula = step + offset, f"{step}n + {offset}"
    if isinstance(depth, bool) or not isinstance(depth, int) or depth < smallest:
        raise ValueError(
            f"depth={depth!r}: expected {formula} with n of 1 or more; the smallest is {smallest}"
        )
    n, rest = divmod(depth - offset, step)
    if rest:
        below = depth - rest
        raise ValueError(f"depth={depth}: expected {formula}; the nearest are {below} and {below + step}")
    return n


def check_images(x: Tensor, in_channels: int, smallest: int) -> None:
    """Refuse a batch that is not (N, in_channels, H, W) with H and W of `smallest` pixels or more.

    Raises:
        ValueError: names the shape found and the one expected.
    """
    if x.dim() != 4 or x.shape[1] != in_channels or min(x.shape[2:]) < smallest:
        raise ValueError(
            f"x of shape {tuple(x.shape)}: expected (N, {in_channels}, H, W) with H and W of {smallest} or more"
        )


def he_init(network: nn.Module) -> None:
    """Draw every convolution from a normal distribution of variance 2 / fan_out, the fan of the backward pass.

    Source: He et al. 2015, arXiv:1502.01852, equation 14; used by the authors' code of ResNet and its successors. Biases
    of convolutions become 0. Linear layers and batch normalisation keep PyTorch's defaults.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
