"""Deep supervision (Lee et al. 2015, DSN, arXiv:1409.5185): losses at intermediate layers.

    loss = loss_out + sum over taps i of  w_i loss_i

A small classifier on the features of an earlier stage asks them to be useful by themselves, and its gradient reaches the
first layers without passing the later ones. In evaluation the companions are not asked. Weights may fade while training
goes on: `fading`. Section 4.4(4), claim C65.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from resnetbook.structure.fully_connected.convolutional import ConvolutionalHead

__all__ = ["DeepSupervision", "fading"]


class DeepSupervision(nn.Module):
    """A head for the last features, and a companion for each earlier map.

    Args:
        channels: of the features of each stage, the last one's at the end.
        num_classes: scores.

    Raises:
        ValueError: no stage, a size below 1; in `all_scores` and `loss` input of another form.
    """

    def __init__(self, channels: Sequence[int], num_classes: int) -> None:
        super().__init__()
        if not channels:
            raise ValueError(f"channels={channels!r}: expected at least one stage")
        *early, last = channels
        self.companions = nn.ModuleList(ConvolutionalHead(width, num_classes) for width in early)
        self.head = ConvolutionalHead(last, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the last stage's scores, (N, num_classes)."""
        return self.head(x)

    def all_scores(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Return the scores of every stage, the last one's at the end, each (N, num_classes)."""
        if len(maps) != len(self.companions) + 1:
            raise ValueError(
                f"maps: {len(maps)} given, expected {len(self.companions) + 1}, one for each stage"
            )
        heads = [*self.companions, self.head]
        return [head(x) for head, x in zip(heads, maps, strict=True)]

    def loss(
        self, scores: Sequence[Tensor], labels: Tensor, weights: float | Sequence[float] = 0.3
    ) -> Tensor:
        """Return the loss of the last scores and the weighted losses of the others; a scalar.

        Args:
            scores: as `all_scores` gives them.
            labels: (N,).
            weights: of each companion; one number for all.
        """
        count = len(scores) - 1
        each = [float(weights)] * count if isinstance(weights, int | float) else list(weights)
        if len(each) != count:
            raise ValueError(f"weights={each}: expected {count}, one for each companion")
        total = functional.cross_entropy(scores[-1], labels)
        for weight, early in zip(each, scores, strict=False):
            total = total + weight * functional.cross_entropy(early, labels)
        return total


def fading(start: float, step: int, steps: int) -> float:
    """Return a weight that falls linearly from `start` to 0 over `steps` steps, and stays there.

    Raises:
        ValueError: a negative start or step, fewer than one step.
    """
    if start < 0 or step < 0 or steps < 1:
        raise ValueError(
            f"start={start!r}, step={step!r}, steps={steps!r}: expected 0 or more, 0 or more, 1 or more"
        )
    return start * max(0.0, 1 - step / steps)
