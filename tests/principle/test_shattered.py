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
        (lambda: autocorrelation(np.ones(1)), "2 or more"),
        (lambda: autocorrelation(np.zeros(9)), "constant"),
        (lambda: shattering("he", 2, lag=256), "lag=256: expected 0 to 255 for 256 inputs"),
        (lambda: shattering("he", 2, lag=-1), "lag=-1"),
        (lambda: Kind("x", alpha=0.5), "alpha=0.5"),
        (lambda: Kind("x", gain=0.0), "gain=0.0"),
    ],
)
def test_bad_input(call, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


def test_what_a_kind_says_is_what_is_drawn() -> None:
    """Variance gain / width, biases or none, and the same numbers for kinds that differ in the rest alone."""
    expected = {
        "glorot": (1.0, True, False, 1.0),
        "he": (2.0, True, False, 1.0),
        "he-unbiased": (2.0, False, False, 1.0),
        "residual-scaled": (2.0, True, True, 0.1),
        "residual": (2.0, True, True, 1.0),
    }
    assert {name: (k.gain, k.biases, k.residual, k.alpha) for name, k in KINDS.items()} == expected
    for name, (gain, biases, _, _) in expected.items():
        network = draw(name, 3, width=100, seed=5)
        assert network.depth == 3
        assert [w.shape for w in network.weights] == [(100,), (100, 100), (100, 100), (100,)]
        assert [b.shape for b in network.biases] == [(100,), (100,), (100,), (1,)]
        # 20,000 numbers: their mean square is within 4 % of the variance, four standard errors.
        found = np.concatenate([w.ravel() for w in network.weights])
        assert np.mean(found**2) == pytest.approx(gain / 100, rel=0.04)
        drawn = np.concatenate(network.biases)
        assert np.mean(drawn**2) == pytest.approx(gain / 100 if biases else 0.0, rel=0.5)
        same = draw("he", 3, width=100, seed=5)
        np.testing.assert_allclose(network.weights[1] / np.sqrt(gain), same.weights[1] / np.sqrt(2))
    assert Kind("x") == Kind("x", gain=2.0, biases=True, residual=False, alpha=1.0)


def test_a_unit_switches_where_its_input_changes_its_sign() -> None:
    network = shattered.Network(
        KINDS["he"],
        (np.array([1.0, -2.0, 1.0]), np.eye(3), np.ones(3)),
        (np.array([0.0, 1.0, 9.0]), np.array([-1.0, 0.0, 0.0]), np.zeros(1)),
    )
    # Switches of the first layer at 0 and 1/2, the third unit is always on; of the second at x = 1, and again at 1/2.
    response = respond(network, np.array([-1.0, -0.25, 0.25, 0.75, 1.5]))
    assert flips(response).tolist() == [2, 2]


def test_what_is_taken_when_nothing_is_said() -> None:
    np.testing.assert_array_equal(grid(), -2 + np.arange(256) / 64)
    assert grid(2).tolist() == [-2.0, 0.0]
    np.testing.assert_array_equal(draw("he", 1).weights[0], draw("he", 1, width=200, seed=0).weights[0])
    np.testing.assert_array_equal(shattered.white_noise(5), shattered.white_noise(5, seed=0))
    np.testing.assert_array_equal(shattered.brown_noise(5), np.cumsum(shattered.white_noise(5)))
    by_default = shattering("he", 1)
    assert by_default.shape == (30,)
    explicit = shattering("he", 1, seeds=2, lag=16, width=200, points=256)
    np.testing.assert_array_equal(by_default[:2], explicit)
    at_0_25 = autocorrelation(respond(draw("he", 1, seed=1), grid()).derivative)[16]
    assert explicit[1] == at_0_25


def test_the_ends_of_what_is_allowed() -> None:
    np.testing.assert_allclose(shattering("he", 2, seeds=2, lag=0), 1.0)
    assert shattering("he", 2, seeds=1, lag=63, points=64).shape == (1,)
    assert draw("he", 1, width=1).depth == 1
    assert autocorrelation(np.array([0.0, 2.0])) == pytest.approx([1.0, -0.5])


def test_a_drawn_network_and_its_answer_cannot_be_changed() -> None:
    network = draw("he", 1, width=2)
    for value, name in ((network.kind, "gain"), (network, "weights"), (respond(network, grid(4)), "output")):
        with pytest.raises(AttributeError):
            setattr(value, name, None)
    with pytest.raises(TypeError):
        KINDS["he"] = Kind("mine")  # type: ignore[index]
