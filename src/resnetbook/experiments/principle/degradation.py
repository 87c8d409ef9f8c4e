"""C03, C08, C09: plain networks get worse with depth, residual ones do not; are they easier and faster to train?

Design: the plain network and its residual twin (shortcuts of type A) at several depths (6n + 2). Equal within a depth:
parameters, initial weights, images, order of batches, steps, warm-up, schedule, grid of learning rates; each arm takes the rate
with the lowest training loss for what is read on training images, the one with the lowest validation loss for test images.
Images and their number, epochs and batches are equal between depths too; parameters grow with depth in both kinds alike.

Losses are those in eval mode on the whole training set, with batch normalisation's statistics estimated anew from the training
images after each epoch, for both kinds (`lab.normalisation`): the running averages lag behind the weights, and the loss of a deep
plain network then measures the lag. `mode_gap` says how far the accuracy with batch statistics still is from that. A plain network
may end at the level of a guess in some seeds and not in others; all seeds count, none is repeated or left out.

C03 reads training losses between depths and their trend over all depths, and the twins' accuracy on test images. C08 reads the
last training loss and the epochs to a target at each depth of 20 or more, C09 epochs and seconds to it. The target is
`target_share` of what a guess by class frequencies costs on the training labels, a rule that fits every set; the first crossing
counts, on straight lines between the losses after each epoch, from that of the guess before the first. A target that is not
reached counts as the epochs trained, and the companions that end in _reached say so. Seconds are those epochs times the seconds of an epoch:
processor time of a training step with one thread (wall time on a GPU), the median of five repeats, the twins in turn in one run.

On digits and on two medical sets: `--set data=pneumoniamnist` (chest X-rays, without the dearest depth), `--set data=wbc` (white
blood cells). Sizes of batches are such that the numbers of steps are alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sklearn.metrics import roc_auc_score
from torch import nn

from resnetbook.lab import fitting, measuring, normalisation, targets, training
from resnetbook.lab.data import ImageSet
from resnetbook.lab.running import Context
from resnetbook.principle.twins import TwinNet

KINDS = ("plain", "residual")


@dataclass(frozen=True)
class Settings(fitting.Fitting):
    """The training, the networks, and the target as a share of the loss of a guess."""

    epochs: int = 10
    depths: tuple[int, ...] = (8, 20, 56, 110)
    widths: tuple[int, ...] = (8, 16, 32)
    target_share: float = 0.5


def arms(settings: Settings) -> Sequence[str]:
    """Return plain-D and residual-D for each depth."""
    return tuple(f"{kind}-{depth}" for depth in settings.depths for kind in KINDS)


def network(settings: Settings, arm: str, data: ImageSet) -> nn.Module:
    """Build the network "plain-D" or "residual-D"; the random state decides its weights, equal for the twins."""
    kind, depth = arm.split("-")
    return TwinNet(
        int(depth),
        num_classes=len(data.classes),
        in_channels=data.shape[0],
        widths=settings.widths,
        shortcut="A",
        residual=kind == "residual",
    )


def seconds_of(settings: Settings, arm: str, seed: int, data: ImageSet, device: str) -> tuple[float, float]:
    """Return the seconds of a step and of an epoch of an arm, beside its twin."""
    kind, depth = arm.split("-")
    training.seed_everything(seed)
    twins = [network(settings, f"{name}-{depth}", data) for name in KINDS]
    return targets.seconds_of(twins, settings, data, device, KINDS.index(kind))


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Train one network and measure it."""
    data = fitting.images_of(settings, seed)
    model, found = normalisation.fit_and_measure(network, settings, arm, seed, context)
    found |= targets.epochs_to_loss(found["train_curve"], data.train.labels, settings.target_share)
    step, epoch = seconds_of(settings, arm, seed, data, context.device)
    found |= {
        "seconds_per_step": step,
        "seconds_to_loss": found["epochs_to_loss"] * epoch,
        "seconds_to_loss_reached": found["epochs_to_loss_reached"],
    }
    if len(data.classes) == 2:
        model.eval()
        scores = measuring.logits(model, data.test.images)
        # A network that diverged gives no scores: it ranks as chance does.
        margin = (scores[:, 1] - scores[:, 0]).nan_to_num(0.0, 0.0, 0.0)
        found["test_auc"] = float(roc_auc_score(data.test.labels.numpy(), margin.numpy()))
    return found


EXPERIMENT = fitting.experiment(
    __name__, "Plain and residual networks by depth", claims=("C03", "C08", "C09"),
    network=network, arms=arms, run=run, score=partial(normalisation.score, network),
    scales={
        "live": Settings(depths=(20, 56), epochs=4, rates=(0.05,)),
        "quick": Settings(),
        "full": Settings(
            "cifar10_jpeg", train_size=8000, depths=(20, 56, 110), widths=(16, 32, 64), epochs=12,
            batch_size=512, rates=(0.1, 0.3, 1.0),
        ),
    },
    variants={
        "quick": (
            Settings("pneumoniamnist", size=14, train_size=800, depths=(8, 20, 56), epochs=8, batch_size=50),
            Settings("wbc", size=16, epochs=12, batch_size=16),
        ),
    },
)  # fmt: skip
