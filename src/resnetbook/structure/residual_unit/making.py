"""`make_units`: the units of one stage by the name of their kind, so that a network can be compared with itself."""

from collections.abc import Callable

from torch import nn

from resnetbook.principle.block import BasicBlock
from resnetbook.structure.residual_unit.cross_connected import CrossConnectedUnit
from resnetbook.structure.residual_unit.multi_branch import MultiBranchUnit
from resnetbook.structure.residual_unit.multi_scale import MultiScaleUnit
from resnetbook.structure.residual_unit.multi_task import MultiTaskUnit
from resnetbook.structure.residual_unit.pre_activation import PreActivationUnit
from resnetbook.structure.residual_unit.shared_weights import SharedWeightsUnit, share
from resnetbook.timeline._checks import check_positive

__all__ = ["NAMES", "make_units"]


def _basic(channels: int, **settings: object) -> nn.Module:
    return BasicBlock(channels, channels, **settings)  # type: ignore[arg-type]


_UNITS: dict[str, Callable[..., nn.Module]] = {
    "basic": _basic,
    "multi-scale": MultiScaleUnit,
    "multi-branch": MultiBranchUnit,
    "cross-connected": CrossConnectedUnit,
    "shared-weights": SharedWeightsUnit,
    "multi-task": MultiTaskUnit,
    "pre-activation": PreActivationUnit,
}
NAMES = tuple(_UNITS)


def make_units(name: str, channels: int, count: int, **settings: object) -> nn.Sequential:
    """Return `count` units in a row: (N, channels, H, W) -> (N, channels, H, W).

    Of "shared-weights" all but the first have one second convolution among them, the author's rule for small images.

    Args:
        name: "basic" (the block of section 2) or an id of the survey's map, without "4.3.".
        channels: of x and y.
        count: how many.
        settings: of the unit.

    Raises:
        ValueError: an unknown name, a size below 1, a setting that the unit does not have, or what the unit refuses.
    """
    if name not in _UNITS:
        raise ValueError(f"name={name!r}: expected one of {', '.join(NAMES)}")
    check_positive(channels=channels, count=count)
    try:
        units = [_UNITS[name](channels, **settings) for _ in range(count)]
    except TypeError as error:
        raise ValueError(f"settings={settings!r}: {name!r} has no such setting ({error})") from error
    if name == "shared-weights":
        share([unit.get_submodule("conv2") for unit in units[1:]])  # type: ignore[misc]
    return nn.Sequential(*units)
