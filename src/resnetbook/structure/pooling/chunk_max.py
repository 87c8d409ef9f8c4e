"""Chunk-max pooling: the sequence is cut into chunks, and each gives its largest value.

    y_j = largest value of chunk j        chunks of ceil(L / c) or floor(L / c) values that touch and do not overlap

k-max asks for the strongest answers wherever they stand, chunk-max for the strongest in each part: it says where. The survey
gives it to Kalchbrenner et al. [33], whose paper does not have it (erratum E8); pooling by pieces is Zeng et al.'s (2015).
Where c does not divide L it differs from adaptive pooling, whose bins overlap. Survey: section 4.2(5), claim C52.
"""

import torch
from torch import Tensor, nn

from resnetbook.structure.pooling._windows import check_map
from resnetbook.timeline._checks import check_positive

__all__ = ["ChunkMaxPool1d", "ChunkMaxPool2d", "chunk_max"]


def chunk_max(x: Tensor, chunks: int, dim: int = -1) -> Tensor:
    """Return the largest value of each chunk along `dim`; the first chunks are one longer where the cut is not even.

    Raises:
        ValueError: chunks below 1 or above the length.
    """
    check_positive(chunks=chunks)
    if chunks > x.shape[dim]:
        raise ValueError(f"chunks={chunks}: expected at most the length, {x.shape[dim]}")
    return torch.stack([part.amax(dim) for part in x.tensor_split(chunks, dim)], dim)


class ChunkMaxPool1d(nn.Module):
    """The largest value of each chunk of each channel. Shape: (N, C, L) -> (N, C, chunks).

    Raises:
        ValueError: chunks below 1; in `forward` a batch of another form, or one shorter than that.
    """

    def __init__(self, chunks: int) -> None:
        super().__init__()
        check_positive(chunks=chunks)
        self.chunks = chunks

    def forward(self, x: Tensor) -> Tensor:
        """Return the largest values, (N, C, chunks)."""
        check_map(x, 3)
        return chunk_max(x, self.chunks)

    def extra_repr(self) -> str:
        """Describe the layer in `print`."""
        return f"chunks={self.chunks}"


class ChunkMaxPool2d(nn.Module):
    """The largest value of each rectangle, rows and columns cut into chunks. Shape: (N, C, H, W) -> (N, C, rows, columns).

    Args:
        chunks: along each axis; a pair is for rows and columns apart.

    Raises:
        ValueError: chunks below 1; in `forward` a batch of another form, or a side shorter than that.
    """

    def __init__(self, chunks: int | tuple[int, int]) -> None:
        super().__init__()
        rows, columns = (chunks, chunks) if isinstance(chunks, int) else chunks
        check_positive(rows=rows, columns=columns)
        self.chunks = (rows, columns)

    def forward(self, x: Tensor) -> Tensor:
        """Return the largest values, (N, C, rows, columns)."""
        check_map(x)
        return chunk_max(chunk_max(x, self.chunks[0], 2), self.chunks[1], 3)

    def extra_repr(self) -> str:
        """Describe the layer in `print`."""
        return f"chunks={self.chunks}"
