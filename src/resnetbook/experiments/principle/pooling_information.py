"""C13: pooling shrinks the maps and the parameters of the fully connected layer, and keeps the useful information.

Design: a small CNN (two convolutions, 2x2 max pooling, one linear layer) is trained; then a linear probe (multinomial logistic
regression on standardised features) is fitted to the maps of the same trained network before ("unpooled") and after
("pooled") its pooling. The probe's regularisation is chosen from three values on validation, for each arm alone.
Equal: the trained network, training images, choice of the probe. Not equal by design: the number of features.
`fc_ratio` counts the weights (without biases) of a linear layer on the unpooled maps over those on the pooled ones.
Refuted if the probe on pooled features is less accurate by more than the margin, or if the ratio is not 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from resnetbook.lab import fitting, measuring, training
from resnetbook.lab.data import ImageSet, Part, load
from resnetbook.lab.running import Context, Experiment


@dataclass(frozen=True)
class Settings:
    """The set, the side of its images (0: as stored; even), the width of the maps, training, strengths of the probe."""

    data: str = "digits"
    size: int = 0
    width: int = 16
    epochs: int = 8
    batch_size: int = 64
    learning_rate: float = 0.05
    strengths: tuple[float, ...] = (0.001, 0.01, 0.1)


def images_of(settings: Settings) -> ImageSet:
    """Load the set."""
    return load(settings.data, size=settings.size or None)


def network(settings: Settings, data: ImageSet) -> nn.Sequential:
    """Build the CNN; its parts are "maps", "pool" and "head"."""
    channels, height, width = data.train.images.shape[1:]
    model = nn.Sequential()
    maps = nn.Sequential()
    for before, after in ((channels, settings.width), (settings.width, settings.width)):
        convolution = nn.Conv2d(before, after, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        maps.extend([convolution, nn.BatchNorm2d(after), nn.ReLU()])
    model.add_module("maps", maps)
    model.add_module("pool", nn.MaxPool2d(2))
    model.add_module(
        "head",
        nn.Sequential(
            nn.Flatten(), nn.Linear(settings.width * (height // 2) * (width // 2), len(data.classes))
        ),
    )
    return model


@torch.no_grad()
def features(model: nn.Sequential, images: Tensor, *, pooled: bool) -> np.ndarray:
    """Return the maps as rows, (N, features), before or after pooling."""
    parts = ("maps", "pool") if pooled else ("maps",)
    extractor = nn.Sequential(*(model.get_submodule(part) for part in parts), nn.Flatten())
    extractor.eval()
    return measuring.logits(extractor, images).numpy()


def probe(
    train: np.ndarray, labels: Tensor, others: Sequence[tuple[np.ndarray, Part]], strength: float
) -> list[float]:
    """Fit the probe and return its accuracy on each of the other parts. `strength` is scikit-learn's C."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=500))
    classifier.fit(train, labels.numpy())
    return [float(classifier.score(rows, part.labels.numpy())) for rows, part in others]


def arms(settings: Settings) -> Sequence[str]:
    """Return the two kinds of features."""
    return ("pooled", "unpooled")


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Train the network (the same for both arms), then fit the probe."""
    data = images_of(settings)
    training.seed_everything(seed)
    model = network(settings, data)
    fitting.train(
        model,
        data,
        epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        batch_size=settings.batch_size,
        seed=seed,
        device=context.device,
    )
    train, validation, test = (
        features(model, part.images, pooled=arm == "pooled")
        for part in (data.train, data.validation, data.test)
    )
    others = [(validation, data.validation), (test, data.test)]
    # max keeps the first of equal values: the strongest regularisation.
    best = max(
        (probe(train, data.train.labels, others, strength) for strength in settings.strengths),
        key=lambda s: s[0],
    )
    unpooled = features(model, data.test.images[:1], pooled=False).shape[1]
    pooled = features(model, data.test.images[:1], pooled=True).shape[1]
    return {
        "probe_accuracy": best[1],
        "validation_accuracy": best[0],
        "features": float(train.shape[1]),
        "fc_parameters": float(nn.Linear(train.shape[1], len(data.classes), bias=False).weight.numel()),
        "fc_ratio": unpooled * len(data.classes) / (pooled * len(data.classes)),
        "network_accuracy": measuring.accuracy(model, data.test.images, data.test.labels),
        "mode_gap": measuring.mode_gap(model, data.train),
    }


EXPERIMENT = Experiment(
    name="pooling_information",
    title="What a linear probe reads from maps before and after pooling",
    claims=("C13",),
    scales={
        "live": Settings(width=8, epochs=3, strengths=(0.01,)),
        "quick": Settings(),
        "full": Settings(data="mednist_small", size=32, width=32, epochs=30),
    },
    arms=arms,
    run=run,
    data=lambda settings: fitting.describe_set(images_of(settings)),
)
