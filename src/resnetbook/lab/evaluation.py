"""What a classifier got right, image by image, and the metrics of medical imaging (by torchmetrics)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from resnetbook.lab.training import Part
from resnetbook.lab.training import device as find_device


@dataclass(frozen=True)
class Predictions:
    """Logits (N, K) and labels (N,) of one part, on the CPU; everything else follows from them."""

    logits: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        logits, labels = self.logits, self.labels
        if logits.ndim != 2 or labels.shape != logits.shape[:1] or len(labels) == 0 or logits.shape[1] < 2:
            shapes = f"logits {tuple(logits.shape)} and labels {tuple(labels.shape)}"
            raise ValueError(
                f"{shapes}: expected (N, K) and (N,) with the same N of at least 1, K of at least 2"
            )
        if labels.is_floating_point() or not 0 <= int(labels.min()) <= int(labels.max()) < logits.shape[1]:
            raise ValueError(f"labels: expected whole numbers from 0 to {logits.shape[1] - 1}")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def probabilities(self) -> Tensor:
        """Return the softmax of the logits, shape (N, K)."""
        return self.logits.softmax(1)

    @property
    def predicted(self) -> Tensor:
        """Return the class with the largest logit, shape (N,)."""
        return self.logits.argmax(1)

    @property
    def correct(self) -> Tensor:
        """Return for each image whether it was predicted right, shape (N,), bool."""
        return self.predicted == self.labels

    @property
    def confusion(self) -> np.ndarray:
        """Return the counts by true class (row) and predicted class (column), shape (K, K)."""
        count = self.logits.shape[1]
        return (
            (self.labels * count + self.predicted).bincount(minlength=count**2).reshape(count, count).numpy()
        )


def predict(model: nn.Module, part: Part, *, batch_size: int = 512, device: str = "auto") -> Predictions:
    """Return the predictions of `model` on `part`, in evaluation mode; the model's mode and device are kept."""
    target = find_device(device)
    home = next((p.device for p in model.parameters()), torch.device("cpu"))
    modes = [(module, module.training) for module in model.modules()]
    model.to(target).eval()
    with torch.no_grad():
        logits = [model(x.to(target)).float().cpu() for x in part.images.split(batch_size)]
    model.to(home)
    for module, mode in modes:
        module.training = mode
    return Predictions(torch.cat(logits), part.labels.cpu())


def metrics(predictions: Predictions, *, bins: int = 15) -> dict[str, float]:
    """Return accuracy, balanced_accuracy, auc, calibration_error and loss.

    Balanced accuracy is the mean recall, auc the mean of one class against the rest (area under the ROC curve), both over
    the classes that occur; auc is NaN where just one does. Calibration error is the expected one with `bins` bins of
    equal width (Guo et al. 2017, equation 3); loss is the cross entropy. Logits that are not finite (a training that
    diverged) give the accuracy of their largest entry, and NaN for the rest.

    Raises:
        ValueError: `bins` is below 1.
    """
    from torchmetrics.functional import classification as tm

    if bins < 1:
        raise ValueError(f"bins={bins!r}: expected at least 1")
    labels, count = predictions.labels, predictions.logits.shape[1]
    present = labels.bincount(minlength=count) > 0
    recall = tm.multiclass_recall(predictions.predicted, labels, count, average="none")
    result = {
        "accuracy": predictions.correct.double().mean().item(),
        "balanced_accuracy": recall[present].double().mean().item(),
    }
    if not predictions.logits.isfinite().all():
        return result | dict.fromkeys(("auc", "calibration_error", "loss"), math.nan)
    several, chances = int(present.sum()) > 1, predictions.probabilities
    # Class by class, each against the rest: torchmetrics' own mean counts a class that does not occur as zero.
    areas = [
        tm.binary_auroc(chances[:, k], (labels == k).long()).item()
        for k in range(count)
        if several and present[k]
    ]
    return result | {
        "auc": sum(areas) / len(areas) if several else math.nan,
        "calibration_error": tm.multiclass_calibration_error(chances, labels, count, n_bins=bins).item(),
        "loss": cross_entropy(predictions.logits, labels).item(),
    }
