"""C04: identity mapping ensures that performance does not drop when layers are added.

Design: a residual network is trained, then residual blocks whose last batch norm is zero are put behind each stage.
"inserted" measures by how much the output changes: such a block computes relu(x + 0), and x >= 0 comes from a ReLU.
"shallow" trains the network on as it is, "grown" trains the deeper one on, for the same number of further steps (a
step of the deeper one costs more: steps are the budget held equal, not time). Both start from the same trained
weights, see the same batches and take their best of three learning rates, chosen on validation with an extra seed.
Refuted if the output changes by more than 1e-6, or if the grown network's last training loss is higher by the margin.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from resnetbook.lab import fitting, measuring, training
from resnetbook.lab.data import ImageSet, load
from resnetbook.lab.running import Context, Experiment


@dataclass(frozen=True)
class Settings:
    """Depths before and after (6n + 2), widths, and epochs before and after the blocks are put in."""

    shallow: int = 8
    deep: int = 20
    widths: tuple[int, ...] = (8, 16, 32)
    epochs_before: int = 4
    epochs_after: int = 6
    batch_size: int = 64
    base_rate: float = 0.1
    rates: tuple[float, ...] = (0.01, 0.03, 0.1)
    data: str = "digits"


def arms(settings: Settings) -> Sequence[str]:
    """Return the measurement and the two networks that train on."""
    return ("inserted", "shallow", "grown")


def trained(settings: Settings, data: ImageSet, seed: int, device: str) -> nn.Module:
    """Return the shallow network after the first epochs: the same for every arm."""
    from resnetbook.principle.twins import TwinNet

    training.seed_everything(seed)
    model = TwinNet(
        settings.shallow,
        num_classes=len(data.classes),
        in_channels=data.train.images.shape[1],
        widths=settings.widths,
        shortcut="A",
    )
    fitting.train(
        model,
        data,
        epochs=settings.epochs_before,
        learning_rate=settings.base_rate,
        batch_size=settings.batch_size,
        seed=seed,
        device=device,
    )
    return model


def grow(model: nn.Module, settings: Settings) -> nn.Module:
    """Return a copy of `model` with the missing blocks behind each stage, their last batch norm zero.

    Raises:
        ValueError: `deep` is not above `shallow` by a multiple of 6.
    """
    from resnetbook.principle.block import BasicBlock

    extra, rest = divmod(settings.deep - settings.shallow, 6)
    if rest or extra < 1:
        raise ValueError(f"deep is {settings.deep}: expected {settings.shallow} + 6, + 12, ...")
    grown = copy.deepcopy(model)
    for stage, width in zip(("layer1", "layer2", "layer3"), settings.widths, strict=True):
        for _ in range(extra):
            block = BasicBlock(width, width, shortcut="A")
            for module in block.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, nonlinearity="relu")  # as TwinNet's
            last = block.bn2
            assert isinstance(last, nn.BatchNorm2d)
            nn.init.zeros_(last.weight)  # its bias is zero from the start
            grown.get_submodule(stage).append(block)  # type: ignore[operator]
    return grown.to(next(model.parameters()).device)


def train_on(
    settings: Settings, arm: str, data: ImageSet, seed: int, rate: float, device: str
) -> dict[str, Any]:
    """Train the shallow or the grown network on and measure it on the training set in eval mode."""
    model = trained(settings, data, seed, device)
    training.seed_everything(seed)
    if arm == "grown":
        model = grow(model, settings)
    before = training.evaluate(model, data.train, device=device)
    history = fitting.train(
        model,
        data,
        epochs=settings.epochs_after,
        learning_rate=rate,
        batch_size=settings.batch_size,
        seed=seed + 1,  # other batches than in the first epochs, the same for both arms
        device=device,
    )
    after = training.evaluate(model, data.train, device=device)
    return {
        "loss_before": before["loss"],
        "train_loss": after["loss"],
        "train_accuracy": after["accuracy"],
        "test_accuracy": training.evaluate(model, data.test, device=device)["accuracy"],
        "validation_loss": float(history.rows[-1]["validation_loss"]),
        "mode_gap": measuring.mode_gap(model, data.train),
    }


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Measure the change of the output ("inserted"), or train on."""
    data = load(settings.data)
    if arm != "inserted":
        return train_on(settings, arm, data, seed, float(context.tuned["learning_rate"]), context.device)
    model = trained(settings, data, seed, context.device).eval()
    grown = grow(model, settings).eval()
    difference = (
        (measuring.logits(model, data.test.images) - measuring.logits(grown, data.test.images)).abs().max()
    )
    with torch.no_grad():
        largest = measuring.logits(model, data.test.images).abs().max()
    return {"output_difference": float(difference), "largest_output": float(largest)}


def tune(settings: Settings, arm: str, context: Context) -> dict[str, Any]:
    """Choose the learning rate for training on; "inserted" needs none."""
    if arm == "inserted":
        return {}
    data = load(settings.data)
    return fitting.lowest(
        settings.rates,
        lambda rate: train_on(settings, arm, data, fitting.TUNING_SEED, rate, context.device)[
            "validation_loss"
        ],
    )


EXPERIMENT = Experiment(
    name="growth",
    title="Blocks put into a trained network",
    claims=("C04",),
    scales={
        "live": Settings(deep=14, epochs_before=2, epochs_after=1, rates=(0.03,)),
        "quick": Settings(),
        "full": Settings(20, 56, (16, 32, 64), 40, 40, 128, data="cifar10_jpeg"),
    },
    arms=arms,
    run=run,
    tune=tune,
    data=lambda settings: fitting.describe_set(load(settings.data)),
)
