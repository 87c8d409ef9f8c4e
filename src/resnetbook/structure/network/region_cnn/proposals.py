"""Region proposals (Ren et al. 2015, arXiv:1506.01497, section 3.1): where might there be something?

A 3x3 convolution slides over each map of the pyramid; at each cell it says of each anchor how likely it holds an object,
and how to move it. The surest, moved, thinned by non-maximum suppression, are the regions that the second stage looks at.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import batched_nms, clip_boxes_to_image, remove_small_boxes

from resnetbook.structure.network.region_cnn.boxes import BETWEEN, anchors_at, decode, draw, encode, match

__all__ = ["ProposalNetwork"]


class ProposalHead(nn.Module):
    """Objectness and shifts of each anchor, (N, anchors, H, W) and (N, 4 anchors, H, W); names as torchvision's."""

    def __init__(self, width: int, anchors: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU()))
        self.cls_logits = nn.Conv2d(width, anchors, 1)
        self.bbox_pred = nn.Conv2d(width, 4 * anchors, 1)
        for conv in (m for m in self.modules() if isinstance(m, nn.Conv2d)):
            nn.init.normal_(conv.weight, std=0.01)
            if conv.bias is not None:
                nn.init.zeros_(conv.bias)

    def forward(self, maps: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Return objectness (N, K_l) and shifts (N, K_l, 4) of each level, in the anchors' order."""
        sure, shifts = [], []
        for x in map(self.conv, maps):
            sure.append(self.cls_logits(x).permute(0, 2, 3, 1).flatten(1))
            shifts.append(self.bbox_pred(x).unflatten(1, (-1, 4)).permute(0, 3, 4, 1, 2).flatten(1, 3))
        return sure, shifts


class ProposalNetwork(nn.Module):
    """Pyramid maps to regions, (K, 4) for each image; in training two losses as well.

    Args:
        width: channels of the pyramid.
        sizes: side of the anchors of each level.
        ratios: height to width of the anchors.
        keep: regions of each level before suppression, in training and in evaluation.
        batch: anchors of an image that a step learns from, half of them positive where there are enough.
    """

    def __init__(
        self,
        width: int,
        *,
        sizes: Sequence[float] = (32, 64, 128, 256, 512),
        ratios: Sequence[float] = (0.5, 1.0, 2.0),
        keep: tuple[int, int] = (2000, 1000),
        batch: int = 256,
    ) -> None:
        super().__init__()
        self.head = ProposalHead(width, len(ratios))
        self.sizes, self.ratios, self.keep, self.batch = tuple(sizes), tuple(ratios), keep, batch

    def anchors(self, maps: Sequence[Tensor], image: tuple[int, int]) -> list[Tensor]:
        """Return the anchors of each level, (K_l, 4)."""
        found = []
        for size, x in zip(self.sizes, maps, strict=True):
            grid = (x.shape[2], x.shape[3])
            stride = (image[0] // grid[0], image[1] // grid[1])
            found.append(anchors_at(size, self.ratios, grid, stride).to(x))
        return found

    def regions(
        self,
        sure: Sequence[Tensor],
        shifts: Sequence[Tensor],
        anchors: Sequence[Tensor],
        image: tuple[int, int],
    ) -> list[Tensor]:
        """Return the surest regions of each image, moved, cut at its border, thinned level by level."""
        keep = self.keep[0 if self.training else 1]
        found = []
        for index in range(len(sure[0])):
            boxes, scores, levels = [], [], []
            for level, (s, t, a) in enumerate(zip(sure, shifts, anchors, strict=True)):
                best = s[index].detach().topk(min(keep, s.shape[1])).indices
                boxes.append(decode(t[index].detach()[best], a[best]))
                scores.append(s[index].detach()[best].sigmoid())
                levels.append(torch.full_like(best, level))
            box, score, level_of = (
                clip_boxes_to_image(torch.cat(boxes), image),
                torch.cat(scores),
                torch.cat(levels),
            )
            large = remove_small_boxes(box, 1e-3)
            box, score, level_of = box[large], score[large], level_of[large]
            found.append(box[batched_nms(box, score, level_of, 0.7)[:keep]])
        return found

    def losses(
        self, sure: Tensor, shifts: Tensor, anchors: Tensor, truth: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        """Return the losses of objectness and of shifts, over drawn anchors of all images."""
        labels, wanted = [], []
        for boxes in truth:
            which = match(boxes, anchors, low=0.3, high=0.7, best_anyway=True)
            labels.append((which >= 0).float().masked_fill(which == BETWEEN, -1))
            nearest = boxes[which.clamp_min(0)] if len(boxes) else anchors
            wanted.append(encode(nearest, anchors))
        drawn = [draw(label, self.batch, 0.5) for label in labels]
        count = len(anchors)
        positive = torch.cat([p.sort().values + i * count for i, (p, _) in enumerate(drawn)])
        negative = torch.cat([n.sort().values + i * count for i, (_, n) in enumerate(drawn)])
        both = torch.cat([positive, negative])
        label, goal = torch.cat(labels), torch.cat(wanted)
        place = functional.smooth_l1_loss(
            shifts.flatten(0, 1)[positive], goal[positive], beta=1 / 9, reduction="sum"
        )
        return {
            "loss_objectness": functional.binary_cross_entropy_with_logits(sure.flatten()[both], label[both]),
            "loss_rpn_box_reg": place / len(both),
        }

    def forward(
        self, maps: Sequence[Tensor], image: tuple[int, int], truth: Sequence[Tensor] | None = None
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Return the regions of each image and, where the true boxes are given, the losses."""
        anchors = self.anchors(maps, image)
        sure, shifts = self.head(maps)
        found = self.regions(sure, shifts, anchors, image)
        if truth is None:
            return found, {}
        return found, self.losses(torch.cat(sure, 1), torch.cat(shifts, 1), torch.cat(anchors), truth)
