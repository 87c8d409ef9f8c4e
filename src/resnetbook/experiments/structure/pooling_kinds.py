"""C47 to C49: pooling prevents overfitting; overlapping windows, and chance in the choice, do it better.

Design: one network of three stages, one pre-activation unit each, that halves its maps twice, on few images without augmentation; the
arms differ in what halves: average, max, overlapping max (3 pixels, stride 2), stochastic, mixed (one draw a layer, p = 1/2);
"strided" has a 2x2 convolution of stride 2 instead, "none" nothing, so that its maps stay as large as the images. Equal: all
other layers with their widths, images, order of batches, steps, schedule. Not equal: "strided" has the parameters of its two
convolutions more, and "none" computes more.
At the rate with the lowest validation loss: test_accuracy, and gap, training minus test accuracy. Where every training image is
learned the gap is the test error by another name; both are shown. C47 reads both for max and for average pooling against
"strided" and "none". C48 reads test accuracy and gap of overlapping against plain max pooling. C49 reads the test accuracy of
mixed and of stochastic pooling against max *and* against average, which are both fixed and both at hand.
A second set, `--set data=pneumoniamnist`: 200 chest X-rays at 16 px.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from resnetbook.lab import fitting
from resnetbook.lab.data import ImageSet
from resnetbook.structure import StructureNet

KINDS = ("average", "max", "overlapping", "stochastic", "mixed", "strided", "none")


@dataclass(frozen=True)
class Settings(fitting.Fitting):
    """Few images, and the network's widths."""

    train_size: int = 100
    epochs: int = 30
    batch_size: int = 20
    widths: tuple[int, ...] = (8, 16, 32)


def arms(settings: Settings) -> Sequence[str]:
    """Return what halves the maps."""
    return KINDS


def network(settings: Settings, arm: str, data: ImageSet) -> nn.Module:
    """Build an arm's network."""
    pool = "max" if arm in ("strided", "none") else arm
    net = StructureNet(
        pool=pool, num_classes=len(data.classes), in_channels=data.shape[0], widths=settings.widths
    )
    for stage, width in zip(net.between, settings.widths, strict=False):
        if arm == "strided":
            stage.register_module("0", nn.Conv2d(width, width, 2, 2, bias=False))
        elif arm == "none":
            stage.register_module("0", nn.Identity())
    return net


EXPERIMENT = fitting.experiment(
    __name__, "Kinds of pooling on few images", claims=("C47", "C48", "C49"),
    network=network, arms=arms,
    scales={
        "live": Settings(epochs=2, rates=(0.05,)),
        "quick": Settings(),
        "full": Settings("cifar10_jpeg", train_size=5000, epochs=30, batch_size=128, widths=(32, 64, 128), rates=(0.03, 0.1, 0.3)),
    },
    variants={"quick": (Settings("pneumoniamnist", size=16, train_size=200),)},
)  # fmt: skip
