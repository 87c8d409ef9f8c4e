"""The shapes in which data arrive: parts, sets, and how they are split and standardised."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import TensorDataset

P = TypeVar("P")


@dataclass(frozen=True)
class Part:
    """One part of a set. images: (N, C, H, W) or (N, C, D, H, W) float32; labels: (N,) int64, or (N, k) float32 of 0 and 1
    where a sample may have several of k labels."""

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        if len(self.images) != len(self.labels):
            raise ValueError(
                f"labels: {len(self.labels)} given for {len(self.images)} images, expected one for each"
            )

    def __len__(self) -> int:
        return len(self.images)

    def as_dataset(self) -> TensorDataset:
        """Pairs (image, label) for a torch DataLoader."""
        return TensorDataset(self.images, self.labels)

    def subset(self, indices: Sequence[int] | np.ndarray) -> Part:
        """The images at `indices`, in that order."""
        chosen = torch.as_tensor(np.asarray(indices), dtype=torch.long)
        return Part(self.images[chosen], self.labels[chosen])


@dataclass(frozen=True)
class ImageSet:
    """A classification set with its three parts and where it comes from.

    Attributes:
        classes: names; a label is an index into them, or a row of labels has one entry for each.
        checksum: SHA-256 of the files (or arrays) that it was made from.
        split: how the parts were made, in words, and from which size the images were resampled, if they were.
        mean, deviation: (C,) of the training images in [0, 1]; the images were standardised by them
            if `normalised`.
        task: binary, multi-class, multi-label, or ordinal (the classes have an order).
    """

    name: str
    train: Part
    validation: Part
    test: Part
    classes: tuple[str, ...]
    checksum: str
    split: str
    licence: str
    attribution: str
    mean: tuple[float, ...] = (0.0,)
    deviation: tuple[float, ...] = (1.0,)
    normalised: bool = False
    task: str = "multi-class"

    @property
    def parts(self) -> dict[str, Part]:
        """The parts by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one image, channels first."""
        return tuple(self.train.images.shape[1:])

    def unnormalise(self, images: Tensor) -> Tensor:
        """Undo the standardisation: images (N, C, ...) back in [0, 1], to look at them."""
        if not self.normalised:
            return images
        shape = (1, -1) + (1,) * (images.ndim - 2)
        return images * torch.tensor(self.deviation).view(shape) + torch.tensor(self.mean).view(shape)


def standardise(data: ImageSet) -> ImageSet:
    """Subtract the training mean and divide by the training deviation, channel by channel.

    Mean and deviation come from the training part alone: those of the other parts are not ours to know.
    """
    images = data.train.images
    axes = (0, *range(2, images.ndim))
    mean, deviation = images.mean(dim=axes), images.std(dim=axes, correction=0).clamp_min(1e-6)
    shape = (1, -1) + (1,) * (images.ndim - 2)

    def scaled(part: Part) -> Part:
        return Part((part.images - mean.view(shape)) / deviation.view(shape), part.labels)

    return replace(
        data,
        train=scaled(data.train),
        validation=scaled(data.validation),
        test=scaled(data.test),
        mean=tuple(mean.tolist()),
        deviation=tuple(deviation.tolist()),
        normalised=True,
    )


def stratified(labels: np.ndarray, sizes: Sequence[int], *, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Split indices into parts of the given sizes, each with the class shares of the whole.

    Largest remainders settle the fractions, so the sizes are met exactly. Indices left over are dropped.

    Args:
        labels: (N,) integers, one for each sample.
        sizes: how many samples each part gets; together at most N.
        seed: of the permutation within each class.

    Raises:
        ValueError: labels of another form; sizes that are negative or ask for more samples than there are.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1:
        raise ValueError(f"labels: shape {labels.shape}, expected (N,), one class for each sample")
    if min(sizes) < 0 or sum(sizes) > len(labels):
        raise ValueError(f"sizes={tuple(sizes)}: expected none below 0 and a sum of {len(labels)} at most")
    generator = np.random.default_rng(seed)
    pools = [generator.permutation(np.flatnonzero(labels == value)) for value in np.unique(labels)]
    taken = np.zeros(len(pools), dtype=int)
    parts = []
    for size in sizes:
        left = np.array([len(pool) for pool in pools]) - taken
        wanted = left * size / max(left.sum(), 1)
        counts = np.floor(wanted).astype(int)
        order = np.argsort(-(wanted - counts), kind="stable")
        counts[order[: size - counts.sum()]] += 1
        chosen = [pool[start : start + n] for pool, start, n in zip(pools, taken, counts, strict=True)]
        parts.append(generator.permutation(np.concatenate(chosen)))
        taken += counts
    return tuple(parts)


def chosen(labels: Tensor, size: int, *, seed: int = 0) -> np.ndarray:
    """Indices of a subset of `size` samples, stratified by class; where a sample has several labels, all are drawn alike.

    Raises:
        ValueError: `size` is below 1 or above the number of labels.
    """
    if not 1 <= size <= len(labels):
        raise ValueError(f"train_size={size}: expected 1 to {len(labels)}")
    if labels.ndim > 1:
        return np.random.default_rng(seed).permutation(len(labels))[:size]
    (indices,) = stratified(labels.numpy(), (size,), seed=seed)
    return indices


def draw(part: Part, size: int | None, *, seed: int = 0) -> Part:
    """A subset of `size` samples of a part (see `chosen`), or the part itself when `size` is None.

    Raises:
        ValueError: `size` is below 1 or above the part's length.
    """
    return part if size is None else part.subset(chosen(part.labels, size, seed=seed))


def drawn_from(split: str, task: str, size: int, seed: int) -> str:
    """`split`, and that training samples were drawn."""
    how = "all alike, seed" if task == "multi-label" else "seed"
    return f"{split}; {size} of the training images drawn with {how} {seed}"


def image_hashes(images: Tensor | np.ndarray) -> list[str]:
    """SHA-256 of each image's values: equal hashes are identical images. Finds leakage between parts."""
    array = np.ascontiguousarray(images)
    return [hashlib.sha256(image.tobytes()).hexdigest() for image in array]


