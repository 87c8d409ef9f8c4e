"""C19: with more layers features are reused less. C27: residual networks are redundant.

Design: networks are trained, then blocks are taken out and nothing is trained again (Veit et al. 2016, section 4.1): a
residual block then passes on its shortcut, a plain one its subsampled and padded input. Residual networks of depth 20, 32 and 56, the
plain twin of depth 20 (deeper plain ones do not train here), and a residual one trained with stochastic depth. Equal: images, order of batches, epochs,
warm-up, widths, and between the twins initial weights and parameters; each arm takes its best of three learning rates.

Metrics, on the test images, as accuracies between 0 and 1. drops: what each block's deletion costs, in the order of depth;
median_drop and worst_drop of them. redundant: share of the blocks that cost less than `negligible`; needed: how many
cost more. after_K: accuracy with K blocks taken out, mean over `draws` sets of blocks, the same for all seeds and arms of a
depth. response: norm of what a block's branch adds over the norm of its input, block by block.
Refuted: C19 if the share of redundant blocks does not grow from depth 20 to 56, or the deeper network needs no more epochs
to `target_loss`; C27 if the residual network falls like its plain twin, or if fewer than half of the blocks of depth 56 are redundant.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from resnetbook.lab import fitting, training
from resnetbook.lab.data import ImageSet
from resnetbook.lab.running import Context, Experiment


@dataclass(frozen=True)
class Settings(fitting.Fitting):
    """The training, the networks, and the deletions."""

    epochs: int = 10
    networks: tuple[str, ...] = ("residual-20", "residual-32", "residual-56", "plain-20", "stochastic-32")
    widths: tuple[int, ...] = (8, 16, 32)
    survival: float = 0.5
    negligible: float = 0.005
    together: tuple[int, ...] = (2, 3, 5)
    draws: int = 12


def arms(settings: Settings) -> Sequence[str]:
    """Return the networks' names."""
    return settings.networks


def network(settings: Settings, arm: str, data: ImageSet) -> nn.Module:
    """Build "residual-D", "plain-D" or "stochastic-D"; one seed gives the same weights to those of one depth."""
    from resnetbook.timeline.resnet import CifarResNet
    from resnetbook.timeline.stochastic_depth import StochasticDepthResNet

    kind, depth = arm.split("-")
    sizes: dict[str, Any] = {
        "num_classes": len(data.classes),
        "in_channels": data.train.images.shape[1],
        "widths": settings.widths,
    }
    if kind == "stochastic":
        return StochasticDepthResNet(int(depth), settings.survival, **sizes)
    return CifarResNet(int(depth), residual=kind == "residual", **sizes)


@torch.no_grad()
def responses(model: Any, images: Tensor) -> list[float]:
    """Return |F(x)| / |x| for each block in eval mode, over a batch of images. A plain block has F too."""
    found, handles = [], []
    for _, block in model.blocks:
        handles.append(
            block.register_forward_pre_hook(
                lambda module, args: found.append(float(module.branch(args[0]).norm() / args[0].norm()))
            )
        )
    mode = model.training
    model.eval()(images)
    model.train(mode)
    for handle in handles:
        handle.remove()
    return found


def deletions(settings: Settings, model: Any, data: ImageSet, device: str) -> dict[str, Any]:
    """Take blocks out of a trained network, one by one and several at once, and return what that costs."""
    from resnetbook.principle.paths import lesion, lesion_study

    def accuracy(net: nn.Module) -> float:
        return training.evaluate(net, data.test, device=device)["accuracy"]

    whole = accuracy(model)
    drops = [whole - left for left in lesion_study(model, accuracy).values()]
    names = [name for name, _ in model.blocks]
    after = {}
    for number in settings.together:
        kept = []
        chooser = random.Random(number)  # the same sets for every seed
        for _ in range(settings.draws):
            with lesion(model, chooser.sample(names, number)):
                kept.append(accuracy(model))
        after[f"after_{number}"] = statistics.fmean(kept)
    return {
        "drops": drops,
        "median_drop": statistics.median(drops),
        "worst_drop": max(drops),
        "redundant": sum(drop < settings.negligible for drop in drops) / len(drops),
        "needed": float(sum(drop >= settings.negligible for drop in drops)),
        "after_1": whole - statistics.fmean(drops),
        **after,
    }


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Train one network, measure it, and take blocks out."""
    data = fitting.images_of(settings)
    model, measured = fitting.fit_and_measure(
        settings, lambda: network(settings, arm, data), data, seed, context
    )
    device = next(model.parameters()).device
    return {
        **measured,
        **deletions(settings, model, data, context.device),
        "response": responses(model, data.test.images[:256].to(device)),
    }


def tune(settings: Settings, arm: str, context: Context) -> dict[str, Any]:
    """Choose the arm's learning rate."""
    data = fitting.images_of(settings)
    return fitting.best_rate(settings, lambda: network(settings, arm, data), data, context)


EXPERIMENT = Experiment(
    name="deletion",
    title="Blocks taken out of trained networks",
    claims=("C19", "C27"),
    scales={
        "live": Settings(epochs=1, networks=("residual-8", "plain-8"), rates=(0.05,), together=(2,), draws=2),
        "quick": Settings(),
        "full": Settings(
            data="cifar10_jpeg",
            epochs=60,
            batch_size=128,
            networks=(
                "residual-20",
                "residual-32",
                "residual-56",
                "residual-110",
                "plain-20",
                "stochastic-32",
            ),
            widths=(16, 32, 64),
            rates=(0.03, 0.1, 0.3),
        ),
    },
    arms=arms,
    run=run,
    tune=tune,
    data=fitting.describe,
)
