"""One-stage detector on a residual trunk (after the survey's [50], Hao & Chai 2019; Redmon & Farhadi 2017, arXiv:1612.08242).

    for each cell of a grid and each anchor (w_a, h_a):   t_x, t_y, t_w, t_h, t_o, scores of the classes
    centre = (cell + sigmoid(t_x, t_y)) stride     size = anchor . exp(t_w, t_h)     p(object) = sigmoid(t_o)

One pass over the image gives all boxes. A true box belongs to the cell that holds its centre, and there to the anchor of the
most similar shape. The paper's text was not found; the head is that of YOLOv2, on our residual units. Overlapping answers
are thinned by torchvision's non-maximum suppression. Section 4.5(11), claim C83.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import batched_nms

from resnetbook.principle.block import BasicBlock, conv3x3
from resnetbook.structure.network._detections import Detections
from resnetbook.timeline._checks import check_images, check_positive, he_init

__all__ = ["Detections", "ResYolo", "Targets", "assign", "decode", "yolo_loss"]


class Targets(NamedTuple):
    """What the head should say: for each true box its place (image, anchor, row, column), offsets (K, 4) and label (K,)."""

    places: tuple[Tensor, Tensor, Tensor, Tensor]
    offsets: Tensor
    labels: Tensor


class ResYolo(nn.Module):
    """Images to predictions of each cell: (N, in_channels, H, W) -> (N, anchors, H / stride, W / stride, 5 + num_classes).

    Args:
        num_classes: kinds of objects.
        anchors: (width, height) in pixels.
        in_channels: of the images.
        widths: channels of the stages; each after the first halves the map, the stem halves it once.
        residual: False: the plain trunk with the same parameters.

    Attributes:
        stride: pixels of a cell's side.

    Raises:
        ValueError: a size below 1, no anchor; in `forward` images of another form, or sides that the stride does not divide.
    """

    def __init__(
        self,
        num_classes: int,
        anchors: Sequence[tuple[float, float]],
        *,
        in_channels: int = 3,
        widths: Sequence[int] = (16, 32, 64, 128),
        residual: bool = True,
    ) -> None:
        super().__init__()
        check_positive(num_classes=num_classes, in_channels=in_channels)
        if not anchors or any(side <= 0 for anchor in anchors for side in anchor):
            raise ValueError(f"anchors={list(anchors)}: expected pairs of positive sides, at least one")
        self.register_buffer("anchors", torch.tensor(anchors, dtype=torch.float32))
        self.in_channels, self.num_classes = in_channels, num_classes
        self.stride = 2 ** len(widths)
        stem = nn.Sequential(conv3x3(in_channels, widths[0], stride=2), nn.BatchNorm2d(widths[0]), nn.ReLU())
        blocks = [BasicBlock(widths[0], widths[0], shortcut="A", residual=residual)]
        for before, width in pairwise(widths):
            blocks.append(BasicBlock(before, width, stride=2, shortcut="A", residual=residual))
            blocks.append(BasicBlock(width, width, shortcut="A", residual=residual))
        self.trunk = nn.Sequential(stem, *blocks)
        self.head = nn.Conv2d(widths[-1], len(anchors) * (5 + num_classes), 1)
        he_init(self)
        nn.init.normal_(self.head.weight, std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """Return t_x, t_y, t_w, t_h, t_o and the classes' scores for each image, anchor, row and column."""
        check_images(x, self.in_channels, self.stride)
        if x.shape[2] % self.stride or x.shape[3] % self.stride:
            raise ValueError(f"x of shape {tuple(x.shape)}: expected sides that {self.stride} divides")
        out = self.head(self.trunk(x))
        return out.unflatten(1, (len(self.get_buffer("anchors")), 5 + self.num_classes)).permute(
            0, 1, 3, 4, 2
        )


