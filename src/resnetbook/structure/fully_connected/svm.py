"""SVM head: margins in place of probabilities. Section 4.4(2), claim C62.

    loss = |w|^2 / 2 + C sum over samples and classes of  max(0, 1 - t (w . x + b))^2       t = +1 for its class, else -1

Two ways: trained end to end with the squared hinge (Tang 2013, arXiv:1306.0239), one class against the rest; or fitted by
scikit-learn on features of a network that stays as it is, which is what the survey's [43] does. Only samples inside their
margin pull at the weights. With the bias in the last column of w the problem is that of `sklearn.svm.LinearSVC` with
`loss="squared_hinge"`, which penalises the intercept too.
"""

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from resnetbook.timeline._checks import check_positive

if TYPE_CHECKING:
    from sklearn.svm import SVC

__all__ = ["SVMHead", "fit_svm"]


class SVMHead(nn.Module):
    """Linear scores, one class against the rest. Shape: (N, features) -> (N, num_classes).

    Args:
        features: numbers of a sample.
        num_classes: scores.
        cost: C, what a violated margin costs beside the size of the weights.

    Raises:
        ValueError: a size below 1, a cost that is not positive; in `forward` and `loss` input of another form.
    """

    def __init__(self, features: int, num_classes: int, *, cost: float = 1.0) -> None:
        super().__init__()
        check_positive(features=features, num_classes=num_classes)
        if not cost > 0:
            raise ValueError(f"cost={cost!r}: expected a positive number")
        self.linear = nn.Linear(features, num_classes)
        self.cost = cost

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores."""
        if x.dim() != 2 or x.shape[1] != self.linear.in_features:
            raise ValueError(f"x of shape {tuple(x.shape)}: expected (N, {self.linear.in_features})")
        return self.linear(x)

    def loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return the objective above, for all samples of the batch together; a scalar."""
        if scores.dim() != 2 or labels.shape != scores.shape[:1]:
            raise ValueError(
                f"labels of shape {tuple(labels.shape)}: expected one for each row of scores, {tuple(scores.shape)}"
            )
        sides = 2 * functional.one_hot(labels, scores.shape[1]).to(scores) - 1
        size = self.linear.weight.square().sum() + self.linear.bias.square().sum()
        return size / 2 + self.cost * functional.relu(1 - sides * scores).square().sum()


def fit_svm(
    features: Tensor, labels: Tensor, *, cost: float = 1.0, kernel: Literal["linear", "rbf"] = "rbf"
) -> "SVC":
    """Return scikit-learn's support vector machine, fitted to features of a network.

    Args:
        features: (N, features); they are taken as they are, so bring them to one scale first.
        labels: (N,).
        cost: C.
        kernel: "linear" or "rbf".

    Raises:
        ValueError: input of another form, one class only, a cost that is not positive, another kernel.
    """
    from sklearn.svm import SVC

    if features.dim() != 2 or labels.shape != features.shape[:1]:
        raise ValueError(
            f"features of shape {tuple(features.shape)}, labels {tuple(labels.shape)}: expected (N, F), (N,)"
        )
    if len(torch.unique(labels)) < 2:
        raise ValueError(f"labels: only {torch.unique(labels).tolist()} found, expected two classes or more")
    if not cost > 0:
        raise ValueError(f"cost={cost!r}: expected a positive number")
    if kernel not in ("linear", "rbf"):
        raise ValueError(f"kernel={kernel!r}: expected 'linear' or 'rbf'")
    return SVC(C=cost, kernel=kernel).fit(features.detach().cpu().numpy(), labels.cpu().numpy())