def shared(first: Tensor | np.ndarray, second: Tensor | np.ndarray) -> set[str]:
    """Hashes of the images that stand in both."""
    return set(image_hashes(first)) & set(image_hashes(second))


@dataclass(frozen=True)
class SegmentationPart:
    """Images with masks.

    Attributes:
        images: (N, C, H, W) or (N, C, D, H, W) float32.
        masks: (N, H, W) or (N, D, H, W) int64, class indices, 0 = background.
        groups: N texts; samples of one group (patient, eye owner, field of view, stack) never stand in two parts.
        names: N texts, the files or frames that the samples come from.
        instances: (N, H, W) int64, 0 = background, 1...k objects, where the set numbers them.
        second: masks of a second observer, where there is one.
    """

    images: Tensor
    masks: Tensor
    groups: tuple[str, ...]
    names: tuple[str, ...]
    instances: Tensor | None = None
    second: Tensor | None = None

    def __post_init__(self) -> None:
        sizes = {len(self.images), len(self.masks), len(self.groups), len(self.names)}
        if len(sizes) != 1 or self.images.shape[2:] != self.masks.shape[1:]:
            raise ValueError(
                f"masks: shape {tuple(self.masks.shape)} for images of shape {tuple(self.images.shape)}, "
                "expected one mask of the same size, one group and one name for each image"
            )

    def __len__(self) -> int:
        return len(self.images)

    def as_dataset(self) -> TensorDataset:
        """Pairs (image, mask) for a torch DataLoader."""
        return TensorDataset(self.images, self.masks)


@dataclass(frozen=True)
class DetectionPart:
    """Images with boxes.

    Attributes:
        images: (N, 3, H, W) uint8.
        boxes: for each image (n, 4) float32: x0, y0, x1, y1 in pixels.
        labels: for each image (n,) int64.
        names: N texts.
    """

    images: Tensor
    boxes: tuple[Tensor, ...]
    labels: tuple[Tensor, ...]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class PartedSet(Generic[P]):
    """A set in three parts and where it comes from (see `ImageSet` for the fields)."""

    name: str
    train: P
    validation: P
    test: P
    classes: tuple[str, ...]
    checksum: str
    split: str
    licence: str
    attribution: str

    @property
    def parts(self) -> dict[str, P]:
        """The parts by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


def standardise_each(images: Tensor) -> Tensor:
    """Give every image and channel mean 0 and deviation 1, for sets whose brightness means nothing.

    Args:
        images: (N, C, ...).
    """
    axes = tuple(range(2, images.ndim))
    mean = images.mean(dim=axes, keepdim=True)
    return (images - mean) / images.std(dim=axes, correction=0, keepdim=True).clamp_min(1e-6)
