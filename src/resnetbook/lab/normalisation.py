"""Batch normalisation's statistics, estimated anew before a network is evaluated."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from resnetbook.lab import fitting
from resnetbook.lab.data import ImageSet
from resnetbook.lab.running.experiment import Context


class FreshStatistics:
    """After every `steps` steps: means and variances of the training images for the weights as they are then.

    The running averages of batch normalisation lag behind the weights: early in a training, deep in a network without
    shortcuts, the loss in eval mode then says more of them than of the weights. Training itself never reads them. Dropout and
    layers dropped at random would draw numbers here; networks that have them need another way.

    Args:
        data: the set; its training images are passed once, in batches of `batch_size`.
        steps: those of an epoch, or of as many as pass between two estimates.
        batch_size: large, so that the statistics of a batch are near to those that it is evaluated with.
    """

    def __init__(self, data: ImageSet, steps: int, batch_size: int = 512):
        self.images, self.steps, self.batch_size = data.train.images, steps, batch_size

    def on_step_end(self, step: int, model: nn.Module, loss: Tensor) -> None:
        """Estimate the statistics where it is time."""
        if (step + 1) % self.steps == 0:
            device = next(model.parameters()).device
            count = math.ceil(len(self.images) / self.batch_size)
            update_bn([batch.to(device) for batch in torch.chunk(self.images, count)], model)

    def on_epoch_end(self, epoch: int, model: nn.Module, row: dict[str, Any]) -> None:
        """Do nothing more."""


def fresh(settings: Any, data: ImageSet, epochs: int = 1) -> FreshStatistics:
    """Return what estimates the statistics anew after every `epochs` epochs of a training with `settings` on `data`."""
    return FreshStatistics(data, epochs * math.ceil(len(data.train) / settings.batch_size))


def fit_and_measure(
    network: fitting.Network, settings: Any, arm: str, seed: int, context: Context, *, anew: bool = True
) -> tuple[nn.Module, dict[str, Any]]:
    """Return `fitting.fit_and_measure` of an arm's network with the statistics estimated anew after each epoch.

    With `anew=False` the running averages stay: for a network that drops layers at random.
    """
    looking = (fresh(settings, fitting.images_of(settings, seed)),) if anew else ()
    return fitting.fit_and_measure(settings, partial(network, settings, arm), seed, context, every=looking)


def score(
    network: fitting.Network, settings: Any, arm: str, seed: int, context: Context, *, anew: bool = True
) -> dict[str, float]:
    """Return `fitting.score` of an arm's network with the statistics estimated anew after the last epoch, or as they are."""
    looking = (fresh(settings, fitting.images_of(settings, seed), settings.epochs),) if anew else ()
    return fitting.score(settings, partial(network, settings, arm), seed, context, callbacks=looking)
