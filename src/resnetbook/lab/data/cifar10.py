"""CIFAR-10 in its original pixels, from the batches that its author published for Python.

Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, University of Toronto, 2009. The batches are
pickles; they are read by an unpickler that knows arrays, texts and containers, and calls nothing else.
"""

from __future__ import annotations

import codecs
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from resnetbook.lab.data.cards import card
from resnetbook.lab.data.classification import natural_images
from resnetbook.lab.data.files import find
from resnetbook.lab.data.sets import ImageSet

SIDE = 32
_ARRAYS = {
    # numpy moved this function; it is the one that every pickled array calls.
    ("numpy.core.multiarray", "_reconstruct"): np.zeros(0).__reduce__()[0],
    ("numpy._core.multiarray", "_reconstruct"): np.zeros(0).__reduce__()[0],
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): codecs.encode,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ARRAYS:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of a batch of CIFAR-10")
        return _ARRAYS[module, name]


def read_batch(path: Path) -> dict[str, Any]:
    """Read one file of the archive; texts that Python 2 wrote as bytes come as str.

    Raises:
        ValueError: the file holds something else than arrays, texts, numbers and containers of them.
    """
    try:
        with path.open("rb") as file:
            found = _Unpickler(file, encoding="latin1").load()
    except (pickle.UnpicklingError, EOFError, AttributeError, IndexError, KeyError, TypeError) as error:
        raise ValueError(f"{path.name}: expected a batch of CIFAR-10 ({error})") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path.name}: expected a batch of CIFAR-10, found {type(found).__name__}")
    return {key.decode() if isinstance(key, bytes) else key: value for key, value in found.items()}


def cifar10(*, size: int | None = None) -> ImageSet:
    """CIFAR-10, (N, 3, 32, 32) in [0, 1], ten classes; 45,000 / 5,000 / 10,000.

    The test part is the official one; a tenth of the training images, stratified, seed 0, is for validation, as in
    `cifar10_jpeg`.

    Raises:
        DataMissing: the set is not here.
    """
    folder = find("cifar10")
    batches = [read_batch(folder / f"data_batch_{number}") for number in range(1, 6)]
    return natural_images(
        card("cifar10"),
        _arrays(batches),
        _arrays([read_batch(folder / "test_batch")]),
        tuple(str(name) for name in read_batch(folder / "batches.meta")["label_names"]),
        size,
    )


def _arrays(batches: list[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """Join batches: images (N, 32, 32, 3) uint8 from rows of 3,072 (red, then green, then blue), labels (N,) int64."""
    rows = np.concatenate([batch["data"] for batch in batches])
    labels = np.concatenate([np.asarray(batch["labels"], dtype=np.int64) for batch in batches])
    return rows.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1), labels
