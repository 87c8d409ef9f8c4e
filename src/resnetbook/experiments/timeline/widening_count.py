"""C21: widening the convolutions does not reduce the number of parameters.

Design: networks are built on the meta device and counted; nothing is trained, so that the seeds agree. Two readings of the
sentence. Widening alone: at equal depth the network of factor k over that of factor 1, for each k ("at equal depth"). Widening
in place of depth, as the paper does it: WRN-40-4 over the pre-activation ResNet of 1,001 layers, which is about as accurate as
published (on CIFAR-10 4.97 and 4.53 % for two preparations of the images, against 4.92 %); beside it WRN-16-8, and both over
ResNet-110; these are more accurate or less, and stand there for the reader.
Equal: depth in the first reading, published accuracy in the second, images of 32 pixels and ten classes.
The direction, whether a wide network has fewer parameters than the one that it is compared with, and the size, whether fewer by a
tenth, are decided apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from resnetbook.lab.running import Context, Experiment
from resnetbook.timeline import resnet, resnet_v2
from resnetbook.timeline.wide_resnet import WideResNet


@dataclass(frozen=True)
class Settings:
    """The depth and the factors of the first reading, and the wide networks (depth, factor) of the second."""

    depth: int = 40
    factors: tuple[int, ...] = (2, 4, 8)
    wide: tuple[str, ...] = ("40-4", "16-8")


def arms(settings: Settings) -> Sequence[str]:
    """Return the two readings."""
    return ("equal-depth", "equal-accuracy")


def size(model: nn.Module) -> float:
    """Return the number of parameters."""
    return float(sum(p.numel() for p in model.parameters()))


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Count, and divide by the count of the network compared with."""
    with torch.device("meta"):
        if arm == "equal-depth":
            thin = size(WideResNet(settings.depth, 1))
            counts = {k: size(WideResNet(settings.depth, k)) for k in settings.factors}
            return {
                "thin": thin,
                "smallest_ratio": min(counts.values()) / thin,
                **{f"ratio_{k}": many / thin for k, many in counts.items()},
            }
        named = {
            "1001": resnet_v2.VARIANTS["preact_resnet1001"],
            "110": resnet.VARIANTS["resnet110"],
        }
        rivals = {depth: size(kind(**form)) for depth, (kind, form) in named.items()}
        found = {f"parameters_{depth}": many for depth, many in rivals.items()}
        for name in settings.wide:
            depth, factor = (int(part) for part in name.split("-"))
            found[f"parameters_{name}"] = size(WideResNet(depth, factor))
            for rival, many in rivals.items():
                found[f"ratio_{name}_{rival}"] = found[f"parameters_{name}"] / many
    return found


EXPERIMENT = Experiment(
    name="widening_count", title="Parameters of wide and of deep residual networks", claims=("C21",),
    scales={"live": Settings(), "quick": Settings(), "full": Settings()},
    arms=arms, run=run,
)  # fmt: skip
