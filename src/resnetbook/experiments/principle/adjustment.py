"""C11: F is more sensitive to changes of the output; its adjustments are larger, so that learning is faster.

Design: a plain network and its residual twin train at the same learning rate from the same initial weights on the same
batches. Two measures, both log10: `relative_step`, the mean over the blocks' convolutions and the steps of |dW| / |W|; and
`relative_change`, how much an epoch changes F: |F after - F before| / |F before| on the inputs that the block saw at the
beginning of the epoch (a fixed batch of images, batch statistics), the mean over blocks and epochs.
Equal: parameters, initial weights, batches, learning rate. Refuted if residual over plain is 1 or less for either.
(In the survey: from 5 to 5.1 as against from 0 to .1. That is arithmetic, not a measurement.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from resnetbook.lab import fitting, measuring, training
from resnetbook.lab.data import load
from resnetbook.lab.running import Context, Experiment


@dataclass(frozen=True)
class Settings:
    """The twins, how they are trained, and the number of fixed images on which F is compared."""

    depth: int = 20
    widths: tuple[int, ...] = (8, 16, 32)
    epochs: int = 8
    batch_size: int = 64
    learning_rate: float = 0.05
    images: int = 128
    data: str = "digits"


class Adjustments:
    """Collects the relative steps of the weights and the relative changes of F while a network trains."""

    def __init__(self, model: Any, images: Tensor):
        self.blocks = dict(model.blocks)
        self.model, self.images = model, images
        self.convolutions = [
            module
            for block in self.blocks.values()
            for module in block.modules()
            if isinstance(module, nn.Conv2d)
        ]
        self.weights: list[Tensor] = []
        self.before: dict[str, tuple[Tensor, Tensor]] = {}
        self.steps: list[float] = []
        self.step_curve: list[float] = []  # one mean for each epoch
        self.change_curve: list[float] = []

    @torch.no_grad()
    def look(self) -> None:
        """Keep the weights, and for each block its input on the fixed images with F of it."""
        self.weights = [convolution.weight.clone() for convolution in self.convolutions]
        seen: dict[str, Tensor] = {}
        hooks = [
            block.register_forward_pre_hook(
                lambda _, inputs, name=name: seen.__setitem__(name, inputs[0].clone())
            )
            for name, block in self.blocks.items()
        ]
        try:
            with measuring.batch_statistics(self.model):
                self.model(self.images.to(self.weights[0].device))
                self.before = {name: (x, self.blocks[name].branch(x)) for name, x in seen.items()}
        finally:
            for hook in hooks:
                hook.remove()

    @torch.no_grad()
    def on_step_end(self, step: int, model: nn.Module, loss: Any) -> None:
        """Measure the step of each convolution's weights."""
        for convolution, old in zip(self.convolutions, self.weights, strict=True):
            self.steps.append(float((convolution.weight - old).norm() / old.norm()))
        self.weights = [convolution.weight.clone() for convolution in self.convolutions]

    @torch.no_grad()
    def on_epoch_end(self, epoch: int, model: nn.Module, row: dict[str, Any]) -> None:
        """Compare F after the epoch with F before it on the same inputs, then look anew."""
        with measuring.batch_statistics(self.model):
            changes = [
                float((self.blocks[name].branch(x) - old).norm() / old.norm())
                for name, (x, old) in self.before.items()
            ]
        self.change_curve.append(sum(changes) / len(changes))
        self.step_curve.append(sum(self.steps) / len(self.steps))
        self.steps = []
        self.look()


def arms(settings: Settings) -> Sequence[str]:
    """Return the two twins."""
    return (f"plain-{settings.depth}", f"residual-{settings.depth}")


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Train one twin and measure its adjustments. (No checkpoint: seconds, and the measures start with it.)"""
    from resnetbook.principle.twins import TwinNet

    data = load(settings.data)
    training.seed_everything(seed)
    model = TwinNet(
        settings.depth,
        num_classes=len(data.classes),
        in_channels=data.train.images.shape[1],
        widths=settings.widths,
        shortcut="A",
        residual=arm.startswith("residual"),
    ).to(training.device(context.device))
    adjustments = Adjustments(model, data.train.images[: settings.images])
    adjustments.look()
    fitting.train(
        model,
        data,
        epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        batch_size=settings.batch_size,
        schedule="constant",
        seed=seed,
        device=context.device,
        callbacks=(adjustments,),
    )
    steps, changes = adjustments.step_curve, adjustments.change_curve
    return {
        "relative_step": math.log10(sum(steps) / len(steps)),
        "relative_change": math.log10(sum(changes) / len(changes)),
        "step_curve": steps,
        "change_curve": changes,
        "train_loss": training.evaluate(model, data.train, device=context.device)["loss"],
        "mode_gap": measuring.mode_gap(model, data.train),
    }


EXPERIMENT = Experiment(
    name="adjustment",
    title="How much a step changes the weights and F",
    claims=("C11",),
    scales={
        "live": Settings(epochs=2, images=64),
        "quick": Settings(),
        "full": Settings(56, (16, 32, 64), 30, 128, data="cifar10_jpeg"),
    },
    arms=arms,
    run=run,
    data=lambda settings: fitting.describe_set(load(settings.data)),
)
