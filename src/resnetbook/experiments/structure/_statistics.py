"""Statistics of batch normalisation for networks with chance in them: estimated as the network is evaluated."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn

from resnetbook.lab import measuring
from resnetbook.lab.data import ImageSet


class EvaluationStatistics:
    """After every `steps` steps: means and variances of the training images, with all other layers in evaluation mode.

    Running averages lag behind the weights. In a network that draws in training and takes the expectation in evaluation,
    they are also those of what was drawn, which varies more than the expectation does (Li et al. 2019, arXiv:1801.05134):
    what chance costs then is owed to the normalisation. Training never reads what is put here; no number is drawn.

    Args:
        data: the set; its training images are passed once, in batches of `batch_size`.
        steps: steps between two estimates.
        batch_size: large, so that the statistics of a batch are near to those of all images.
    """

    def __init__(self, data: ImageSet, steps: int, batch_size: int = 512):
        self.images, self.steps, self.batch_size = data.train.images, steps, batch_size

    def on_step_end(self, step: int, model: nn.Module, loss: Tensor) -> None:
        """Estimate the statistics where it is time."""
        if (step + 1) % self.steps:
            return
        with measuring.reestimated(model, self.images, batch_size=self.batch_size):
            found = {name: value.clone() for name, value in model.named_buffers()}
        for name, value in model.named_buffers():
            value.copy_(found[name])

    def on_epoch_end(self, epoch: int, model: nn.Module, row: dict[str, Any]) -> None:
        """Do nothing more."""


def as_evaluated(settings: Any, data: ImageSet, epochs: int = 1) -> EvaluationStatistics:
    """Return what estimates the statistics after every `epochs` epochs of a training with `settings` on `data`."""
    return EvaluationStatistics(data, epochs * math.ceil(len(data.train) / settings.batch_size))
