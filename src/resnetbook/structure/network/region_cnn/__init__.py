"""Faster R-CNN on a residual network: boxes, pyramid, proposals, detector, one idea a file. Section 4.5(9)."""

from resnetbook.structure.network.region_cnn.detector import FasterRCNN, faster_rcnn

__all__ = ["FasterRCNN", "faster_rcnn"]
