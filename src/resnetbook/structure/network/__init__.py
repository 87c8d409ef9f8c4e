"""Section 4.5 of the survey: whole networks that are not in section 3, one a file; the others are in `resnetbook.timeline`."""

from resnetbook.structure.network.cnn_lstm import CnnLSTM
from resnetbook.structure.network.crrn import CRRN
from resnetbook.structure.network.region_cnn import FasterRCNN, faster_rcnn
from resnetbook.structure.network.res_yolo import ResYolo
from resnetbook.structure.network.st_resnet import STResNet

__all__ = ["CRRN", "CnnLSTM", "FasterRCNN", "ResYolo", "STResNet", "faster_rcnn"]
