"""Boxes: anchors, how a box is told as a shift of another, which true box an anchor stands for, which are drawn for a step.

    t_x = (x - x_a) / w_a,  t_y = (y - y_a) / h_a,  t_w = log(w / w_a),  t_h = log(h / h_a)      (x, y) the centre

Source: Ren et al. 2015, arXiv:1506.01497, equation 2 and section 3.1. A box is (x1, y1, x2, y2) in pixels.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.ops import box_iou

__all__ = ["BETWEEN", "NOTHING", "anchors_at", "decode", "draw", "encode", "match"]

NOTHING, BETWEEN = -1, -2
# A size can grow 62.5 times at most, so that one wild answer does not overflow.
LARGEST = math.log(1000 / 16)


def anchors_at(
    size: float, ratios: Sequence[float], grid: tuple[int, int], stride: tuple[int, int]
) -> Tensor:
    """Return the anchors of one level: at each cell one box for each ratio of height to width, all of area size^2.

    Shape: (rows * columns * ratios, 4); cells row by row, the ratios of a cell together. Corners are whole pixels.
    """
    root = torch.tensor(ratios, dtype=torch.float32).sqrt()
    half = torch.stack([-1 / root, -root, 1 / root, root], 1) * size / 2
    down, right = torch.meshgrid(
        torch.arange(grid[0]) * stride[0], torch.arange(grid[1]) * stride[1], indexing="ij"
    )
    corner = torch.stack([right, down, right, down], 2).reshape(-1, 1, 4)
    return (corner + half.round()).reshape(-1, 4)


def _centre_and_size(boxes: Tensor) -> tuple[Tensor, Tensor]:
    size = boxes[..., 2:] - boxes[..., :2]
    return boxes[..., :2] + size / 2, size


def encode(boxes: Tensor, anchors: Tensor, weights: tuple[float, float] = (1.0, 1.0)) -> Tensor:
    """Return `boxes` as shifts of `anchors`, (K, 4) each; `weights` scale place and size.

    The inverse of `decode`, but for sizes beyond its largest.
    """
    centre, size = _centre_and_size(boxes)
    from_centre, from_size = _centre_and_size(anchors)
    return torch.cat(
        [weights[0] * (centre - from_centre) / from_size, weights[1] * (size / from_size).log()], -1
    )


def decode(shifts: Tensor, anchors: Tensor, weights: tuple[float, float] = (1.0, 1.0)) -> Tensor:
    """Return the boxes that `shifts` make of `anchors`, both (..., 4)."""
    from_centre, from_size = _centre_and_size(anchors)
    centre = shifts[..., :2] / weights[0] * from_size + from_centre
    half = (shifts[..., 2:] / weights[1]).clamp_max(LARGEST).exp() * from_size / 2
    return torch.cat([centre - half, centre + half], -1)


def match(truth: Tensor, boxes: Tensor, *, low: float, high: float, best_anyway: bool) -> Tensor:
    """Return for each of `boxes` the true box that it stands for, or NOTHING, or BETWEEN.

    Args:
        truth: (T, 4).
        boxes: (K, 4).
        low: below this intersection over union with every true box it stands for NOTHING.
        high: from this on it stands for the true box that it overlaps most; from `low` to `high` it is BETWEEN, and
            taught neither.
        best_anyway: the boxes that overlap a true box more than all others do stand for one even below `high`.

    Raises:
        ValueError: `low` above `high`.
    """
    if low > high:
        raise ValueError(f"low={low}: expected at most high={high}")
    if not len(truth):
        return torch.full((len(boxes),), NOTHING, device=boxes.device)
    overlap = box_iou(truth, boxes)
    most, which = overlap.max(0)
    found = which.where(most >= high, torch.where(most < low, NOTHING, BETWEEN))
    if best_anyway:
        best = (overlap == overlap.max(1, keepdim=True).values).any(0)
        found = which.where(best, found)
    return found


def draw(labels: Tensor, count: int, share: float) -> tuple[Tensor, Tensor]:
    """Return indices of positive (label 1 or more) and negative (0) examples, `count` in all where there are enough.

    Args:
        labels: (K,); what is below 0 is never drawn.
        count: how many.
        share: of positive ones at most; what they lack is filled up with negative ones.
    """
    positive, negative = (labels >= 1).nonzero().flatten(), (labels == 0).nonzero().flatten()
    wanted = min(len(positive), int(count * share))
    chosen = positive[torch.randperm(len(positive), device=labels.device)[:wanted]]
    others = negative[
        torch.randperm(len(negative), device=labels.device)[: min(len(negative), count - wanted)]
    ]
    return chosen, others