def assign(
    boxes: Sequence[Tensor], labels: Sequence[Tensor], anchors: Tensor, stride: int, grid: tuple[int, int]
) -> Targets:
    """Return what the head should say of true boxes.

    The cell is the one that holds the box's centre, the anchor the one whose shape, laid over the box, has the largest
    intersection over union. Of two boxes that want one place the larger keeps it.

    Args:
        boxes: for each image (K, 4), x1, y1, x2, y2 in pixels.
        labels: for each image (K,).
        anchors: (A, 2), width and height in pixels.
        stride: pixels of a cell's side.
        grid: rows and columns.

    Raises:
        ValueError: boxes without area, or whose centre lies outside the grid.
    """
    image = torch.cat([torch.full((len(each),), index) for index, each in enumerate(boxes)]).to(
        anchors.device
    )
    corners = torch.cat([each.reshape(-1, 4) for each in boxes]).to(anchors)
    label = torch.cat(list(labels)).to(anchors.device)
    size, centre = corners[:, 2:] - corners[:, :2], (corners[:, 2:] + corners[:, :2]) / 2
    if (size <= 0).any():
        raise ValueError(
            f"boxes: {corners[(size <= 0).any(1)][0].tolist()} has no area, expected x1 < x2 and y1 < y2"
        )
    cell = (centre / stride).floor().long()
    column, row = cell[:, 0], cell[:, 1]
    outside = (cell < 0).any(1) | (row >= grid[0]) | (column >= grid[1])
    if outside.any():
        raise ValueError(f"boxes: the centre of {corners[outside][0].tolist()} lies outside the image")
    common = torch.minimum(size[:, None], anchors).prod(2)
    shape = common / (size.prod(1)[:, None] + anchors.prod(1) - common)
    anchor = shape.argmax(1)
    # The larger one is written last, and so keeps the place.
    order = size.prod(1).argsort()
    place = torch.stack([image, anchor, row, column], 1)[order]
    last: dict[tuple[int, ...], int] = {tuple(p): int(i) for p, i in zip(place.tolist(), order, strict=True)}
    kept = torch.tensor(sorted(last.values()), dtype=torch.long, device=anchors.device)
    offsets = torch.cat([centre / stride - cell, (size / anchors[anchor]).log()], 1)
    return Targets((image[kept], anchor[kept], row[kept], column[kept]), offsets[kept], label[kept])


def yolo_loss(predicted: Tensor, targets: Targets, *, no_object: float = 0.5, place: float = 5.0) -> Tensor:
    """Return the loss of a batch: squared errors of place and size, cross-entropies of object and class; a scalar.

    Each is summed over places and divided by the number of images.

    Args:
        predicted: as `ResYolo` gives it.
        targets: as `assign` gives them.
        no_object: weight of the cells that hold nothing.
        place: weight of place and size.
    """
    here = predicted[targets.places]
    is_object = torch.zeros_like(predicted[..., 4])
    is_object[targets.places] = 1
    found = torch.cat([here[:, :2].sigmoid(), here[:, 2:4]], 1)
    weight = torch.where(is_object > 0, 1.0, no_object)
    objectness = functional.binary_cross_entropy_with_logits(
        predicted[..., 4], is_object, weight, reduction="sum"
    )
    classes = functional.cross_entropy(here[:, 5:], targets.labels, reduction="sum")
    return (place * (found - targets.offsets).square().sum() + objectness + classes) / len(predicted)


def decode(
    predicted: Tensor, anchors: Tensor, stride: int, *, threshold: float = 0.3, overlap: float = 0.5
) -> list[Detections]:
    """Return the boxes of each image: those surer than `threshold`, thinned for each class.

    Args:
        predicted: as `ResYolo` gives it.
        anchors: (A, 2), width and height in pixels.
        stride: pixels of a cell's side.
        threshold: least probability of object times class.
        overlap: intersection over union above which the less sure of two boxes of one class goes.
    """
    rows, columns = predicted.shape[2:4]
    device = predicted.device
    row, column = torch.meshgrid(
        torch.arange(rows, device=device), torch.arange(columns, device=device), indexing="ij"
    )
    centre = (predicted[..., :2].sigmoid() + torch.stack([column, row], 2)) * stride
    half = anchors[:, None, None] * predicted[..., 2:4].exp() / 2
    boxes = torch.cat([centre - half, centre + half], -1).flatten(1, 3)
    sure = (predicted[..., 4:5].sigmoid() * predicted[..., 5:].softmax(-1)).flatten(1, 3)
    answers = []
    for box, scores in zip(boxes, sure, strict=True):
        which, label = (scores > threshold).nonzero(as_tuple=True)
        score = scores[which, label]
        kept = batched_nms(box[which], score, label, overlap)
        answers.append(Detections(box[which][kept], score[kept], label[kept]))
    return answers
