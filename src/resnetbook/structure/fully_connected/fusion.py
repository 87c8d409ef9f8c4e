"""Bayesian fusion of two maps of evidence, which is what the survey's [44] does (erratum E10).

    p(y | a, b)  is proportional to  p(y | a) p(y | b) / p(y)       logit p = logit p_a + logit p_b - logit prior

It is exact where the two experts see independent evidence given the answer. Two experts who saw the same are counted twice,
and the fused map is surer than it may be. There, one map looks at the whole image, the other at parts of it. The formula of
the paper was not found; this is Bayes' rule for two such experts. Section 4.4(3), claim C64.
"""

import torch
from torch import Tensor

__all__ = ["bayes_fuse"]


def bayes_fuse(first: Tensor, second: Tensor, prior: float | Tensor = 0.5) -> Tensor:
    """Return the probability that two experts give together, place by place.

    Args:
        first, second: probabilities of one shape, 0 to 1. Certainty (0 or 1) of one outweighs the other; of both against
            each other it has no answer and gives NaN.
        prior: probability before any evidence, above 0 and below 1; a number, or a map.

    Raises:
        ValueError: other shapes, or values outside 0 to 1.
    """
    if first.shape != second.shape:
        raise ValueError(f"second of shape {tuple(second.shape)}: expected {tuple(first.shape)}, as first")
    before = torch.as_tensor(prior, dtype=first.dtype, device=first.device)
    for name, value in (("first", first), ("second", second), ("prior", before)):
        if not ((value >= 0) & (value <= 1)).all():
            raise ValueError(
                f"{name}: values from {value.min():g} to {value.max():g}, expected probabilities"
            )
    if ((before == 0) | (before == 1)).any():
        raise ValueError("prior: 0 or 1 found, expected a probability that evidence can change")
    return torch.sigmoid(torch.logit(first) + torch.logit(second) - torch.logit(before))
