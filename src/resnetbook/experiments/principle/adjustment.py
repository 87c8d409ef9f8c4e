"""C11: F is more sensitive to changes of the output; its adjustments are larger, so that learning is faster.

The survey's argument, with numbers of ours: where a block must give 5.1 in place of 5, H changes by a fiftieth, while F = H - x changes from 0 to .1.
So F's relative change is larger than H's, and with it, the sentence goes on, the steps of the weights. Two questions, then:

1. Does F change by a larger fraction than H? Measured in ONE network, the residual one, so that neither convergence nor rate
   comes in: F(x) and H(x) = F(x) + s(x) of each block, before its closing ReLU, on fixed images with batch statistics, at the
   start and after each epoch. `own_change_ratio`: the block's own weights move, its input stays; F and H then change
   by the same amount and the ratio of their relative changes is |H| / |F|, the size of the whole beside that of the branch.
   `change_ratio`: the whole network moves, the block's input too; |dF| / |F| over |dH| / |H|. Geometric means over blocks
   and epochs. That F is smaller than H is no law: H = F + s(x) is smaller where F and s(x) cancel.
2. Do the weights move by a larger fraction? `first_step`: geometric mean over the blocks' convolutions of |dW| / |W| in the
   first step of SGD, in the residual network and in its plain twin. There both have the same weights (shortcuts of type A),
   images and rate, and neither has learned anything. Later both learn at their own speed, and a step is small where it is done.

Equal: parameters, initial weights, batches, learning rate (the sentence speaks of what one rate does; none is chosen).
Refuted if a ratio is 1 or less. That learning is faster is not asked here: C08 and C09 ask it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from resnetbook.lab import fitting, measuring, training
from resnetbook.lab.data import ImageSet
from resnetbook.lab.running import Context
from resnetbook.principle.twins import TwinNet


@dataclass(frozen=True)
class Settings(fitting.Fitting):
    """The twins, how they are trained, and the number of fixed images on which F and H are compared."""

    epochs: int = 8
    warmup_epochs: int = 0
    rates: tuple[float, ...] = (0.05,)
    depth: int = 20
    widths: tuple[int, ...] = (8, 16, 32)
    images: int = 128


class Adjustments:
    """Collects, while a network trains, the first relative step of its weights and the relative changes of F and H."""

    def __init__(self, model: Any, images: Tensor):
        self.model, self.images = model, images
        self.blocks = dict(model.blocks)
        self.convolutions = [
            module
            for block in self.blocks.values()
            for module in block.modules()
            if isinstance(module, nn.Conv2d)
        ]
        self.weights = [convolution.weight.detach().clone() for convolution in self.convolutions]
        self.first_step: list[float] = []  # one for each convolution
        self.own_curve: list[float] = []  # means over blocks of the logarithms, one for each epoch
        self.curve: list[float] = []
        self.before = self.look()

    @torch.no_grad()
    def look(self) -> list[tuple[Tensor, Tensor]]:
        """Return F and H of each block on the fixed images; the network is left as it is."""
        seen: dict[str, Tensor] = {}
        hooks = [
            block.register_forward_pre_hook(
                lambda _, inputs, name=name: seen.__setitem__(name, inputs[0].clone())
            )
            for name, block in self.blocks.items()
        ]
        try:
            with measuring.batch_statistics(self.model):
                self.model(self.images.to(self.convolutions[0].weight.device))
                branches = [(self.blocks[name], x, self.blocks[name].branch(x)) for name, x in seen.items()]
        finally:
            for hook in hooks:
                hook.remove()
        return [(f, f + block.identity(x) if block.residual else f) for block, x, f in branches]

    @torch.no_grad()
    def on_step_end(self, step: int, model: nn.Module, loss: Any) -> None:
        """Measure the first step of each convolution's weights."""
        if step == 0:
            pairs = zip(self.convolutions, self.weights, strict=True)
            self.first_step = [float((new.weight - old).norm() / old.norm()) for new, old in pairs]

    @torch.no_grad()
    def on_epoch_end(self, epoch: int, model: nn.Module, row: dict[str, Any]) -> None:
        """Compare F and H with what they were an epoch before."""
        now = self.look()
        own = [float((h.norm() / f.norm()).log()) for f, h in self.before]
        both = [
            float(((f - f_old).norm() / f_old.norm()).log() - ((h - h_old).norm() / h_old.norm()).log())
            for (f_old, h_old), (f, h) in zip(self.before, now, strict=True)
        ]
        self.own_curve.append(math.fsum(own) / len(own))
        self.curve.append(math.fsum(both) / len(both))
        self.before = now


def arms(settings: Settings) -> Sequence[str]:
    """Return the two twins."""
    return (f"plain-{settings.depth}", f"residual-{settings.depth}")


def network(settings: Settings, arm: str, data: ImageSet) -> TwinNet:
    """Build a twin; one random state gives both the same weights."""
    return TwinNet(
        settings.depth,
        num_classes=len(data.classes),
        in_channels=data.shape[0],
        widths=settings.widths,
        residual=arm.startswith("residual"),
    )


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Train one twin and measure its adjustments. (No checkpoint: the measures start with the training.)"""
    data = fitting.images_of(settings, seed)
    training.seed_everything(seed)
    model = network(settings, arm, data).to(training.device(context.device))
    seen = Adjustments(model, data.train.images[: settings.images])
    fitting.train(
        model,
        data,
        settings,
        rate=settings.rates[0],
        seed=seed,
        device=context.device,
        schedule="constant",
        callbacks=(seen,),
    )
    logarithms = [math.log(step) for step in seen.first_step]
    found = {
        "first_step": math.exp(math.fsum(logarithms) / len(logarithms)),
        "train_loss": training.evaluate(model, data.train, device=context.device)["loss"],
        "mode_gap": measuring.mode_gap(model, data.train),
    }
    if not model.blocks[0][1].residual:  # a plain block has F = H: nothing to compare
        return found
    curves = {"own_change": seen.own_curve, "change": seen.curve}
    return {
        **found,
        **{f"{name}_ratio": math.exp(math.fsum(curve) / len(curve)) for name, curve in curves.items()},
        **{f"{name}_curve": [math.exp(value) for value in curve] for name, curve in curves.items()},
    }


EXPERIMENT = fitting.experiment(
    __name__, "How much training changes F and H, and a step the weights", claims=("C11",),
    network=network, run=run, score=None, arms=arms,
    scales={
        "live": Settings(epochs=2, images=64),
        "quick": Settings(),
        "full": Settings("cifar10_jpeg", batch_size=512, widths=(16, 32, 64)),
    },
    variants={"quick": (Settings("pneumoniamnist", size=14, train_size=1000),)},
)  # fmt: skip
