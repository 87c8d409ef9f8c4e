"""ST-ResNet (Zhang et al. 2017, arXiv:1610.00081): how many people will enter and leave each cell of a city.

    X = tanh( W_c . R(closeness) + W_p . R(period) + W_q . R(trend) + external )       . cell by cell

Three residual trunks of the same form see the last few steps, the same hour of the last days, and of the last weeks. Each cell
weighs the three for itself: an office quarter has its week, a station its day. The weather, and which day it is, come in as
numbers of their own. It has no recurrent part, whatever the survey says (erratum E12): time stands in the channels.
2,697,192 parameters for 12 units, lengths (3, 1, 1), 32 x 32 cells and 28 external numbers. Section 4.5(10), claim C82.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from resnetbook.timeline._checks import check_positive

__all__ = ["STResNet", "STUnit"]


class STUnit(nn.Module):
    """x + F(x), F = conv . relu . conv . relu with biases, with `norm` batch normalisation before each ReLU. Shape is kept."""

    residual_unit = True

    def __init__(self, channels: int, *, norm: bool = False) -> None:
        super().__init__()
        check_positive(channels=channels)

        def layer() -> list[nn.Module]:
            before = [nn.BatchNorm2d(channels)] if norm else []
            return [*before, nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1)]

        self.branch = nn.Sequential(*layer(), *layer())

    def forward(self, x: Tensor) -> Tensor:
        """Return x + F(x)."""
        return x + self.branch(x)


class STResNet(nn.Module):
    """Flows of the past to flows of the next step, in (-1, 1).

    Shape: closeness (N, 2 l_c, H, W), period (N, 2 l_p, H, W), trend (N, 2 l_q, H, W), external (N, external)
    -> (N, flows, H, W); with two flows, in and out, scaled to [-1, 1].

    Args:
        size: cells of the city, (H, W).
        lengths: steps of closeness, period and trend; a branch of length 0 is left out.
        units: residual units of each branch.
        external: numbers that describe the step to be predicted; 0: none.
        flows: maps of each step.
        width: channels of the trunks.
        norm: batch normalisation in the units.

    Raises:
        ValueError: a size below 1, a negative length, no branch; in `forward` maps of another form.
    """

    def __init__(
        self,
        size: tuple[int, int],
        *,
        lengths: Sequence[int] = (3, 1, 1),
        units: int = 12,
        external: int = 0,
        flows: int = 2,
        width: int = 64,
        norm: bool = False,
    ) -> None:
        super().__init__()
        height, columns = size
        check_positive(height=height, columns=columns, flows=flows, width=width)
        if len(lengths) != 3 or any(length < 0 for length in lengths) or not any(lengths):
            raise ValueError(f"lengths={tuple(lengths)}: expected three of 0 or more, not all 0")
        if units < 0 or external < 0:
            raise ValueError(f"units={units}, external={external}: expected 0 or more")
        self.size, self.lengths, self.flows = (height, columns), tuple(lengths), flows
        self.branches = nn.ModuleList()
        self.weights = nn.ParameterList()
        for length in (each for each in lengths if each):
            self.branches.append(
                nn.Sequential(
                    nn.Conv2d(flows * length, width, 3, padding=1),
                    *(STUnit(width, norm=norm) for _ in range(units)),
                    nn.ReLU(),
                    nn.Conv2d(width, flows, 3, padding=1),
                )
            )
            self.weights.append(torch.full((flows, height, columns), 1 / sum(map(bool, lengths))))
        self.external = (
            nn.Sequential(nn.Linear(external, 10), nn.ReLU(), nn.Linear(10, flows * height * columns))
            if external
            else None
        )

    def before_tanh(self, past: Sequence[Tensor], external: Tensor | None = None) -> Tensor:
        """Return the sum of all branches, (N, flows, H, W). Arguments as `forward`."""
        wanted = [length for length in self.lengths if length]
        if len(past) != len(wanted):
            raise ValueError(f"past: {len(past)} tensors given, expected {len(wanted)}, one for each branch")
        for x, length in zip(past, wanted, strict=True):
            if x.dim() != 4 or x.shape[1:] != (self.flows * length, *self.size):
                raise ValueError(
                    f"past of shape {tuple(x.shape)}: expected (N, {self.flows * length}, {self.size[0]}, {self.size[1]})"
                )
        if (external is None) != (self.external is None):
            raise ValueError(
                f"external={'None' if external is None else 'a tensor'}: this network expects the other"
            )
        parts = [w * branch(x) for w, branch, x in zip(self.weights, self.branches, past, strict=True)]
        total = torch.stack(parts).sum(0)
        if self.external is not None and external is not None:
            total = total + self.external(external).reshape(total.shape)
        return total

    def forward(self, past: Sequence[Tensor], external: Tensor | None = None) -> Tensor:
        """Return the next step's flows.

        Args:
            past: closeness, period and trend, those that the network has, oldest step first in the channels.
            external: numbers of the step to be predicted.
        """
        return torch.tanh(self.before_tanh(past, external))
