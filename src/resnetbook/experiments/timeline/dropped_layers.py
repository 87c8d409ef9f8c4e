"""C24, C25, C26: stochastic depth generalises better, trains faster, and does not harm convergence.

Design: one ResNet ("survival-1") and the same with blocks left out at random, the last one kept with probability .8 or .5
(linear rule). Equal: architecture, parameters, initial weights, images, order of batches, epochs, warm-up, schedule. Each arm
has its own learning rates: the one of the lowest training loss for C25 and C26, of the lowest validation loss for C24.
C24 reads test accuracy and test loss (a ratio), of either probability: a network may be as often right and less sure where it
is wrong. Few training images, where a regulariser could help. Refuted where no probability gains in either.
C25 reads survival .5, the paper's own: step_ratio, the time of a training step over that of the network that keeps all
blocks, medians of five repeats after two warm-ups, both networks in turn in the same job (processor time of one thread; wall
time on a GPU). It is 1 for "survival-1" by definition, and the blocks computed on average would give `blocks_computed`. Time
to a validation accuracy is counted in steps of that network: relative_time = epochs_to_accuracy x step_ratio, restricted to
the epochs trained; relative_time_reached says whether the target was met.
C26 reads the training loss at the end in eval mode, all blocks in place. Beside it, of the network that C24 reads:
loss_in_eval_mode, and loss_in_training_mode with blocks missing and the batch's statistics, which is no measure of harm.
Eval mode uses running averages of the thinned networks, as the paper does: those of a block lag more the oftener it is missing,
so that early in a training the time to an accuracy is longer for survival .5, if anything.

Sets: digits, and chest X-rays (PneumoniaMNIST at 14 px), 300 training images of either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch.nn.functional import cross_entropy

from resnetbook.experiments.timeline._settings import FewImages
from resnetbook.lab import fitting, measuring, training
from resnetbook.lab.data import ImageSet
from resnetbook.lab.running import Context
from resnetbook.timeline.stochastic_depth import StochasticDepthResNet


@dataclass(frozen=True)
class Settings(FewImages):
    """The training on few images, depth (6n + 2), widths, the survival probabilities, and the steps timed in a repeat."""

    epochs: int = 25
    target_accuracy: float = 0.9
    depth: int = 32
    widths: tuple[int, ...] = (8, 16, 32)
    survivals: tuple[float, ...] = (1.0, 0.8, 0.5)
    timed_steps: int = 10


def arms(settings: Settings) -> Sequence[str]:
    """Return survival-p for each p."""
    return tuple(f"survival-{survival:g}" for survival in settings.survivals)


def network(settings: Settings, arm: str, data: ImageSet) -> StochasticDepthResNet:
    """Build "survival-p"; the random state decides its weights, equal for all arms."""
    return StochasticDepthResNet(
        settings.depth,
        survival=float(arm.removeprefix("survival-")),
        num_classes=len(data.classes),
        in_channels=data.shape[0],
        widths=settings.widths,
    )


def step_ratio(settings: Settings, arm: str, data: ImageSet, device: str) -> float:
    """Return the time of a training step of an arm over that of the network that keeps all blocks."""
    own = network(settings, arm, data)
    if own.expected_blocks == len(own.blocks):
        return 1.0
    pair = [network(settings, "survival-1", data), own]
    base, dropped = measuring.seconds_per_step(
        pair, data, settings.batch_size, training.device(device), settings.timed_steps
    )
    return dropped / base


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Time a step, train one network and measure it."""
    data = fitting.images_of(settings, seed)
    training.seed_everything(seed)
    ratio = step_ratio(settings, arm, data, context.device)
    model, found = fitting.fit_and_measure(settings, partial(network, settings, arm), seed, context)
    losses = measuring.losses(model, data.test.images, data.test.labels)
    found["outcomes"]["test_loss"] = losses
    training.seed_everything(seed)  # for the blocks that are missing
    with measuring.batch_statistics(model):
        thinned = cross_entropy(measuring.logits(model, data.train.images), data.train.labels)
    whole = network(settings, arm, data)
    return {
        **found,
        "test_loss": float(losses.mean()),
        "loss_in_training_mode": float(thinned),
        "loss_in_eval_mode": float(measuring.losses(model, data.train.images, data.train.labels).mean()),
        "blocks_computed": whole.expected_blocks / len(whole.blocks),
        "step_ratio": ratio,
        "relative_time": found["epochs_to_accuracy"] * ratio,
        "relative_time_reached": found["epochs_to_accuracy_reached"],
    }


EXPERIMENT = fitting.experiment(
    __name__, "Stochastic depth by survival probability", claims=("C24", "C25", "C26"),
    network=network, run=run, arms=arms,
    scales={
        "live": Settings(epochs=2, depth=8, rates=(0.05,), timed_steps=2),
        "quick": Settings(),
        "full": Settings(
            data="cifar10_jpeg", train_size=0, epochs=15, batch_size=512, depth=110, widths=(16, 32, 64),
            rates=(0.1, 0.3, 1.0), target_accuracy=0.6,
        ),
    },
    variants={"quick": (Settings("pneumoniamnist", size=14, epochs=12, target_accuracy=0.85),)},
)  # fmt: skip
