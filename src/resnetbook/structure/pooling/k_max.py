"""k-max pooling (Kalchbrenner et al. 2014, arXiv:1404.2188, section 3.2): the k largest values, in their own order.

    y = the k largest values of x, in the order in which they stand in x

The survey says that they are put in a row (section 4.2(5)); what matters is that their order is kept: of "not ... good" and
"good ... not" both words survive, and which came first (erratum E7). In the paper k is dynamic, see `dynamic_k`.
Claim C52.
"""

import math

from torch import Tensor, nn

from resnetbook.structure.pooling._windows import check_map
from resnetbook.timeline._checks import check_positive

__all__ = ["KMaxPool1d", "KMaxPool2d", "dynamic_k", "k_max"]


def k_max(x: Tensor, k: int, dim: int = -1) -> Tensor:
    """Return the k largest values along `dim` in their own order.

    Raises:
        ValueError: k below 1 or above the length.
    """
    check_positive(k=k)
    if k > x.shape[dim]:
        raise ValueError(f"k={k}: expected at most the length, {x.shape[dim]}")
    places = x.topk(k, dim).indices.sort(dim).values
    return x.gather(dim, places)


def dynamic_k(layer: int, layers: int, length: int, top: int) -> int:
    """Return k for one of several layers: max(top, ceil((layers - layer) / layers * length)).

    Args:
        layer: which layer, from 1.
        layers: how many there are.
        length: values of the input sequence.
        top: k of the last layer, and the smallest there is.

    Raises:
        ValueError: a number below 1, or a layer that there is not.
    """
    check_positive(layer=layer, layers=layers, length=length, top=top)
    if layer > layers:
        raise ValueError(f"layer={layer}: expected 1 to {layers}")
    return max(top, math.ceil((layers - layer) * length / layers))


class KMaxPool1d(nn.Module):
    """The k largest values of each channel, in their own order. Shape: (N, C, L) -> (N, C, k).

    Raises:
        ValueError: k below 1; in `forward` a batch of another form, or one shorter than k.
    """

    def __init__(self, k: int) -> None:
        super().__init__()
        check_positive(k=k)
        self.k = k

    def forward(self, x: Tensor) -> Tensor:
        """Return the k largest values, (N, C, k)."""
        check_map(x, 3)
        return k_max(x, self.k)

    def extra_repr(self) -> str:
        """Describe the layer in `print`."""
        return f"k={self.k}"


class KMaxPool2d(nn.Module):
    """k-max along each row, then along each column. Shape: (N, C, H, W) -> (N, C, k_rows, k_columns).

    The papers have sequences only; this is the reading for maps that keeps the order along both axes. The values that meet
    in a column may come from different columns of x.

    Args:
        k: values that are kept along an axis; a pair is for rows and columns apart.

    Raises:
        ValueError: k below 1; in `forward` a batch of another form, or a side shorter than k.
    """

    def __init__(self, k: int | tuple[int, int]) -> None:
        super().__init__()
        rows, columns = (k, k) if isinstance(k, int) else k
        check_positive(rows=rows, columns=columns)
        self.k = (rows, columns)

    def forward(self, x: Tensor) -> Tensor:
        """Return the values that are kept, (N, C, k_rows, k_columns)."""
        check_map(x)
        return k_max(k_max(x, self.k[1], 3), self.k[0], 2)

    def extra_repr(self) -> str:
        """Describe the layer in `print`."""
        return f"k={self.k}"
