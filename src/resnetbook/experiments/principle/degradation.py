"""C03, C08, C09: plain networks get worse with depth, residual ones do not; are they easier and faster to train?

Design: the plain network and its residual twin (shortcuts of type A) at several depths (6n + 2). Equal within a depth:
parameters, initial weights, images, order of batches, epochs, warm-up, schedule; each arm takes its best of three learning
rates, chosen on validation loss with an extra seed. All training losses and accuracies are taken in eval mode on the
whole training set; `mode_gap` says how far the accuracy with batch statistics is from that.
Refuted: C03 if plain-56 trains no worse than plain-20, or residual-56 worse than residual-20; C08 if the residual twin
does not reach the training loss `target_loss` in fewer epochs; C09 if it does not reach the validation accuracy
`target_accuracy` in fewer epochs, and fewer seconds.
A target that is never reached counts as epochs + 1, which favours the arm that misses it. Seconds are processor time with one
thread (wall time on a GPU): the median of five repeats after two warm-ups, the two twins in turn within the same run.
`max_learning_rate` is the largest of `stable_rates` that, without warm-up, brings the training loss of epoch `stable_epochs` to half
of what a guess by class frequencies costs; where none does, the lowest rate / 3 is recorded.

Records beside the one on digits: `--set data=pneumoniamnist` (1,000 chest X-rays at 14 px) and `--set data=wbc` (176 white
blood cells at 32 px; smaller batches and more epochs, so that the number of steps is alike).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from resnetbook.lab import fitting, measuring, training
from resnetbook.lab.data import ImageSet, load
from resnetbook.lab.running import Context, Experiment


@dataclass(frozen=True)
class Settings:
    """The set, the networks and how long and how they are trained."""

    data: str = "digits"
    size: int = 0  # side in pixels; 0: as stored
    train_size: int = 0  # training images; 0: all
    depths: tuple[int, ...] = (8, 20, 32, 56, 110)
    widths: tuple[int, ...] = (8, 16, 32)
    epochs: int = 12
    warmup_epochs: int = 1
    batch_size: int = 64
    rates: tuple[float, ...] = (0.02, 0.05, 0.15)
    target_loss: float = 0.1
    target_accuracy: float = 0.95
    stable_rates: tuple[float, ...] = (0.03, 0.1, 0.3, 1.0, 3.0)
    stable_epochs: int = 3  # 0: leave max_learning_rate out


def images_of(settings: Settings) -> ImageSet:
    """Load the set at the size and number of training images asked for."""
    return load(settings.data, size=settings.size or None, train_size=settings.train_size or None)


def network(settings: Settings, arm: str, data: ImageSet) -> nn.Module:
    """Build the network "plain-D" or "residual-D"; the random state decides its weights, equal for the twins."""
    from resnetbook.principle.twins import TwinNet

    kind, depth = arm.split("-")
    return TwinNet(
        int(depth),
        num_classes=len(data.classes),
        in_channels=data.train.images.shape[1],
        widths=settings.widths,
        shortcut="A",
        residual=kind == "residual",
    )


def arms(settings: Settings) -> Sequence[str]:
    """Return plain-D and residual-D for each depth."""
    return tuple(f"{kind}-{depth}" for depth in settings.depths for kind in ("plain", "residual"))


def max_learning_rate(settings: Settings, arm: str, seed: int, data: ImageSet, device: str) -> float:
    """Return the largest rate of the grid that trains: from the top down, the first that trains (see above)."""
    shares = data.train.labels.bincount().double() / len(data.train.labels)
    guess = float(-(shares * shares.clamp_min(1e-12).log()).sum())
    for rate in sorted(settings.stable_rates, reverse=True):
        training.seed_everything(seed)
        history = fitting.train(
            network(settings, arm, data),
            data,
            epochs=settings.stable_epochs,
            learning_rate=rate,
            batch_size=settings.batch_size,
            schedule="constant",
            seed=seed,
            device=device,
        )
        loss = history.rows[-1]["train_loss"]
        if math.isfinite(loss) and loss < guess / 2:
            return rate
    return min(settings.stable_rates) / 3


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Train one network and measure it."""
    data = images_of(settings)
    kind, depth = arm.split("-")
    training.seed_everything(seed)
    pair = [network(settings, f"{name}-{depth}", data) for name in ("plain", "residual")]
    own = measuring.seconds_per_step(pair, data, settings.batch_size, training.device(context.device))
    seconds = own[0] if kind == "plain" else own[1]

    training.seed_everything(seed)
    model = network(settings, arm, data)
    rows = fitting.train(
        model,
        data,
        epochs=settings.epochs,
        learning_rate=float(context.tuned["learning_rate"]),
        batch_size=settings.batch_size,
        warmup_epochs=settings.warmup_epochs,
        seed=seed,
        device=context.device,
        checkpoint=context.checkpoint,
        callbacks=(fitting.Watch(data, context.device),),
    ).rows
    # A training that diverged ends early: what is missing is no number.
    rows = [*rows, *[{}] * (settings.epochs - len(rows))]
    losses, accuracies, validation = (
        [float(row.get(name, math.nan)) for row in rows]
        for name in ("eval_loss", "eval_accuracy", "validation_accuracy")
    )
    epochs_to_target = fitting.first_epoch(validation, lambda value: value >= settings.target_accuracy)
    steps = math.ceil(len(data.train.labels) / settings.batch_size)
    results: dict[str, Any] = {
        "train_loss": losses[-1],
        "train_accuracy": accuracies[-1],
        "test_accuracy": training.evaluate(model, data.test, device=context.device)["accuracy"],
        "train_curve": losses,
        "validation_curve": validation,
        "epochs_to_loss": fitting.first_epoch(losses, lambda value: value <= settings.target_loss),
        "epochs_to_95": epochs_to_target,
        "seconds_per_step": seconds,
        "seconds_to_95": epochs_to_target * steps * seconds,
        "mode_gap": measuring.mode_gap(model, data.train),
    }
    if len(data.classes) == 2:
        from sklearn.metrics import roc_auc_score

        model.eval()
        scores = measuring.logits(model, data.test.images)
        # A network that diverged gives no scores: it ranks as chance does.
        scores = (scores[:, 1] - scores[:, 0]).nan_to_num(0.0, 0.0, 0.0)
        results["test_auc"] = float(roc_auc_score(data.test.labels.numpy(), scores.numpy()))
    if settings.stable_epochs:
        results["max_learning_rate"] = max_learning_rate(settings, arm, seed, data, context.device)
    return results


