"""C32: DPN joins the virtues of ResNet and DenseNet: accurate at low cost.

Design: DPN, ResNet-20 and DenseNet-BC-28 at equal multiplications (within 5 %), with few training images. Beside them, on
digits and at full scale, the two limits of the same DPN at equal multiplications: "sum" (dense increment 0) and "concat"
(residual width 0), which differ from it in the paths alone. Equal for all arms: multiplications, images, order of batches,
steps, warm-up, schedule. Parameters are not equal: they are recorded.
memory: bytes kept for the backward pass of one training batch, divided by its images; counted, so that it is the same in
every seed. seconds_per_step: processor time of a training step with one thread (wall time on a GPU). memory_over_X and
seconds_over_X are the arm's over those of X, the latter measured in turn in one job.
Who joins the virtues of two is as accurate as either and, up to a tenth, no dearer than either: one-sided tests against the
margin. On two classes accuracy hangs on the threshold, which the X-rays' test part moves (its share of pneumonia is another):
there test_auc, the area under the ROC curve, stands for accuracy.
A second set, `--set data=pneumoniamnist`: 500 chest X-rays at 16 px, without the limits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from resnetbook.experiments.timeline._paths import two_paths
from resnetbook.experiments.timeline._settings import FewImages
from resnetbook.lab import fitting, measuring, training
from resnetbook.lab.data import ImageSet
from resnetbook.lab.running import Context
from resnetbook.principle.counting import count, saved_for_backward
from resnetbook.timeline.densenet import CifarDenseNet
from resnetbook.timeline.resnet import CifarResNet


@dataclass(frozen=True)
class Settings(FewImages):
    """Few images; sizes of the networks, chosen so that each multiplies equally often; `limits`: run "sum" and "concat" too."""

    epochs: int = 12
    resnet_depth: int = 20
    resnet_widths: tuple[int, ...] = (8, 16, 32)
    densenet_depth: int = 28
    growth_rate: int = 6
    blocks: int = 2  # of DPN and its limits, in each of three stages
    groups: int = 4
    inner_width: int = 16
    residual_width: int = 16
    dense_increment: int = 6
    sum_width: int = 26  # residual width of "sum"
    concat_increment: int = 16  # dense increment of "concat"
    limits: bool = True


def arms(settings: Settings) -> Sequence[str]:
    """Return DPN, its rivals and, if asked for, its limits."""
    return ("dpn", "resnet", "densenet", *(("sum", "concat") if settings.limits else ()))


def network(settings: Settings, arm: str, data: ImageSet) -> nn.Module:
    """Build an arm's network."""
    of: dict[str, Any] = {"num_classes": len(data.classes), "in_channels": data.shape[0]}
    if arm == "resnet":
        return CifarResNet(settings.resnet_depth, widths=settings.resnet_widths, **of)
    if arm == "densenet":
        return CifarDenseNet(settings.densenet_depth, settings.growth_rate, **of)
    added, appended = {
        "dpn": (settings.residual_width, settings.dense_increment),
        "sum": (settings.sum_width, 0),
        "concat": (0, settings.concat_increment),
    }[arm]
    return two_paths(settings, added, appended, settings.groups, **of)


def costs(settings: Settings, arm: str, data: ImageSet, context: Context) -> dict[str, float]:
    """Return multiplications, memory and seconds of an arm, and the last two over those of the other arms but DPN."""
    rivals = [name for name in arms(settings) if name != "dpn"]
    models = [network(settings, name, data) for name in (arm, *rivals)]
    batch = data.train.images[: settings.batch_size]
    memory = [saved_for_backward(model, batch) / len(batch) for model in models]
    seconds = measuring.seconds_per_step(models, data, settings.batch_size, training.device(context.device))
    ratios = {}
    for name, bytes_kept, time in zip(rivals, memory[1:], seconds[1:], strict=True):
        ratios[f"memory_over_{name}"] = memory[0] / bytes_kept
        ratios[f"seconds_over_{name}"] = seconds[0] / time
    return {
        "multiplications": float(count(models[0], data.shape).multiplications),
        "memory": memory[0],
        "seconds_per_step": seconds[0],
        **ratios,
    }


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Train one network, and measure it and what it costs."""
    model, found = fitting.fit_and_measure(settings, partial(network, settings, arm), seed, context)
    data = fitting.images_of(settings, seed)
    if len(data.classes) == 2:
        found["test_auc"], found["outcomes"]["test_auc"] = measuring.area(model, data.test)
    return {**found, **costs(settings, arm, data, context)}


EXPERIMENT = fitting.experiment(
    __name__, "DPN, ResNet and DenseNet at equal multiplications", claims=("C32",),
    network=network, run=run, arms=arms,
    scales={
        "live": Settings(epochs=2, rates=(0.05,), limits=False),
        "quick": Settings(),
        "full": Settings(
            "cifar10_jpeg", train_size=0, epochs=15, batch_size=512, rates=(0.1, 0.3, 1.0), resnet_depth=56,
            resnet_widths=(16, 32, 64), densenet_depth=88, growth_rate=9, blocks=5, groups=8, inner_width=48,
            residual_width=32, dense_increment=10, sum_width=52, concat_increment=26,
        ),
    },
    variants={
        "quick": (
            Settings("pneumoniamnist", size=16, train_size=500, epochs=6, target_accuracy=0.9, limits=False),
        ),
    },
    seeds={"live": 2, "quick": 16, "full": 5},
)  # fmt: skip
