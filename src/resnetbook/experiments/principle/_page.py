"""The two networks that run in a page of the book: a residual network of 20 layers and its plain twin, for digits.

Both start from the same weights and see the same images in the same order. `_page_script` writes them for the browser,
`_page_picture` draws what stands there where scripts are off; `resnetbook export-js` does all three.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from resnetbook.experiments.principle import _page_picture, _page_script
from resnetbook.lab import data, training
from resnetbook.lab._files import checkout, runs_dir
from resnetbook.lab.data import ImageSet
from resnetbook.principle.twins import TwinNet, twins

SETTINGS = training.Settings(epochs=100, warmup_epochs=2, schedule="cosine", device="cpu")
DEPTH, WIDTHS = 20, (8, 16, 32)


def export(
    folder: Path | None = None, checkpoints: Path | None = None, *, progress: bool = False
) -> list[Path]:
    """Train the two networks, or load them from their checkpoints; write script and picture, and return their paths.

    Args:
        folder: where they go; by default book/_static of the checkout.
        checkpoints: where the trainings are kept; by default in the folder of unfinished runs.
        progress: shows a bar for each training.

    Raises:
        ValueError: no folder outside a checkout; a checkpoint that is damaged or belongs to another training.
    """
    root = checkout()
    if folder is None and root is None:
        raise ValueError(
            "folder=None: expected the folder to write to, since this is no checkout of the book"
        )
    target = folder or Path(root or "") / "book" / "_static"
    images = digits()
    networks = train(images, checkpoints or runs_dir() / "page", progress=progress)
    script = _page_script.write(target / "network-weights.js", networks, images)
    return [script, _page_picture.write(target / "network.png", script)]


def digits() -> ImageSet:
    """Return the digits, 8 x 8, with values from 0 to 1."""
    return data.load("digits", normalise=False)


def train(
    images: ImageSet,
    folder: Path | None = None,
    *,
    settings: training.Settings = SETTINGS,
    depth: int = DEPTH,
    widths: tuple[int, int, int] = WIDTHS,
    progress: bool = False,
) -> dict[str, TwinNet]:
    """Return {"residual": network, "plain": its twin}, trained alike, in evaluation mode.

    Args:
        images: the set to learn from.
        folder: where the checkpoints are kept; a training that stands there is gone on with, a finished one only loaded.
        settings: of both trainings; the seed is that of the first weights too.
        depth: 6n + 2.
        widths: channels of the three stages.
        progress: shows a bar for each training.

    Raises:
        ValueError: a bad argument of `TwinNet`; a checkpoint that is damaged or belongs to another training.
    """
    training.seed_everything(settings.seed)
    plain, residual = twins(depth, widths=widths)
    networks = {"residual": residual, "plain": plain}
    for kind, network in networks.items():
        training.fit(
            network,
            images.train,
            images.validation,
            settings=settings,
            checkpoint=None if folder is None else folder / f"{kind}.ckpt",
            augment=moved,
            progress=progress,
        )
        network.eval()
    return networks


def moved(images: Tensor, generator: torch.Generator) -> Tensor:
    """Turn, scale and shift each of the images (N, C, H, W) by a drawing of its own: readers draw less neatly than the set.

    Up to 12 degrees, 0.75 to 1.1 times, up to an eighth of the side; what comes in is background, 0.
    """

    def drawn(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(len(images), generator=generator)

    angle, zoom = drawn(-math.pi / 15, math.pi / 15), 1 / drawn(0.75, 1.1)
    cos, sin = zoom * angle.cos(), zoom * angle.sin()
    right, down = drawn(-0.25, 0.25), drawn(-0.25, 0.25)  # the whole side is 2
    matrix = torch.stack([torch.stack([cos, -sin, right], 1), torch.stack([sin, cos, down], 1)], 1)
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="zeros", align_corners=False)
