"""What made a feature answer: back to the pixels by transposed convolutions (Zeiler & Fergus 2014, arXiv:1311.2901).

    forward    convolve, rectify, pool (and note where each maximum stood)
    backward   put each value back where its maximum stood, rectify, convolve with the transposed kernels

It differs from the gradient in one place: the gradient stops where the *forward* value was negative, the deconvnet where
the value *on its way back* is. Section 4.1(7), claim C42.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from resnetbook.structure.convolution.transposed import transposed_conv2d

__all__ = ["deconvnet", "gradient"]


def _check(layers: Sequence[nn.Module]) -> None:
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            plain = layer.groups == 1 and layer.dilation == (1, 1) and layer.padding_mode == "zeros"
            if (
                plain
                and len({*layer.stride}) == 1
                and not isinstance(layer.padding, str)
                and len({*layer.padding}) == 1
            ):
                continue
        elif isinstance(layer, nn.ReLU | nn.MaxPool2d):
            continue
        raise ValueError(f"layers: {layer} found, expected Conv2d of one group, ReLU and MaxPool2d")


def deconvnet(layers: Sequence[nn.Module], x: Tensor, channel: int) -> Tensor:
    """Return the pixels that made the strongest answer of one channel of the last layer.

    Shape: x (1, C, H, W) -> (1, C, H, W).

    Args:
        layers: convolutions, ReLUs and max poolings in the order in which they are applied.
        x: one image.
        channel: of the last layer's output.

    Raises:
        ValueError: another layer among them, more than one image, a channel that there is not.
    """
    _check(layers)
    if x.dim() != 4 or len(x) != 1:
        raise ValueError(f"x of shape {tuple(x.shape)}: expected one image, (1, C, H, W)")
    seen: list[tuple[torch.Size, Tensor | None]] = []
    with torch.no_grad():
        for layer in layers:
            shape, places = x.shape, None
            if isinstance(layer, nn.MaxPool2d):
                x, places = functional.max_pool2d(
                    x, layer.kernel_size, layer.stride, layer.padding, return_indices=True
                )
            else:
                x = layer(x)
            seen.append((shape, places))
        y = strongest(x, channel)
        for layer, (shape, places) in zip(reversed(layers), reversed(seen), strict=True):
            if isinstance(layer, nn.ReLU):
                y = y.relu()
            elif places is not None:
                # A pixel may be the maximum of several windows that overlap: what comes back adds up.
                back = y.new_zeros(shape).flatten(2)
                y = back.scatter_add_(2, places.flatten(2), y.flatten(2)).reshape(shape)
            elif isinstance(layer, nn.Conv2d):
                stride, padding = layer.stride[0], int(layer.padding[0])
                rest = (shape[2] + 2 * padding - layer.kernel_size[0]) % stride
                y = transposed_conv2d(y, layer.weight, stride=stride, padding=padding, output_padding=rest)
    return y


def gradient(layers: Sequence[nn.Module], x: Tensor, channel: int) -> Tensor:
    """Return the gradient of the same answer with respect to the pixels, shape (1, C, H, W). Arguments as `deconvnet`."""
    _check(layers)
    x = x.detach().requires_grad_()
    out = nn.Sequential(*layers)(x)
    return torch.autograd.grad(strongest(out, channel).sum(), x)[0]


def strongest(maps: Tensor, channel: int) -> Tensor:
    """Return the maps with all set to 0 but the largest value of one channel.

    Raises:
        ValueError: a channel that there is not.
    """
    if not 0 <= channel < maps.shape[1]:
        raise ValueError(f"channel={channel}: expected 0 to {maps.shape[1] - 1}")
    kept = torch.zeros_like(maps, dtype=torch.bool)
    kept[:, channel].view(-1)[maps[:, channel].argmax()] = True
    return maps * kept
