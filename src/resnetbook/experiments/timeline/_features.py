"""What the channels of a layer say of each other: rank, correlation, alignment and novelty of feature matrices.

A feature matrix has a row for each position of each image and a column for each channel; every channel is standardised, as the
batch normalisation of the next layer does. So the spectrum is that of the channels' correlation matrix.
"""

from __future__ import annotations

import torch
from torch import Tensor


def standardised(features: Tensor) -> Tensor:
    """Return the columns with mean 0 and norm 1; those that do not vary become 0. In double precision."""
    centred = features.double() - features.double().mean(0)
    norms = centred.norm(dim=0)
    return torch.where(norms > 1e-9 * norms.max().clamp_min(1e-30), centred / norms.clamp_min(1e-300), 0.0)


def effective_rank(features: Tensor) -> float:
    """Return exp(entropy) of the spectrum of the correlations of the columns: 1 to the number of columns; 0 if none vary."""
    columns = standardised(features)
    spectrum = torch.linalg.eigvalsh(columns.T @ columns).clamp_min(0)
    if spectrum.sum() <= 0:
        return 0.0
    shares = spectrum / spectrum.sum()
    return float(torch.special.entr(shares).sum().exp())


def mean_correlation(features: Tensor) -> float:
    """Return the mean absolute correlation of two different columns, of those that vary."""
    columns = standardised(features)
    columns = columns[:, columns.abs().sum(0) > 0]
    count = columns.shape[1]
    if count < 2:
        return 0.0
    return float(((columns.T @ columns).abs().sum() - count) / (count * (count - 1)))


def linear_cka(a: Tensor, b: Tensor) -> float:
    """Return the linear centred kernel alignment of two sets of standardised columns: 0 unrelated, 1 the same up to a turn."""
    x, y = standardised(a), standardised(b)
    own = (x.T @ x).norm() * (y.T @ y).norm()
    return float((x.T @ y).square().sum() / own) if own > 0 else 0.0


def new_share(read: Tensor, written: Tensor) -> float:
    """Return the share of the variance of the standardised `written` that no linear function of `read` gives."""
    x, y = standardised(read), standardised(written)
    # Components of a correlation below 1e-6 are rounding: what is read is single precision.
    values, vectors = torch.linalg.eigh(x.T @ x)
    keep = values > 1e-6
    basis = (x @ vectors[:, keep]) / values[keep].sqrt()
    total = y.square().sum()
    return float(1 - (basis.T @ y).square().sum() / total) if total > 0 else 0.0


def columns_of(maps: Tensor) -> Tensor:
    """Return (images x positions, channels)."""
    return maps.permute(0, 2, 3, 1).flatten(0, 2)
