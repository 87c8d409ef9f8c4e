"""Bayesian head: a distribution over weights (Blundell et al. 2015, Bayes by backprop, arXiv:1505.05424).

    w = mu + softplus(rho) * noise       loss = KL(q(w) | prior) / samples + mean of -log p(y | x, w)

Each weight has a mean and a width; the answer is the mean over draws of the weights, so that where draws disagree the head
is less sure. By the local reparametrisation (Kingma et al. 2015, arXiv:1506.02557) it is the outputs that are drawn, which
has the same law and less noise. The family of independent widths underestimates the true spread: for a linear model with
known noise its variances are those of the exact posterior's inverse diagonal, never larger than the true ones.

The survey's example [44] is another thing: `fusion` (erratum E10). Section 4.4(3), claim C63.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from resnetbook.timeline._checks import check_positive

__all__ = ["BayesianLinear", "expected_calibration_error"]


class BayesianLinear(nn.Module):
    """A linear layer with a normal distribution for each weight and bias. Shape: (N, in_features) -> (N, out_features).

    In training, and in evaluation with `samples` above 1, outputs are drawn; in evaluation they are else those of the means.

    Args:
        in_features, out_features: sizes.
        prior: standard deviation of the prior, a normal distribution around 0.
        width: standard deviation of each weight at the start.

    Raises:
        ValueError: a size below 1, a width or prior that is not positive; in `forward` input of another form.
    """

    def __init__(
        self, in_features: int, out_features: int, *, prior: float = 1.0, width: float = 0.05
    ) -> None:
        super().__init__()
        check_positive(in_features=in_features, out_features=out_features)
        if not prior > 0 or not width > 0:
            raise ValueError(f"prior={prior!r}, width={width!r}: expected positive standard deviations")
        self.mean = nn.Linear(in_features, out_features)
        start = math.log(math.expm1(width))  # softplus(start) = width
        self.rho = nn.Parameter(torch.full((out_features, in_features), start))
        self.rho_bias = nn.Parameter(torch.full((out_features,), start))
        self.prior = prior

    def widths(self) -> tuple[Tensor, Tensor]:
        """Return the standard deviations of weights and biases."""
        return functional.softplus(self.rho), functional.softplus(self.rho_bias)

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and variance of each output, (N, out_features)."""
        if x.dim() != 2 or x.shape[1] != self.mean.in_features:
            raise ValueError(f"x of shape {tuple(x.shape)}: expected (N, {self.mean.in_features})")
        weight, bias = self.widths()
        return self.mean(x), functional.linear(x.square(), weight.square(), bias.square())

    def draw(self, x: Tensor, samples: int) -> Tensor:
        """Return drawn outputs, (samples, N, out_features).

        Raises:
            ValueError: fewer than one sample, or input of another form.
        """
        check_positive(samples=samples)
        mean, variance = self.moments(x)
        noise = torch.randn((samples, *mean.shape), dtype=mean.dtype, device=mean.device)
        return mean + variance.sqrt() * noise

    def forward(self, x: Tensor) -> Tensor:
        """Return one draw in training, the outputs of the means in evaluation."""
        return self.draw(x, 1)[0] if self.training else self.moments(x)[0]

    def kl(self) -> Tensor:
        """Return the divergence of the weights' distribution from the prior, in nats; a scalar."""
        total = self.rho.new_zeros(())
        for mean, width in zip((self.mean.weight, self.mean.bias), self.widths(), strict=True):
            ratio = width / self.prior
            total = total + (ratio.square() / 2 + (mean / self.prior).square() / 2 - ratio.log() - 0.5).sum()
        return total

    def loss(self, scores: Tensor, labels: Tensor, *, samples: int) -> Tensor:
        """Return KL / samples + cross-entropy of drawn scores: the negative evidence bound for each training image.

        Args:
            scores: what `forward` drew, (N, classes).
            labels: (N,).
            samples: number of images in the whole training set.
        """
        check_positive(samples=samples)
        return self.kl() / samples + functional.cross_entropy(scores, labels)

    def probabilities(self, x: Tensor, samples: int = 100) -> Tensor:
        """Return the classes' probabilities, averaged over draws of the weights, (N, classes)."""
        return self.draw(x, samples).softmax(-1).mean(0)


def expected_calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 10) -> float:
    """Return how far certainty and accuracy lie apart: sum over bins of (share of samples) |accuracy - certainty|.

    Args:
        probabilities: (N, classes).
        labels: (N,).
        bins: equal steps of certainty.

    Raises:
        ValueError: input of another form, no sample.
    """
    if probabilities.dim() != 2 or labels.shape != probabilities.shape[:1] or not len(labels):
        raise ValueError(
            f"probabilities {tuple(probabilities.shape)}, labels {tuple(labels.shape)}: expected (N, classes) and (N,)"
        )
    check_positive(bins=bins)
    certainty, answer = probabilities.max(1)
    right = (answer == labels).to(certainty)
    places = (certainty * bins).ceil().clamp(1, bins).long() - 1
    return sum(
        float(
            (right[places == i].mean() - certainty[places == i].mean()).abs() * (places == i).double().mean()
        )
        for i in range(bins)
        if (places == i).any()
    )
