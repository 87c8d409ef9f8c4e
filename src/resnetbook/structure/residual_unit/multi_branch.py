"""Multi-branch residual unit with a random multiplier (after the survey's [37], Xu et al. 2019).

    training    y = x + sum over i of  m_i F_i(x),   m_i drawn anew for each batch, of mean 1
    evaluation  y = x + sum over i of  F_i(x)

The paper's text was not found; the title and the survey's sentence name branches and a random multiplier. The law of m_i is
the book's choice: 1 - spread or 1 + spread with equal chance. Its kin are known: without multipliers it is the
multi-residual network of Abdi and Nahavandi (arXiv:1609.05672); shake-shake (Gastaldi, arXiv:1705.07485) draws weights that
sum to one, and others for the backward pass. Section 4.3(2), claim C55.
"""

import torch
from torch import Tensor, nn

from resnetbook.structure.residual_unit._unit import ResidualUnit, pre_activation_branch
from resnetbook.timeline._checks import check_positive, he_init

__all__ = ["MultiBranchUnit"]


class MultiBranchUnit(ResidualUnit):
    """Several branches, each with a multiplier of its own in training. Shape: (N, channels, H, W), kept.

    Args:
        channels: of x and y.
        branches: how many.
        inner: channels between the two convolutions of each; None: `channels // branches`, so that all together cost what
            one branch of `channels` costs (where the division leaves no rest).
        spread: how far a multiplier lies from 1; 0 switches them off.

    Raises:
        ValueError: a size below 1, a spread below 0; in `forward` maps of another form.
    """

    def __init__(
        self, channels: int, branches: int = 2, *, inner: int | None = None, spread: float = 0.5
    ) -> None:
        super().__init__(channels)
        check_positive(branches=branches)
        if isinstance(spread, bool) or not spread >= 0:
            raise ValueError(f"spread={spread!r}: expected 0 or more")
        inner = max(1, channels // branches) if inner is None else inner
        self.branches = nn.ModuleList(pre_activation_branch(channels, inner) for _ in range(branches))
        self.spread = spread
        he_init(self)

    def multipliers(self, x: Tensor) -> Tensor:
        """Return one multiplier for each branch, (branches,): drawn in training, else all 1."""
        ones = x.new_ones(len(self.branches))
        if not self.training or not self.spread:
            return ones
        return ones + self.spread * (2 * torch.randint(0, 2, ones.shape, device=x.device) - 1)

    def branch(self, x: Tensor) -> Tensor:
        """Return F(x): the weighted sum of all branches."""
        weights = self.multipliers(x)
        return torch.stack([m * branch(x) for m, branch in zip(weights, self.branches, strict=True)]).sum(0)
