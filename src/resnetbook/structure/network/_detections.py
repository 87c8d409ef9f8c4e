"""What a detector answers."""

from typing import NamedTuple

from torch import Tensor

__all__ = ["Detections"]


class Detections(NamedTuple):
    """Boxes (K, 4) as x1, y1, x2, y2 in pixels, scores (K,) and labels (K,), the surest first."""

    boxes: Tensor
    scores: Tensor
    labels: Tensor
