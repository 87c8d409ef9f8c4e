"""Another drawing of the training images: what a repeat of an experiment varies beside the first weights."""

from __future__ import annotations

from dataclasses import replace

import torch

from resnetbook.lab.data.sets import ImageSet, Part, standardise, stratified


def redrawn(data: ImageSet, seed: int, *, train_size: int | None = None) -> ImageSet:
    """Split the pool of training and validation images anew, stratified by `seed`; the test images stay as they are.

    Args:
        data: values in [0, 1], not standardised (`load(..., normalise=False)`).
        seed: of the drawing.
        train_size: how many training images; None keeps the set's own number.

    Returns:
        the set with other training and validation images, standardised by those training images.

    Raises:
        ValueError: the set is standardised already, or `train_size` asks for more images than the pool can give.
    """
    if data.normalised:
        raise ValueError("data: standardised already, expected values in [0, 1]: load(..., normalise=False)")
    sizes = (train_size or len(data.train), len(data.validation))
    pool = Part(
        torch.cat([data.train.images, data.validation.images]),
        torch.cat([data.train.labels, data.validation.labels]),
    )
    if sizes[0] < 1 or sum(sizes) > len(pool):
        raise ValueError(f"train_size={train_size!r}: expected 1 to {len(pool) - sizes[1]}")
    train, validation = (pool.subset(chosen) for chosen in stratified(pool.labels.numpy(), sizes, seed=seed))
    split = f"{data.split}; {sizes[0]} training and {sizes[1]} validation images drawn anew by each seed"
    return standardise(replace(data, train=train, validation=validation, split=split))
