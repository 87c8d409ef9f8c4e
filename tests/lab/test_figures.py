"""Figures: legible on the card for every reader, honest intervals, the same bytes for the same numbers."""

import io
import itertools

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image
from scipy import stats

from resnetbook.lab import figures

mpl.use("Agg")
import matplotlib.pyplot as plt  # after the choice of backend

# Dichromats' view in linear RGB (Machado, Oliveira, Fernandes 2009, severity 1).
VISION = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def linear(colour: str) -> np.ndarray:
    value = np.array(mpl.colors.to_rgb(colour))
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def contrast(first: str, second: str) -> float:
    """WCAG 2.2 contrast ratio."""
    low, high = sorted(float(linear(colour) @ [0.2126, 0.7152, 0.0722]) for colour in (first, second))
    return (high + 0.05) / (low + 0.05)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIELAB of linear RGB, white point D65."""
    scaled = TO_XYZ @ np.clip(rgb, 0, 1) / [0.95047, 1, 1.08883]
    f = np.where(scaled > 216 / 24389, np.cbrt(scaled), (24389 / 27 * scaled + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.fixture
def axes():
    with mpl.rc_context():
        figures.style()
        figure, axes = plt.subplots()
        yield axes
        plt.close(figure)


def test_colours_stand_out_from_the_card():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    for name, colour in figures.COLOURS.items():
        assert contrast(colour, figures.CARD) >= 3, name
    assert contrast(figures.INK, figures.CARD) >= 7


@pytest.mark.parametrize("vision", VISION)
def test_colours_stay_apart(vision):
    seen = {name: lab(VISION[vision] @ linear(colour)) for name, colour in figures.COLOURS.items()}
    for first, second in itertools.combinations(seen, 2):
        assert np.linalg.norm(seen[first] - seen[second]) > 20, (first, second)


def test_the_map_is_uniform_in_lightness():
    """Viridis rises in lightness by nearly equal steps; a rainbow does not."""
    colours = mpl.colormaps["viridis"](np.linspace(0, 1, 64))[:, :3]
    lightness = np.array([lab(linear(colour))[0] for colour in colours])
    steps = np.diff(lightness)
    assert steps.min() > 0
    assert steps.max() / steps.min() < 3


def test_letters_are_legible_on_a_phone(axes):
    """At 340 pixels for the figure, the smallest letters come out at 9 pixels or more (1 point = 1/72 inch)."""
    width = mpl.rcParams["figure.figsize"][0]
    for key in ("xtick.labelsize", "ytick.labelsize", "axes.labelsize", "legend.fontsize", "font.size"):
        assert mpl.rcParams[key] / 72 * 340 / width >= 9, key


def test_png_is_opaque_and_reproducible(axes):
    axes.plot([0, 1], [0, 1])
    first, second = figures.png(axes.figure), figures.png(axes.figure)
    assert first == second
    assert b"Software" not in first
    picture = Image.open(io.BytesIO(first))
    corner = picture.convert("RGBA").getpixel((0, 0))
    assert corner == (*(int(figures.CARD[i : i + 2], 16) for i in (1, 3, 5)), 255)


def test_t_interval_equals_scipy():
    values = np.random.default_rng(0).normal(2, 1, (5, 3))
    mean, low, high = figures.t_interval(values)
    for column in range(3):
        expected = stats.t.interval(0.95, 4, values[:, column].mean(), stats.sem(values[:, column]))
        np.testing.assert_allclose((low[column], high[column]), expected)
    np.testing.assert_allclose(mean, values.mean(axis=0))
    values[1, 0] = np.nan
    known = values[[0, 2, 3, 4], 0]
    expected = stats.t.interval(0.95, 3, known.mean(), stats.sem(known))
    found = figures.t_interval(values)
    np.testing.assert_allclose((found[1][0], found[2][0]), expected)


def test_t_interval_of_one_seed_is_unknown():
    mean, low, high = figures.t_interval([[1.0, 2.0]])
    assert mean.tolist() == [1, 2]
    assert np.isnan([low, high]).all()


def test_band(axes):
    x, values = np.arange(4), np.random.default_rng(0).normal(size=(5, 4))
    figures.band(axes, x, values, label="plain", colour="plain")
    thick, *thin = axes.lines
    np.testing.assert_allclose(thick.get_ydata(), values.mean(axis=0))
    assert [line.get_ydata().tolist() for line in thin] == values.tolist()
    assert {line.get_color() for line in axes.lines} == {figures.COLOURS["plain"]}
    _, low, high = figures.t_interval(values)
    drawn = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert drawn.min() == pytest.approx(low.min())
    assert drawn.max() == pytest.approx(high.max())
    figures.band(axes, x, values[0])
    assert len(axes.collections) == 1, "one seed has no interval"


def test_a_band_shows_its_seeds_unless_it_is_told_not_to(axes):
    values = np.arange(12.0).reshape(3, 4)
    figures.band(axes, np.arange(4), values, seeds=False, marker="o")
    assert [line.get_marker() for line in axes.lines] == ["o"]
    figures.band(axes, np.arange(4), values)
    assert len(axes.lines) == 1 + 1 + 3
    thick, *thin = axes.lines[1:]
    assert all(line.get_linewidth() < thick.get_linewidth() for line in thin)
    assert all(0 < line.get_alpha() < 1 for line in thin)
    assert all(0 < area.get_alpha() < 0.5 for area in axes.collections)
    with pytest.raises(ValueError, match=r"smallest is 0\.0, expected > 0"):
        figures.band(axes, [1, 2], [[0.0, 1.0]], logarithmic=True)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_lines_of_one_family_are_told_apart_by_their_strength(axes, count):
    figures.lines(axes, [1, 2], {f"plain-{n}": [n, n] for n in range(count)} | {"other": [0, 0]})
    widths = [line.get_linewidth() for line in axes.lines[:count]]
    assert widths == sorted(widths, reverse=True)
    assert len(set(widths)) == count
    assert all(1.5 < width < 3 for width in widths)
    assert axes.lines[-1].get_color() not in figures.COLOURS["plain"]


@pytest.mark.parametrize(("count", "step"), [(12, 1), (13, 2), (30, 3)])
def test_of_many_names_of_rows_some_are_written(axes, count, step):
    names = [f"row {n}" for n in range(count)]
    figures.heatmap(axes, np.ones((count, 2)) * np.arange(1, 3), label="", rows=names)
    assert [text.get_text() for text in axes.get_yticklabels()] == names[::step]
    assert axes.get_yticks().tolist() == list(range(0, count, step))


def test_panels_of_a_heatmap_can_share_their_limits(axes):
    image = figures.heatmap(axes, [[1.0, 4.0]], label="", limits=(0.0, 8.0), xlabel="x", ylabel="y")
    assert (image.norm(0.0), image.norm(8.0)) == (0, 1)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x", "y")
    image = figures.heatmap(axes, [[1.0, 4.0]], label="")
    assert (image.norm(1.0), image.norm(4.0)) == (0, 1)


def test_lines_take_the_family_colour(axes):
    figures.lines(axes, [1, 2], {"plain-20": [1, 2], "plain-56": [2, 3], "residual-56": [0, 1]})
    colours = [line.get_color() for line in axes.lines]
    assert colours == [figures.COLOURS[name] for name in ("plain", "plain", "residual")]
    assert axes.lines[0].get_linewidth() != axes.lines[1].get_linewidth()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "plain-20",
        "plain-56",
        "residual-56",
    ]


def test_heatmap(axes):
    values = np.array([[1.0, 10.0], [0.0, 100.0]])
    image = figures.heatmap(axes, values, label="norm", logarithmic=True, rows=["first", "second"])
    assert image.get_array().mask.tolist() == [[False, False], [True, False]]
    assert float(image.norm(10.0)) == pytest.approx(0.5)
    assert [text.get_text() for text in axes.get_yticklabels()] == ["first", "second"]
    assert axes.figure.axes[-1].get_ylabel() == "norm"


def test_a_heatmap_of_one_known_value(axes):
    image = figures.heatmap(axes, [[np.nan, 3.0]], label="")
    assert image.get_array().mask.tolist() == [[True, False]]
    with pytest.raises(ValueError, match=r"expected at least one finite value$"):
        figures.heatmap(axes, [[np.nan, np.inf]], label="")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda ax: figures.band(ax, [1, 2], [[1, 2, 3]]), "values_by_seed: shape \\(1, 3\\)"),
        (lambda ax: figures.lines(ax, [1, 2], {"plain": [1]}), "series\\['plain'\\]"),
        (lambda ax: figures.heatmap(ax, [1, 2], label=""), "values: shape \\(2,\\)"),
        (lambda ax: figures.heatmap(ax, [[0, -1]], label="", logarithmic=True), "above 0"),
        (lambda ax: figures.heatmap(ax, [[1]], label="", rows=["a", "b"]), "rows: 2 names, expected 1"),
    ],
)
def test_figures_refuse(axes, call, message):
    with pytest.raises(ValueError, match=message):
        call(axes)


def test_not_run_names_the_command():
    block = figures.not_run("growth<b>")
    assert "resnetbook run growth<b> --scale quick" in repr(block)
    assert "<b>" not in block._repr_html_()


def test_verdict_is_the_card_that_the_rules_fill(monkeypatch):
    from resnetbook import survey

    outcome = survey.Outcome(
        label="residual < plain", status="supported", seeds=12, mean=0.25, low=0.125, high=0.375, margin=0.3, rule="better",
        provenance="12 seeds, digits, CPU", reading="loss", adjusted=0.02, values=(0.2, 0.3), registered="before",
    )  # fmt: skip
    waiting = survey.Outcome(label="other", status="not run yet")
    found = survey.Verdict("C03", "quick", "partly supported", (outcome, waiting))
    monkeypatch.setattr(survey, "verdict", lambda claim, scale: found)
    block = figures.verdict("C03")
    markup, text = block._repr_html_(), repr(block)
    for piece in ("+0.25", "+0.125 to +0.375", "12 seeds", "1 of 2 parts not run yet", "p = 0.02"):
        assert piece in markup
        assert piece in text
    assert "C03: partly supported (quick scale)" in text
    assert "residual &lt; plain" in markup
    assert "<script" not in markup
    assert survey.claim("C03").text in text


def test_verdict_of_an_unknown_claim():
    with pytest.raises(ValueError, match="C99"):
        figures.verdict("C99")


def test_verdict_agrees_with_the_records():
    from resnetbook import survey

    for claim in ("C03", "C06"):
        assert f"{claim}: {survey.verdict(claim, 'quick').status}" in repr(figures.verdict(claim))


def test_a_logarithmic_band_is_the_band_of_the_logarithms() -> None:
    values = np.array([[1.0, 10.0], [100.0, 10.0], [10.0, 10.0]])
    _, ax = plt.subplots()
    figures.band(ax, [0, 1], values, logarithmic=True)
    assert ax.get_yscale() == "log"
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [10.0, 10.0])
    low = ax.collections[0].get_paths()[0].vertices[:, 1].min()
    np.testing.assert_allclose(low, np.exp(figures.t_interval(np.log(values))[1].min()))
    assert low > 0, "an interval of raw values would cross zero"
    with pytest.raises(ValueError, match="expected > 0"):
        figures.band(ax, [0, 1], values - 1, logarithmic=True)
    plt.close("all")
