"""Contextual recurrent residual network (after the survey's [47], Le et al. 2018): context from the whole image.

    h_v = relu( U x_v + W (sum of h over v's predecessors) + b )       y = x + sum over four directions of  V_d h_d

A convolution sees its neighbourhood; here a state walks over the map, cell by cell, from each of the four corners, and
takes with it what it has met. Towards the south-east a cell's predecessors are its neighbours to the north, west and
north-west. The four walks together let every cell know of every other one, in one unit. The paper's text was not found: this
is a reconstruction on the ground of DAG-RNN (Shuai et al. 2016, arXiv:1509.00552), with the context as the branch of a
residual unit. Section 4.5(8), claim C85.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from resnetbook.principle.block import conv1x1, conv3x3
from resnetbook.structure.residual_unit._unit import ResidualUnit
from resnetbook.structure.residual_unit.pre_activation import PreActivationUnit
from resnetbook.timeline._checks import check_images, check_positive, he_init

__all__ = ["CRRN", "ContextUnit", "walk"]


def walk(x: Tensor, weight: Tensor, activation: Callable[[Tensor], Tensor] = torch.relu) -> Tensor:
    """Return the states of a walk to the south-east: h_v = activation(x_v + weight . sum of h over N, W and NW of v).

    Cells of one anti-diagonal do not know of each other and are computed together: row i is moved i places to the right, so
    that an anti-diagonal becomes a column.

    Shape: (N, C, H, W) and weight (C, C) -> (N, C, H, W).
    """
    count, channels, height, width = x.shape
    steps = height + width - 1
    rows = torch.arange(height, device=x.device)
    inside = torch.arange(steps, device=x.device) - rows[:, None]  # the column of x that stands there
    valid = (inside >= 0) & (inside < width)
    moved = x.gather(3, inside.clamp(0, width - 1).expand(count, channels, -1, -1)) * valid
    before = older = x.new_zeros(count, channels, height)
    states = []
    for step in range(steps):
        # In the own row the last column is the west neighbour; in the row above it is north, the one before it north-west.
        above = functional.pad(before + older, (1, -1))
        met = torch.einsum("dc,nch->ndh", weight, before + above)
        state = activation(moved[..., step] + met) * valid[:, step]
        older, before = before, state
        states.append(state)
    back = torch.arange(width, device=x.device) + rows[:, None]
    return torch.stack(states, 3).gather(3, back.expand(count, channels, -1, -1))


class Walk(nn.Module):
    """One walk from one corner, with weights of its own: (N, channels, H, W) -> (N, channels, H, W).

    Args:
        channels: of x and of what comes out.
        hidden: numbers of a state.
        turn: axes that are turned round, so that the corner becomes the north-west one.
    """

    def __init__(self, channels: int, hidden: int, turn: tuple[int, ...]) -> None:
        super().__init__()
        self.turn = turn
        self.enter, self.leave = nn.Conv2d(channels, hidden, 1), conv1x1(hidden, channels)
        # The three predecessors together hand on as much as one: at the start a state neither dies nor explodes on its way.
        self.recurrent = nn.Parameter(torch.eye(hidden) / 3)

    def forward(self, x: Tensor) -> Tensor:
        """Return what the walk has met on its way to each cell."""
        return self.leave(walk(self.enter(x.flip(self.turn)), self.recurrent).flip(self.turn))


class ContextUnit(ResidualUnit):
    """x + context(x): walks from the four corners. Shape: (N, channels, H, W), kept.

    Args:
        channels: of x and y.
        hidden: numbers of a state; None: `channels`.

    Raises:
        ValueError: a size below 1; in `forward` maps of another form.
    """

    TURNS = ((), (3,), (2, 3), (2,))  # to the south-east, south-west, north-west, north-east

    def __init__(self, channels: int, hidden: int | None = None) -> None:
        super().__init__(channels)
        hidden = channels if hidden is None else hidden
        check_positive(hidden=hidden)
        self.walks = nn.ModuleList(Walk(channels, hidden, turn) for turn in self.TURNS)
        he_init(self)

    def branch(self, x: Tensor) -> Tensor:
        """Return the context of each cell."""
        return torch.stack([each(x) for each in self.walks]).sum(0)


class CRRN(nn.Module):
    """A stem, residual units and context units in turn, a score for each pixel: (N, in_channels, H, W) -> (N, num_classes, H, W).

    Args:
        in_channels: of the images.
        num_classes: labels of a pixel.
        width: channels of the maps.
        units: pairs of a convolutional and a context unit.
        context: False: a convolutional unit in the place of each context unit.

    Raises:
        ValueError: a size below 1; in `forward` images of another form.
    """

    def __init__(
        self, in_channels: int, num_classes: int, *, width: int = 16, units: int = 2, context: bool = True
    ) -> None:
        super().__init__()
        check_positive(in_channels=in_channels, num_classes=num_classes, width=width, units=units)
        self.in_channels = in_channels
        self.stem = conv3x3(in_channels, width, bias=True)
        pairs: list[nn.Module] = []
        for _ in range(units):
            pairs += [PreActivationUnit(width), ContextUnit(width) if context else PreActivationUnit(width)]
        self.units = nn.Sequential(*pairs)
        self.score = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, num_classes, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return scores for each pixel."""
        check_images(x, self.in_channels, 1)
        return self.score(self.units(self.stem(x)))
