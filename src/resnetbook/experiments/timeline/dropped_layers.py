"""C24, C25, C26: stochastic depth generalises better, trains faster, and does not harm convergence.

Design: one ResNet ("survival-1") and the same with blocks left out at random, the last one kept with probability .8 or .5
(linear rule). Equal: architecture, parameters, initial weights, images, order of batches, epochs, warm-up, schedule; each
arm takes its best of three learning rates, chosen on validation loss with an extra seed.
C24 reads the test accuracy; few training images, where a regulariser could help. Refuted where no probability gives a gain.
C25 reads step_ratio, the time of a training step over that of the network that keeps all blocks: medians of five repeats
after two warm-ups, both networks in turn in the same job (processor time of one thread; wall time on a GPU). It is 1 for
"survival-1" by definition, and the blocks computed on average would give `blocks_computed`. Time to an accuracy is counted
in steps of that network: relative_time = epochs_to_accuracy x step_ratio; where the target is not reached, epochs + 1.
C26 reads the training loss at the end in eval mode, all blocks in place; loss_in_training_mode is the running estimate while
blocks are missing, which is no measure of it. Refuted if the loss is higher by the margin.

The record on PneumoniaMNIST (`--set data=pneumoniamnist`: 300 chest X-rays at 14 px) stands beside them and decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from resnetbook.lab import fitting, training
from resnetbook.lab.data import ImageSet
from resnetbook.lab.measuring import seconds_per_step
from resnetbook.lab.running import Context, Experiment


@dataclass(frozen=True)
class Settings(fitting.Fitting):
    """The training, the depth (6n + 2), the widths, the survival probabilities, and the steps timed in a repeat."""

    train_size: int = 300
    epochs: int = 25
    batch_size: int = 32
    target_accuracy: float = 0.9
    depth: int = 32
    widths: tuple[int, ...] = (8, 16, 32)
    survivals: tuple[float, ...] = (1.0, 0.8, 0.5)
    timed_steps: int = 10


def arms(settings: Settings) -> Sequence[str]:
    """Return survival-p for each p."""
    return tuple(f"survival-{survival:g}" for survival in settings.survivals)


def network(settings: Settings, arm: str, data: ImageSet) -> nn.Module:
    """Build "survival-p"; the random state decides its weights, equal for all arms."""
    from resnetbook.timeline.stochastic_depth import StochasticDepthResNet

    return StochasticDepthResNet(
        settings.depth,
        survival=float(arm.removeprefix("survival-")),
        num_classes=len(data.classes),
        in_channels=data.train.images.shape[1],
        widths=settings.widths,
    )


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Time a step, train one network and measure it."""
    data = fitting.images_of(settings)
    training.seed_everything(seed)
    own: Any = network(settings, arm, data)
    blocks_computed = own.expected_blocks / len(own.blocks)
    step_ratio = 1.0
    if blocks_computed < 1:
        pair = [network(settings, "survival-1", data), own]
        device = training.device(context.device)
        base, dropped = seconds_per_step(pair, data, settings.batch_size, device, settings.timed_steps)
        step_ratio = dropped / base
    model, rows = fitting.fit(settings, lambda: network(settings, arm, data), data, seed, context)
    measured = fitting.measure(settings, model, rows, data, context)
    return {
        **measured,
        "loss_in_training_mode": float(rows[-1].get("train_loss", float("nan"))),
        "blocks_computed": blocks_computed,
        "step_ratio": step_ratio,
        "relative_time": measured["epochs_to_accuracy"] * step_ratio,
    }


def tune(settings: Settings, arm: str, context: Context) -> dict[str, Any]:
    """Choose the arm's learning rate."""
    data = fitting.images_of(settings)
    return fitting.best_rate(settings, lambda: network(settings, arm, data), data, context)


EXPERIMENT = Experiment(
    name="dropped_layers",
    title="Stochastic depth by survival probability",
    claims=("C24", "C25", "C26"),
    scales={
        "live": Settings(epochs=2, depth=8, rates=(0.05,), timed_steps=2),
        "quick": Settings(),
        "full": Settings(
            data="cifar10_jpeg",
            train_size=0,
            epochs=60,
            batch_size=128,
            depth=110,
            widths=(16, 32, 64),
            rates=(0.03, 0.1, 0.3),
        ),
    },
    variants={"quick": (Settings("pneumoniamnist", size=14, epochs=15, target_accuracy=0.85),)},
    arms=arms,
    run=run,
    tune=tune,
    data=fitting.describe,
)
