"""One network in which one axis changes while the rest stays: `StructureNet(unit=…, pool=…, head=…)`.

    stem 3x3 -> units -> pool, 1x1 -> units -> pool, 1x1 -> units -> bn, relu -> head

Units keep shape, so that any of section 4.3 stands where any other stood; maps are halved between stages, by any pooling
of section 4.2, and a 1x1 convolution brings what comes out to the next width; the head is one of section 4.4.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from resnetbook.principle.block import conv1x1, conv3x3
from resnetbook.structure.fully_connected import BayesianLinear, ConvolutionalHead, DeepSupervision, SVMHead
from resnetbook.structure.pooling import make_pool
from resnetbook.structure.residual_unit.making import make_units
from resnetbook.timeline._checks import check_images, check_positive, he_init

__all__ = ["HEADS", "StructureNet"]

HEADS = ("linear", "fully-convolutional", "svm", "bayesian", "deep-supervision")


class StructureNet(nn.Module):
    """Three stages of n units: (N, in_channels, H, W) -> scores (N, num_classes), H and W of 4 or more.

    Args:
        unit: "basic", or an id of the survey's map without "4.3.".
        pool: an id without "4.2.".
        head: "linear", or an id without "4.4.".
        num_classes: scores.
        in_channels: 1 for grey images, 3 for colour.
        widths: channels of the stages.
        count: units of a stage.
        unit_settings, pool_settings: what unit and pool are asked for beside their place.

    Raises:
        ValueError: an unknown name, a size below 1, no stage, or what a part refuses; in `forward` images of another form.
    """

    def __init__(
        self,
        unit: str = "pre-activation",
        pool: str = "max",
        head: str = "linear",
        *,
        num_classes: int = 10,
        in_channels: int = 1,
        widths: Sequence[int] = (16, 32, 64),
        count: int = 1,
        unit_settings: Mapping[str, object] | None = None,
        pool_settings: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__()
        check_positive(num_classes=num_classes, in_channels=in_channels, count=count)
        if not widths:
            raise ValueError(f"widths={widths!r}: expected at least one stage")
        self.in_channels, self.smallest = in_channels, 2 ** (len(widths) - 1)
        self.stem = conv3x3(in_channels, widths[0])
        self.stages = nn.ModuleList(
            make_units(unit, width, count, **(unit_settings or {})) for width in widths
        )
        self.between = nn.ModuleList(_halve(pool, a, b, pool_settings or {}) for a, b in pairwise(widths))
        with_head = widths if head == "deep-supervision" else widths[-1:]
        self.norms = nn.ModuleList(nn.Sequential(nn.BatchNorm2d(width), nn.ReLU()) for width in with_head)
        he_init(self.stem)
        he_init(self.between)  # units draw their own
        self.head = make_head(head, widths, num_classes)

    def maps(self, x: Tensor) -> list[Tensor]:
        """Return the last map of each stage, (N, width, H', W')."""
        check_images(x, self.in_channels, self.smallest)
        found: list[Tensor] = []
        for number, stage in enumerate(self.stages):
            x = self.stem(x) if number == 0 else self.between[number - 1](x)
            x = stage(x)
            found.append(x)
        return found

    def all_scores(self, x: Tensor) -> list[Tensor]:
        """Return the scores of every stage that has a head, the last one's at the end."""
        if not isinstance(self.head, DeepSupervision):
            return [self(x)]
        return self.head.all_scores([norm(m) for norm, m in zip(self.norms, self.maps(x), strict=True)])

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores, (N, num_classes)."""
        last = self.norms[-1](self.maps(x)[-1])
        return self.head(
            last.mean((2, 3)) if isinstance(self.head, nn.Linear | SVMHead | BayesianLinear) else last
        )


def _halve(pool: str, width: int, wider: int, settings: Mapping[str, Any]) -> nn.Sequential:
    if pool == "parallel":
        settings = {"in_channels": width, **settings}
    layer = make_pool(pool, kernel_size=2, stride=2, **settings)
    return nn.Sequential(layer, conv1x1(getattr(layer, "out_channels", width), wider))


def make_head(name: str, widths: Sequence[int], num_classes: int) -> nn.Module:
    """Return a head for features of the last stage by its name in the survey's map, without "4.4.".

    Raises:
        ValueError: an unknown name.
    """
    if name not in HEADS:
        raise ValueError(f"head={name!r}: expected one of {', '.join(HEADS)}")
    if name == "deep-supervision":
        return DeepSupervision(widths, num_classes)
    kinds = {
        "linear": nn.Linear,
        "fully-convolutional": ConvolutionalHead,
        "svm": SVMHead,
        "bayesian": BayesianLinear,
    }
    return kinds[name](widths[-1], num_classes)