def tune(settings: Settings, arm: str, context: Context) -> dict[str, Any]:
    """Choose the arm's learning rate."""
    data = images_of(settings)
    return fitting.best_validation_rate(
        lambda: network(settings, arm, data),
        data,
        settings.rates,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        warmup_epochs=settings.warmup_epochs,
        device=context.device,
    )


EXPERIMENT = Experiment(
    name="degradation",
    title="Plain and residual networks by depth",
    claims=("C03", "C08", "C09"),
    scales={
        "live": Settings(depths=(20, 56), epochs=4, rates=(0.05,), stable_epochs=0),
        "quick": Settings(),
        "full": Settings(
            data="cifar10_jpeg",
            depths=(20, 32, 44, 56, 110),
            widths=(16, 32, 64),
            epochs=60,
            batch_size=128,
            rates=(0.03, 0.1, 0.3),
        ),
    },
    variants={
        "quick": (
            Settings("pneumoniamnist", size=14, train_size=1000, depths=(8, 20, 56, 110), stable_epochs=0),
            Settings("wbc", size=32, depths=(8, 20, 56, 110), epochs=20, batch_size=16, stable_epochs=0),
        ),
    },
    arms=arms,
    run=run,
    tune=tune,
    data=lambda settings: fitting.describe_set(images_of(settings)),
)
