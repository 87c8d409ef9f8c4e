"""Shattered gradients (Balduzzi et al. 2017, arXiv:1702.08591, section 2): networks with one input and one output.

The derivative dy/dx of such a network is a curve that one can draw. For a shallow network neighbouring inputs have
nearly the same derivative; for a deep plain network with He's weights the curve looks like white noise. The measure
is the autocorrelation of the curve.

    first layer   h_1     = w_0 x + b_0
    plain         h_{l+1} = W_l relu(h_l) + b_l
    residual      h_{l+1} = h_l + alpha (W_l relu(h_l) + b_l)
    output        y       = w_L . relu(h_L) + b_L

Weights are normal with variance gain / width in every layer, biases too where there are any (the set-up of notebook
11.1 that comes with Prince, Understanding Deep Learning, 2023, which takes gain 1). NumPy alone: the derivative runs
forward beside the value, by the chain rule for one scalar input.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "KINDS",
    "Kind",
    "Network",
    "Response",
    "autocorrelation",
    "brown_noise",
    "draw",
    "flips",
    "grid",
    "respond",
    "shattering",
    "white_noise",
]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Kind:
    """How a network is built and drawn.

    Attributes:
        title: the row's name in tables.
        gain: weights and biases have variance gain / width: 1 is Glorot's value for equal fans, 2 is He's.
        biases: whether the layers have biases (all but the factor is as for the weights).
        residual: whether hidden layers add their input.
        alpha: factor of the branch; meaningful for residual networks only.
    """

    title: str
    gain: float = 2.0
    biases: bool = True
    residual: bool = False
    alpha: float = 1.0

    def __post_init__(self) -> None:
        if not self.gain > 0:
            raise ValueError(f"gain={self.gain}: expected a number above 0")
        if not self.residual and self.alpha != 1.0:
            raise ValueError(f"alpha={self.alpha}: a plain network has no branch to scale, expected 1.0")


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "glorot": Kind("plain, 1/D, biases", gain=1.0),
        "he": Kind("plain, 2/D, biases"),
        "he-unbiased": Kind("plain, 2/D, no biases", biases=False),
        "residual-scaled": Kind("residual, alpha 0.1, 2/D, biases", residual=True, alpha=0.1),
        "residual": Kind("residual, alpha 1, 2/D, biases", residual=True),
    }
)
"""The five rows of the comparison; one network differs from the next in one thing."""


@dataclass(frozen=True)
class Network:
    """The parameters of one drawn network: weights[0] (D,), weights[1:-1] (D, D), weights[-1] (D,); biases alike."""

    kind: Kind
    weights: tuple[Array, ...]
    biases: tuple[Array, ...]

    @property
    def depth(self) -> int:
        """Number of hidden layers."""
        return len(self.weights) - 1


@dataclass(frozen=True)
class Response:
    """What a network does on a grid of n inputs.

    Attributes:
        output: y, shape (n,).
        derivative: dy/dx, shape (n,).
        patterns: which hidden units are on, shape (depth, width, n).
    """

    output: Array
    derivative: Array
    patterns: NDArray[np.bool_]


def grid(points: int = 256, low: float = -2.0, high: float = 2.0) -> Array:
    """Return `points` equally spaced inputs in [low, high), as in the experiment (256 on [-2, 2))."""
    if points < 2:
        raise ValueError(f"points={points}: expected 2 or more")
    return low + (high - low) * np.arange(points) / points


def draw(kind: str | Kind, depth: int, *, width: int = 200, seed: int = 0) -> Network:
    """Draw a network of `depth` hidden layers.

    Kinds that differ in gain, alpha or residual alone get the same numbers from the same seed, so that they are pairs.

    Raises:
        ValueError: an unknown kind, or a depth or width below 1.
    """
    chosen = _kind(kind)
    for name, value in (("depth", depth), ("width", width)):
        if value < 1:
            raise ValueError(f"{name}={value}: expected 1 or more")
    rng = np.random.default_rng(seed)
    scale = np.sqrt(chosen.gain / width)
    shapes: list[tuple[int, ...]] = [(width,), *[(width, width)] * (depth - 1), (width,)]
    weights = tuple(scale * rng.standard_normal(shape) for shape in shapes)
    biases = tuple(
        scale * rng.standard_normal(shape[0] if i < depth else 1) for i, shape in enumerate(shapes)
    )
    if not chosen.biases:
        biases = tuple(np.zeros_like(bias) for bias in biases)
    return Network(chosen, weights, biases)


def respond(network: Network, x: Array) -> Response:
    """Evaluate y, dy/dx and the activation patterns at the inputs x, shape (n,)."""
    if np.ndim(x) != 1:
        raise ValueError(f"x has shape {np.shape(x)}: expected one axis of inputs")
    kind = network.kind
    value = np.outer(network.weights[0], x) + network.biases[0][:, None]
    slope = np.repeat(network.weights[0][:, None], len(x), axis=1)
    patterns = [value > 0]
    for weight, bias in zip(network.weights[1:-1], network.biases[1:-1], strict=True):
        on = patterns[-1]
        branch, branch_slope = weight @ (on * value) + bias[:, None], weight @ (on * slope)
        value = value + kind.alpha * branch if kind.residual else branch
        slope = slope + kind.alpha * branch_slope if kind.residual else branch_slope
        patterns.append(value > 0)
    on = patterns[-1]
    output = network.weights[-1] @ (on * value) + network.biases[-1]
    return Response(output, network.weights[-1] @ (on * slope), np.stack(patterns))


def autocorrelation(signal: Array) -> Array:
    """Return the autocorrelation of a curve, shape (n,) -> (n,), lag 0 first.

    Centred and divided by the sum of squares: r_k = sum_i (g_i - m)(g_{i+k} - m) / sum_i (g_i - m)^2, so r_0 = 1.

    Raises:
        ValueError: not one axis of two or more numbers, or a constant curve, which has no autocorrelation.
    """
    curve = np.asarray(signal, dtype=np.float64)
    if curve.ndim != 1 or len(curve) < 2:
        raise ValueError(f"signal has shape {curve.shape}: expected one axis of 2 or more numbers")
    # Derivatives may be as small as 1e-9 or as large as 1e6: bring them to size 1 before squaring.
    largest = np.abs(curve).max()
    centred = curve / largest - np.mean(curve / largest) if largest > 0 else curve
    power = float(centred @ centred)
    if power <= len(curve) * 1e-24:
        raise ValueError("signal is constant: its autocorrelation is not defined")
    full = np.correlate(centred, centred, mode="full")
    return full[len(curve) - 1 :] / power


def flips(response: Response) -> NDArray[np.int64]:
    """Count, for each hidden layer, the unit switches (on to off or back) between neighbouring inputs, shape (depth,).

    Each switch is a kink of y, a jump of dy/dx: without switches the derivative cannot shatter.
    """
    changed: NDArray[np.bool_] = response.patterns[:, :, 1:] != response.patterns[:, :, :-1]
    return changed.sum(axis=(1, 2))


def shattering(
    kind: str | Kind, depth: int, *, seeds: int = 30, lag: int = 16, width: int = 200, points: int = 256
) -> Array:
    """Return the autocorrelation of dy/dx at one lag for each seed, shape (seeds,).

    The lag counts grid points; 16 of 256 on [-2, 2) is a distance of 0.25. Near 1: the derivative varies smoothly.
    Near 0: it is shattered.
    """
    if not 0 <= lag < points:
        raise ValueError(f"lag={lag}: expected 0 to {points - 1} for {points} inputs")
    x = grid(points)
    curves = (respond(draw(kind, depth, width=width, seed=seed), x).derivative for seed in range(seeds))
    return np.array([autocorrelation(curve)[lag] for curve in curves])


def white_noise(points: int, *, seed: int = 0) -> Array:
    """Return independent normal numbers: the model of a shattered gradient."""
    return np.random.default_rng(seed).standard_normal(points)


def brown_noise(points: int, *, seed: int = 0) -> Array:
    """Return a random walk (Brownian motion on a grid): the model of a shallow network's gradient."""
    return np.cumsum(white_noise(points, seed=seed))


def _kind(kind: str | Kind) -> Kind:
    if isinstance(kind, Kind):
        return kind
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r}: expected one of {', '.join(KINDS)}")
    return KINDS[kind]
