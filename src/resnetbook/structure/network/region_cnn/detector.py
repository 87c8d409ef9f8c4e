"""Faster R-CNN on a residual network (Ren et al. 2015, arXiv:1506.01497; in the survey Son et al. 2019 [48]).

    image -> residual trunk -> pyramid -> regions -> 7x7 cells of each (RoIAlign) -> two linear layers -> class, finer box

Two stages: regions that may hold something, then what it is and where exactly. Trunk, pyramid, anchors, the code of boxes
and what each is taught are ours; suppression and RoIAlign are torchvision's operations. With the same weights it equals
torchvision's `fasterrcnn_resnet50_fpn`, losses included. Section 4.5(9), claim C86.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import batched_nms, box_area, clip_boxes_to_image, remove_small_boxes, roi_align

from resnetbook.principle.block import BasicBlock, Bottleneck
from resnetbook.structure.network._detections import Detections
from resnetbook.structure.network.region_cnn.boxes import BETWEEN, NOTHING, decode, draw, encode, match
from resnetbook.structure.network.region_cnn.proposals import ProposalNetwork
from resnetbook.structure.network.region_cnn.pyramid import Backbone, StageMaps
from resnetbook.timeline._checks import check_images, check_positive

__all__ = ["FasterRCNN", "RegionHead", "faster_rcnn"]

WEIGHTS = (10.0, 5.0)  # shifts of the second stage are small; these bring them to the scale of the first's


class _Features(nn.Module):
    def __init__(self, width: int, cells: int, hidden: int) -> None:
        super().__init__()
        self.fc6 = nn.Linear(width * cells**2, hidden)
        self.fc7 = nn.Linear(hidden, hidden)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.fc7(functional.relu(self.fc6(x.flatten(1)))))


class _Answer(nn.Module):
    def __init__(self, hidden: int, num_classes: int) -> None:
        super().__init__()
        self.cls_score = nn.Linear(hidden, num_classes)
        self.bbox_pred = nn.Linear(hidden, 4 * num_classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.cls_score(x), self.bbox_pred(x).unflatten(1, (-1, 4))


class RegionHead(nn.Module):
    """Regions to classes and finer boxes.

    Args:
        width: channels of the pyramid.
        num_classes: with the background, which is class 0.
        levels: maps that regions are cut from, the finest of stride 4.
        hidden: width of the two linear layers.
        batch: regions of an image that a step learns from, a quarter of them positive where there are enough.
    """

    def __init__(
        self, width: int, num_classes: int, *, levels: int = 4, hidden: int = 1024, batch: int = 512
    ) -> None:
        super().__init__()
        check_positive(width=width, num_classes=num_classes, levels=levels, hidden=hidden, batch=batch)
        self.box_head = _Features(width, 7, hidden)
        self.box_predictor = _Answer(hidden, num_classes)
        self.levels, self.batch = levels, batch

    def cut(self, maps: Sequence[Tensor], regions: Sequence[Tensor]) -> Tensor:
        """Return 7x7 cells of each region from the level that fits its size, (K, width, 7, 7).

        A region of 224 pixels belongs to stride 16, one of half its side to the next finer map (arXiv:1612.03144, equation 1).
        """
        boxes = torch.cat(list(regions))
        image = torch.cat([torch.full_like(r[:, :1], index) for index, r in enumerate(regions)])
        level = (4 + (box_area(boxes).sqrt() / 224).log2() + 1e-6).floor().clamp(
            2, 1 + self.levels
        ).long() - 2
        cells = maps[0].new_zeros(len(boxes), maps[0].shape[1], 7, 7)
        for index, x in enumerate(maps[: self.levels]):
            here = (level == index).nonzero().flatten()
            rois = torch.cat([image, boxes], 1)[here]
            cells = cells.index_copy(0, here, roi_align(x, rois, 7, 1 / 2 ** (2 + index), 2))
        return cells

    def examples(
        self, regions: Sequence[Tensor], truth: Sequence[Tensor], labels: Sequence[Tensor]
    ) -> tuple[list[Tensor], Tensor, Tensor]:
        """Return regions that a step learns from, their classes and the shifts to their true boxes."""
        chosen, kinds, shifts = [], [], []
        for found, boxes, label in zip(regions, truth, labels, strict=True):
            all_regions = torch.cat([found, boxes])  # the true boxes too, so that none is without an example
            which = match(boxes, all_regions, low=0.5, high=0.5, best_anyway=False)
            kind = label[which.clamp_min(0)] if len(boxes) else torch.zeros_like(which)
            kind = kind.masked_fill(which == NOTHING, 0).masked_fill(which == BETWEEN, -1)
            positive, negative = draw(kind, self.batch, 0.25)
            index = torch.cat([positive, negative]).sort().values
            nearest = boxes[which.clamp_min(0)] if len(boxes) else all_regions
            chosen.append(all_regions[index])
            kinds.append(kind[index])
            shifts.append(encode(nearest[index], all_regions[index], WEIGHTS))
        return chosen, torch.cat(kinds), torch.cat(shifts)

    def losses(
        self,
        maps: Sequence[Tensor],
        regions: Sequence[Tensor],
        truth: Sequence[Tensor],
        labels: Sequence[Tensor],
    ) -> dict[str, Tensor]:
        """Return the losses of classes and of shifts; the latter of the true class alone."""
        chosen, kinds, goal = self.examples(regions, truth, labels)
        scores, shifts = self.box_predictor(self.box_head(self.cut(maps, chosen)))
        positive = (kinds > 0).nonzero().flatten()
        found = shifts[positive, kinds[positive]]
        place = functional.smooth_l1_loss(found, goal[positive], beta=1 / 9, reduction="sum")
        return {
            "loss_classifier": functional.cross_entropy(scores, kinds),
            "loss_box_reg": place / len(kinds),
        }

    def detect(
        self,
        maps: Sequence[Tensor],
        regions: Sequence[Tensor],
        image: tuple[int, int],
        *,
        threshold: float,
        overlap: float,
        most: int,
    ) -> list[Detections]:
        """Return what is found in each image."""
        scores, shifts = self.box_predictor(self.box_head(self.cut(maps, regions)))
        boxes = decode(shifts, torch.cat(list(regions))[:, None], WEIGHTS)
        counts = [len(r) for r in regions]
        answers = []
        for box, score in zip(boxes.split(counts), scores.softmax(1).split(counts), strict=True):
            kind = torch.arange(score.shape[1], device=score.device).expand_as(score)[:, 1:].flatten()
            box, score = clip_boxes_to_image(box, image)[:, 1:].flatten(0, 1), score[:, 1:].flatten()
            sure = (score > threshold).nonzero().flatten()
            box, score, kind = box[sure], score[sure], kind[sure]
            large = remove_small_boxes(box, 1e-2)
            box, score, kind = box[large], score[large], kind[large]
            kept = batched_nms(box, score, kind, overlap)[:most]
            answers.append(Detections(box[kept], score[kept], kind[kept]))
        return answers


class FasterRCNN(nn.Module):
    """Images (N, C, H, W), sides that 32 divides, to `Detections` of each; in training to four losses.

    Parameter names are torchvision's; its normalisation and resizing are left to the caller.

    Args:
        backbone: from images to maps of equal width, fine to coarse, the last one for proposals alone.
        width: channels of those maps.
        num_classes: with the background, which is class 0.
        threshold: least probability of a detection.
        overlap: intersection over union above which the less sure of two boxes of one class goes.
        most: detections of an image at most.
        proposals: settings of `ProposalNetwork`.
        head: settings of `RegionHead`.
    """

    def __init__(
        self,
        backbone: nn.Module,
        width: int,
        num_classes: int,
        *,
        threshold: float = 0.05,
        overlap: float = 0.5,
        most: int = 100,
        proposals: Mapping[str, object] | None = None,
        head: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.rpn = ProposalNetwork(width, **(proposals or {}))  # type: ignore[arg-type]
        self.roi_heads = RegionHead(width, num_classes, **(head or {}))
        self.threshold, self.overlap, self.most, self.num_classes = threshold, overlap, most, num_classes

    def _check(self, x: Tensor, targets: Sequence[Mapping[str, Tensor]] | None) -> None:
        check_images(x, x.shape[1] if x.dim() == 4 else 3, 32)
        if x.shape[2] % 32 or x.shape[3] % 32:
            raise ValueError(f"x of shape {tuple(x.shape)}: expected sides that 32 divides")
        if not self.training:
            return
        if targets is None or len(targets) != len(x):
            raise ValueError(
                f"targets: {None if targets is None else len(targets)} given, expected one for each image"
            )
        for target in targets:
            boxes, labels = target["boxes"], target["labels"]
            if boxes.shape != (len(labels), 4) or (boxes[:, 2:] <= boxes[:, :2]).any():
                raise ValueError(
                    f"targets: boxes {boxes.tolist()}, expected (x1, y1, x2, y2) with an area, one a label"
                )
            if len(labels) and not 1 <= labels.min() <= labels.max() < self.num_classes:
                raise ValueError(
                    f"targets: labels {labels.tolist()}, expected 1 to {self.num_classes - 1}; 0 is nothing"
                )

    def forward(
        self, x: Tensor, targets: Sequence[Mapping[str, Tensor]] | None = None
    ) -> list[Detections] | dict[str, Tensor]:
        """Return detections in evaluation, losses in training.

        Args:
            x: images.
            targets: in training, for each image `boxes` (K, 4) in pixels and `labels` (K,) from 1 on.

        Raises:
            ValueError: images of another form, targets that are missing or malformed.
        """
        self._check(x, targets)
        image = (x.shape[2], x.shape[3])
        maps = self.backbone(x)
        if not self.training or targets is None:
            regions, _ = self.rpn(maps, image)
            settings = {"threshold": self.threshold, "overlap": self.overlap, "most": self.most}
            return self.roi_heads.detect(maps, regions, image, **settings)  # type: ignore[arg-type]
        truth = [target["boxes"].to(x) for target in targets]
        regions, losses = self.rpn(maps, image, truth)
        return losses | self.roi_heads.losses(maps, regions, truth, [target["labels"] for target in targets])


def faster_rcnn(
    num_classes: int,
    *,
    block: type[BasicBlock] | type[Bottleneck] = Bottleneck,
    layers: Sequence[int] = (3, 4, 6, 3),
    width: int = 256,
    in_channels: int = 3,
    **settings: object,
) -> FasterRCNN:
    """Return the detector on a ResNet, by default of 50 layers as torchvision's; `num_classes` counts the background."""
    body = StageMaps(block, layers, in_channels=in_channels)
    return FasterRCNN(Backbone(body, body.channels, width), width, num_classes, **settings)  # type: ignore[arg-type]
