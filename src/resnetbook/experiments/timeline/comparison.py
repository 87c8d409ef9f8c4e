"""All families of section 3 side by side, at two equal budgets, on real images. It decides no claim: it is a table to read.

Design: every family in a form with six units or so, small enough for a CPU, and a plain network as control. Two budgets:
"parameters" and "multiplications", each equal within 5 % of the middle, at the size, channels and classes of each set. Most
families have one form that meets both; DenseNet and NASNet-A do not and have one for each. Equal: images, order of batches,
epochs, schedule; each arm has its own learning rates, of the lowest training loss for what is read on training images and of
the lowest validation loss for what is read on test images.
LeNet-5, AlexNet and GoogLeNet are left out: their shapes are made for one size of image.

Beside what every training records (accuracy, loss, epochs to a target): test_auc where there are two classes;
multiplications of one image; memory: bytes kept for the backward pass of a training batch, for each image; seconds_per_step:
processor time of a training step with one thread; seconds_over_resnet: that over ResNet's, measured in turn in the same job.

Records beside the one on PneumoniaMNIST (600 chest X-rays at 16 px): `--set data=wbc` (176 white blood cells at 32 px,
smaller batches) and `--set data=digits` (600 at 8 px).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sklearn.metrics import roc_auc_score
from torch import nn

from resnetbook.lab import fitting, measuring, training
from resnetbook.lab.data import ImageSet
from resnetbook.lab.fitting import Fitting
from resnetbook.lab.measuring import seconds_per_step
from resnetbook.lab.running import Context
from resnetbook.principle.counting import count, saved_for_backward
from resnetbook.timeline import (
    densenet,
    dual_path,
    inception_resnet,
    nasnet,
    resnet,
    resnet_in_resnet,
    resnet_v2,
    resnext,
    ror,
    stochastic_depth,
    wide_resnet,
)

BUDGETS = ("parameters", "multiplications")
# Arm: (class, settings). ResNet-14 sets both budgets: 43 thousand parameters, .41 million
# multiplications at 8 px. An arm that ends in a budget's name meets that one alone, all others meet both.
FORMS: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    "plain": (resnet.CifarResNet, {"depth": 14, "widths": (8, 16, 32), "residual": False}),
    "resnet": (resnet.CifarResNet, {"depth": 14, "widths": (8, 16, 32)}),
    "resnet_v2": (resnet_v2.PreActResNet, {"depth": 14, "widths": (8, 16, 32), "shortcut": "A"}),
    "ror": (ror.RoR, {"depth": 14, "levels": 3, "widths": (8, 16, 32)}),
    "wrn": (wide_resnet.WideResNet, {"depth": 10, "widen_factor": 2, "widths": (6, 13, 23)}),
    "rir": (resnet_in_resnet.RiR, {"depth": 14, "widths": (4, 8, 16)}),
    "stochastic_depth": (
        stochastic_depth.StochasticDepthResNet, {"depth": 14, "survival": 0.5, "widths": (8, 16, 32)},
    ),
    "densenet-parameters": (densenet.CifarDenseNet, {"depth": 16, "growth_rate": 12}),
    "densenet-multiplications": (densenet.CifarDenseNet, {"depth": 16, "growth_rate": 7}),
    "dpn": (dual_path.DPN, {
        "stages": (2, 2, 2), "dense_increments": (4, 4, 4), "residual_width": 18, "inner_width": 10, "groups": 2,
        "stem_width": 4, "small_input": True,
    }),
    "inception_resnet": (inception_resnet.MiniInceptionResNet, {"widths": (20, 36, 64), "blocks": 2}),
    "nasnet-parameters": (nasnet.NASNetA, {"repeats": 1, "filters": 6}),
    "nasnet-multiplications": (nasnet.NASNetA, {"repeats": 1, "filters": 5}),
    "resnext": (resnext.CifarResNeXt, {"depth": 20, "cardinality": 4, "base_width": 2, "widths": (9, 18, 36)}),
}  # fmt: skip


@dataclass(frozen=True)
class Settings(Fitting):
    """The set and how long and how an arm is trained; `steps` timed at a time, the median of five such times."""

    data: str = "pneumoniamnist"
    size: int = 16
    train_size: int = 600
    epochs: int = 6
    target_accuracy: float = 0.9
    steps: int = 3


def arms(settings: Settings) -> Sequence[str]:
    """Return the names of the forms."""
    return tuple(FORMS)


def meets(arm: str, budget: str) -> bool:
    """Return whether an arm meets a budget."""
    return not arm.endswith(BUDGETS) or arm.endswith(budget)


def network(settings: Settings, arm: str, data: ImageSet) -> nn.Module:
    """Build an arm's network."""
    build, form = FORMS[arm]
    model: nn.Module = build(**form, num_classes=len(data.classes), in_channels=data.shape[0])
    return model


def area(model: nn.Module, data: ImageSet) -> dict[str, float]:
    """Return test_auc, the area under the ROC curve, where there are two classes."""
    if len(data.classes) != 2:
        return {}
    scores = measuring.logits(model.eval(), data.test.images)
    # A network that diverged gives no scores: it ranks as chance does.
    scores = (scores[:, 1] - scores[:, 0]).nan_to_num(0.0, 0.0, 0.0)
    return {"test_auc": float(roc_auc_score(data.test.labels.numpy(), scores.numpy()))}


def costs(settings: Settings, arm: str, data: ImageSet, context: Context) -> dict[str, float]:
    """Return multiplications, memory and seconds of an arm, and its seconds over ResNet's."""
    model, resnet = network(settings, arm, data), network(settings, "resnet", data)
    batch = data.train.images[: settings.batch_size]
    draws = 8 if arm == "stochastic_depth" else 1  # what it keeps depends on the blocks that are left out
    memory = sum(saved_for_backward(model.train(), batch) for _ in range(draws)) / draws
    own, its = seconds_per_step(
        [model, resnet], data, settings.batch_size, training.device(context.device), settings.steps
    )
    return {
        "multiplications": float(count(model, batch.shape[1:]).multiplications),
        "memory": memory / len(batch),
        "seconds_per_step": own,
        "seconds_over_resnet": own / its,
    }


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Train one network, and measure it and what it costs."""
    data = fitting.images_of(settings, seed)
    model, results = fitting.fit_and_measure(settings, partial(network, settings, arm), seed, context)
    return {**results, **area(model, data), **costs(settings, arm, data, context)}


EXPERIMENT = fitting.experiment(
    __name__, "All families of section 3 at two equal budgets", claims=(),
    network=network, run=run, arms=arms,
    seeds={"live": 2, "quick": 6, "full": 3},  # a table of many arms, which decides nothing
    scales={
        "live": Settings(
            "digits", size=0, train_size=300, epochs=2, rates=(0.05,), target_accuracy=0.5, steps=1,
        ),
        "quick": Settings(),
        "full": Settings(
            "cifar10_jpeg", size=0, train_size=10_000, epochs=10, batch_size=256, rates=(0.05, 0.15, 0.5),
            target_accuracy=0.55,
        ),
    },
    variants={
        "quick": (
            Settings("wbc", size=32, train_size=0, epochs=10, batch_size=16, target_accuracy=0.8),
            Settings("digits", size=0, train_size=600, epochs=6, target_accuracy=0.95),
        ),
    },
)  # fmt: skip
