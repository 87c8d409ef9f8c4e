"""C13: pooling shrinks the maps and the parameters of the fully connected layer, and keeps the useful information.

Design: a small CNN (two convolutions, 2x2 max pooling, one linear layer) is trained; then a linear probe (multinomial logistic
regression on standardised features) is fitted to the maps of the same trained network: as they are before the pooling
("unpooled"), after it ("pooled"), and, the control, to every second pixel of them ("subsampled"), which is what a convolution of
stride 2 would hand on: as many features as the pooled maps, none of them a maximum.
Equal: the trained network, training images, the probe's kind; each arm takes the probe's best strength (scikit-learn's C),
chosen as a rate is: `rates` is its grid, by the loss on validation images. Equal for pooled and subsampled: the number of
features; unpooled maps have four times as many. The network learned with its pooling behind the maps and may have
fitted them to it; so the test speaks of a network trained with max pooling.
Metric: accuracy of the probe on test images; `fc_ratio` counts the weights (without biases) of a linear layer on the unpooled
maps over those on the pooled ones.
Refuted if the ratio is not 4, if the probe on pooled features is worse than that on the unpooled ones by more than the
margin, or, for information that pooling rather than any thinning keeps, if it is no better than on the subsampled ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from resnetbook.lab import fitting, measuring, training
from resnetbook.lab.data import ImageSet, Part
from resnetbook.lab.running import Context


@dataclass(frozen=True)
class Settings(fitting.Fitting):
    """The set (sides even), the training, the probe's strengths (`rates`), the width of the maps, the network's rate."""

    epochs: int = 8
    rates: tuple[float, ...] = (0.001, 0.003, 0.01)
    width: int = 16
    network_rate: float = 0.05


def network(settings: Settings, arm: str, data: ImageSet) -> nn.Sequential:
    """Build the CNN, the same for every arm; its parts are "maps", "pool" and "head"."""
    channels, height, width = data.shape
    model, maps = nn.Sequential(), nn.Sequential()
    for before, after in ((channels, settings.width), (settings.width, settings.width)):
        convolution = nn.Conv2d(before, after, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        maps.extend([convolution, nn.BatchNorm2d(after), nn.ReLU()])
    model.add_module("maps", maps)
    model.add_module("pool", nn.MaxPool2d(2))
    outputs = nn.Linear(settings.width * (height // 2) * (width // 2), len(data.classes))
    model.add_module("head", nn.Sequential(nn.Flatten(), outputs))
    return model


def trained(settings: Settings, arm: str, data: ImageSet, seed: int, device: str) -> nn.Sequential:
    """Return the trained network, the same for every arm."""
    training.seed_everything(seed)
    model = network(settings, arm, data)
    fitting.train(model, data, settings, rate=settings.network_rate, seed=seed, device=device)
    return model


def features(model: nn.Sequential, images: Tensor, arm: str) -> Tensor:
    """Return the arm's features as rows, (N, features)."""
    maps = measuring.logits(model.get_submodule("maps").eval(), images)
    if arm == "pooled":
        maps = model.get_submodule("pool")(maps)
    elif arm == "subsampled":
        maps = maps[:, :, ::2, ::2]
    return maps.flatten(1)


def probe(model: nn.Sequential, arm: str, train: Part, strength: float) -> Pipeline:
    """Fit the probe to the arm's features of `train`."""
    found = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=500))
    return found.fit(features(model, train.images, arm).numpy(), train.labels.numpy())


def arms(settings: Settings) -> Sequence[str]:
    """Return the three kinds of features."""
    return ("pooled", "subsampled", "unpooled")


def score(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, float]:
    """Return the loss on validation images of the probe with the strength that is tried."""
    data = fitting.images_of(settings, seed)
    model = trained(settings, arm, data, seed, context.device)
    found = probe(model, arm, data.train, fitting.rate_for("validation_loss", context))
    chances = found.predict_proba(features(model, data.validation.images, arm).numpy())
    return {
        "validation_loss": float(log_loss(data.validation.labels.numpy(), chances, labels=found.classes_))
    }


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Train the network, then fit the probe."""
    data = fitting.images_of(settings, seed)
    model = trained(settings, arm, data, seed, context.device)
    found = probe(model, arm, data.train, fitting.rate_for("validation_loss", context))
    predicted = torch.from_numpy(found.predict(features(model, data.test.images, arm).numpy()))
    right = predicted == data.test.labels
    counts = {kind: features(model, data.test.images[:1], kind).shape[1] for kind in arms(settings)}
    return {
        "probe_accuracy": float(right.float().mean()),
        "features": float(counts[arm]),
        "fc_ratio": counts["unpooled"] / counts["pooled"],
        "network_accuracy": measuring.accuracy(model, data.test.images, data.test.labels),
        "mode_gap": measuring.mode_gap(model, data.train),
        "outcomes": {"probe_accuracy": right},
    }


EXPERIMENT = fitting.experiment(
    __name__, "What a linear probe reads from maps before and after pooling", claims=("C13",),
    network=network, run=run, score=score, arms=arms,
    scales={
        "live": Settings(width=8, epochs=3, rates=(0.01,)),
        "quick": Settings(),
        "full": Settings("mednist_small", size=32, width=32, epochs=15),
    },
    variants={"quick": (Settings("pneumoniamnist", size=14, train_size=1000),)},
)  # fmt: skip
