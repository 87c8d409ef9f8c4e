"""Sets whose images lie small in the middle of a black canvas, so that they can be moved, turned and scaled without a loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from resnetbook.lab import fitting, measuring
from resnetbook.lab.data import ImageSet, Part, load, on_canvas, redrawn
from resnetbook.lab.running import Context, Experiment

Change = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Settings(fitting.Fitting):
    """The training, and the side of picture and canvas in pixels."""

    rates: tuple[float, ...] = (0.01, 0.03, 0.1)
    picture: int = 16
    canvas: int = 32


@lru_cache(maxsize=2)
def _placed(name: str, picture: int, canvas: int) -> ImageSet:
    data = load(name, size=picture, normalise=False)
    train, validation, test = (
        Part(on_canvas(part.images, None, canvas), part.labels) for part in data.parts.values()
    )
    return replace(data, train=train, validation=validation, test=test)


def images_of(settings: Any, seed: int) -> ImageSet:
    """Load the set on its canvas, with the training images that `seed` draws; test images never change."""
    placed = _placed(settings.data, settings.picture, settings.canvas)
    return redrawn(placed, seed, train_size=settings.train_size or None)


def describe(settings: Any) -> dict[str, str]:
    """Return what a record says of its data."""
    return fitting.describe_set(images_of(settings, 0))


def under(
    model: nn.Module,
    test: Part,
    clean: Tensor,
    name: str,
    levels: Mapping[Any, Sequence[Change]],
    sizes: Mapping[str, Sequence[Any]],
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Measure one kind of change: return metrics, and outcomes of those that are ratios.

    Args:
        model: the trained network.
        test: images as they are.
        clean: (N,) right answers on them.
        name: of the change.
        levels: for each level (pixels, degrees, ...) the changes over which the mean is taken: right and left, say.
        sizes: for each name the levels over which `<name>_<size>_kept` is the mean; with "" it is `<name>_kept`.
    """
    found = {level: measuring.right_under(model, test, changes) for level, changes in levels.items()}
    metrics: dict[str, Any] = {f"{name}_curve": [float(right.mean()) for right in found.values()]}
    outcomes = {}
    for size, chosen in sizes.items():
        metric = "_".join(filter(None, (name, size, "kept")))
        moved = torch.stack([found[level] for level in chosen]).mean(0)
        metrics[metric], outcomes[metric] = measuring.kept(moved, clean)
    return metrics, outcomes


Network = Callable[[Any, str, ImageSet], nn.Module]
Measure = Callable[[Any, nn.Module, Part, Tensor], tuple[Mapping[str, Any], Mapping[str, Tensor]]]


def experiment(module: str, title: str, *, network: Network, measure: Measure, **more: Any) -> Experiment:
    """Return an experiment that trains on centred images and measures on changed ones.

    `measure(settings, model, test, clean)` returns metrics and outcomes; `clean` (N,) says which test images are classified
    rightly as they are. All that is read is read on test images: the rate is that of the lowest validation loss.
    """
    return fitting.experiment(
        module,
        title,
        network=network,
        run=partial(_run, network, measure),
        score=partial(_score, network),
        data=describe,
        **more,
    )


def _run(
    network: Network, measure: Measure, settings: Any, arm: str, seed: int, context: Context
) -> dict[str, Any]:
    data = images_of(settings, seed)
    model, rows = fitting.fit(settings, partial(network, settings, arm), data, seed, context)
    tested = fitting.tested_metrics(model, data, context.device)
    clean = tested.pop("outcomes")["test_accuracy"]
    metrics, outcomes = measure(settings, model, data.test, clean)
    return {
        **tested,
        "train_accuracy": float(rows[-1].get("eval_accuracy", math.nan)),
        "mode_gap": measuring.mode_gap(model, data.train),
        "parameters": float(sum(weight.numel() for weight in model.parameters())),
        **metrics,
        "outcomes": dict(outcomes),
    }


def _score(network: Network, settings: Any, arm: str, seed: int, context: Context) -> dict[str, float]:
    data = images_of(settings, seed)
    _, rows = fitting.fit(settings, partial(network, settings, arm), data, seed, context)
    return {"validation_loss": float(rows[-1].get("validation_loss", math.nan))}
