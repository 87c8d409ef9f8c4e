import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resnetbook.principle import shattered
from resnetbook.principle.shattered import (
    KINDS,
    Kind,
    autocorrelation,
    draw,
    flips,
    grid,
    respond,
    shattering,
)


@pytest.mark.parametrize("kind", KINDS)
def test_derivative_is_the_finite_difference(kind: str) -> None:
    network = draw(kind, 6, width=50, seed=3)
    x = grid(64) + 0.013
    step = 1e-6
    before, here, after = (respond(network, x + shift) for shift in (-step, 0.0, step))
    # Where the pattern is the same on both sides y is a straight line there, and the difference is the derivative.
    smooth = (before.patterns == after.patterns).all(axis=(0, 1))
    assert smooth.mean() > 0.9
    difference = (after.output - before.output) / (2 * step)
    np.testing.assert_allclose(difference[smooth], here.derivative[smooth], rtol=1e-5, atol=1e-8)


@given(scale=st.floats(0.01, 100.0), seed=st.integers(0, 50), depth=st.integers(1, 12))
@settings(max_examples=25, deadline=None)
def test_without_biases_the_network_is_homogeneous_with_one_kink_at_zero(
    scale: float, seed: int, depth: int
) -> None:
    network = draw("he-unbiased", depth, width=30, seed=seed)
    x = grid(33)[grid(33) != 0]
    response, scaled = respond(network, x), respond(network, scale * x)
    np.testing.assert_allclose(scaled.output, scale * response.output, rtol=1e-9, atol=1e-12)
    for side in (x < 0, x > 0):
        slopes = response.derivative[side]
        np.testing.assert_allclose(slopes, slopes[0], rtol=1e-9, atol=1e-12)
    assert flips(response)[:].sum() == (response.patterns[:, :, 0] != response.patterns[:, :, -1]).sum()


def test_biases_make_kinks_elsewhere() -> None:
    assert len(np.unique(respond(draw("he", 4), grid()).derivative.round(9))) > 50


def test_autocorrelation_of_known_curves() -> None:
    assert autocorrelation(np.array([1.0, -1.0, 1.0, -1.0])) == pytest.approx([1.0, -0.75, 0.5, -0.25])
    white, brown = shattered.white_noise(4096, seed=1), shattered.brown_noise(4096, seed=1)
    assert autocorrelation(white)[0] == pytest.approx(1.0)
    # White noise: variance 1/n at any lag but 0, so six standard deviations are 0.094.
    assert np.abs(autocorrelation(white)[1:50]).max() < 0.094
    assert autocorrelation(brown)[16] > 0.9


@given(shift=st.floats(-5, 5), scale=st.floats(1e-6, 1e6))
@settings(max_examples=25, deadline=None)
def test_autocorrelation_ignores_size_and_mean(shift: float, scale: float) -> None:
    curve = shattered.brown_noise(64, seed=2)
    np.testing.assert_allclose(autocorrelation(scale * (curve + shift)), autocorrelation(curve), atol=1e-7)


def test_the_order_of_the_rows() -> None:
    at_50 = {kind: shattering(kind, 50, seeds=10).mean() for kind in KINDS}
    assert at_50["he"] < 0.3
    assert at_50["he"] + 0.1 < at_50["residual"] < at_50["glorot"] - 0.05
    assert at_50["residual-scaled"] > at_50["he"] + 0.3
    assert at_50["glorot"] > at_50["he"] + 0.2
    assert at_50["he-unbiased"] == pytest.approx(0.81, abs=0.03)
    shallow = shattering("he", 2, seeds=10).mean()
    assert shallow > at_50["he"] + 0.3


def test_the_reason_deep_layers_have_no_switches_with_glorot() -> None:
    glorot, he = (flips(respond(draw(kind, 50), grid())) for kind in ("glorot", "he"))
    assert (
        glorot[0] == he[0] > 100
    )  # same numbers, another scale: the first layer switches at the same inputs
    assert glorot[25:].sum() == 0
    assert he[25:].min() > 0


def test_alpha_zero_is_the_first_layer_alone() -> None:
    deep = draw(Kind("zero", residual=True, alpha=0.0), 9, width=20, seed=4)
    shallow = shattered.Network(
        deep.kind, (deep.weights[0], deep.weights[-1]), (deep.biases[0], deep.biases[-1])
    )
    np.testing.assert_array_equal(respond(deep, grid()).output, respond(shallow, grid()).output)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: draw("xavier", 3), "kind='xavier'.*glorot"),
        (lambda: draw("he", 0), "depth=0"),
        (lambda: draw("he", 3, width=0), "width=0"),
        (lambda: grid(1), "points=1"),
        (lambda: autocorrelation(np.ones(9)), "constant"),
        (lambda: autocorrelation(np.ones((3, 3))), "one axis"),
        (lambda: respond(draw("he", 1), np.ones((2, 2))), "one axis"),
        (lambda: shattering("he", 2, lag=256), "lag=256"),
        (lambda: Kind("x", alpha=0.5), "alpha=0.5"),
        (lambda: Kind("x", gain=0.0), "gain=0.0"),
    ],
)
def test_bad_input(call, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()
