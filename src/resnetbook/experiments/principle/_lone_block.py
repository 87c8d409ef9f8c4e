"""A block by itself: F(x) or F(x) + x, its three starts, and the maps that it reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from resnetbook.lab.data import load
from resnetbook.lab.settings import generator


class Block(nn.Module):
    """F(x), or F(x) + x if `residual`; without normalisation, so that both arms can represent every target."""

    def __init__(self, channels: int, *, residual: bool, expansion: int = 1, start: str = "he"):
        super().__init__()
        self.residual = residual
        self.conv1 = nn.Conv2d(channels, channels * expansion, 3, padding=1)
        self.conv2 = nn.Conv2d(channels * expansion, channels, 3, padding=1)
        for conv in (self.conv1, self.conv2):
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        if start in ("silent", "same"):
            nn.init.zeros_(self.conv2.weight)
        if start == "same":
            with torch.no_grad():
                nn.init.dirac_(self.conv1.weight[:channels])
                if not residual:
                    nn.init.dirac_(self.conv2.weight[:, :channels])

    def branch(self, x: Tensor) -> Tensor:
        """Return F(x), of the shape of x."""
        return self.conv2(torch.relu(self.conv1(x)))

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output, of the shape of x."""
        return self.branch(x) + x if self.residual else self.branch(x)


def inputs_of(settings: Any, seed: int) -> Callable[[int], Tensor]:
    """Return a function that draws so many inputs, (number, channels, size, size), none below 0."""
    draws, size = generator(seed, 0), settings.size
    if settings.data == "noise":
        return lambda number: torch.randn(number, settings.channels, size, size, generator=draws).relu()
    images = load(settings.data).train.images
    first = nn.Conv2d(images.shape[1], settings.channels, 3, bias=False).requires_grad_(False)
    first.weight.normal_(generator=generator(seed, 0, 1))
    scale = (
        first(images[:1000]).relu().square().mean() * 2
    ).rsqrt()  # a ReLU halves the mean square of noise

    seen = size + 2  # pixels that the maps of `size` see: no padding inside an image
    side = torch.arange(seen)

    def draw(number: int) -> Tensor:
        chosen, top, left = (
            torch.randint(high, (number, 1, 1), generator=draws)
            for high in (len(images), *(pixels - seen + 1 for pixels in images.shape[-2:]))
        )
        crops = images[chosen, :, top + side[:, None], left + side]  # (number, seen, seen, channels)
        return first(crops.permute(0, 3, 1, 2)).relu() * scale

    return draw
