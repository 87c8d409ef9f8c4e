"""The interval over seeds and images: simulation of known truth, an independent formula, and the edges."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from resnetbook.survey.intervals import (
    Estimate,
    by_group,
    over_seeds,
    over_seeds_and_images,
    placements,
    without_each_seed,
)
from resnetbook.survey.words import judge, reference

# Standard deviations of seeds, images and the rest.
SPREADS = [
    (0.0, 0.0, 1.0),
    (0.1, 0.0, 1.0),
    (0.0, 0.5, 1.0),
    (0.1, 0.3, 1.0),
    (0.3, 1.0, 0.5),
    (1.0, 1.0, 0.1),
]


def crossed(rng, spreads, seeds, images, repeats=1000):
    seed, image, rest = spreads
    return (
        seed * rng.normal(size=(repeats, seeds, 1))
        + image * rng.normal(size=(repeats, 1, images))
        + rest * rng.normal(size=(repeats, seeds, images))
    )


def coverage(estimate, truth=0.0):
    return np.mean(np.abs(estimate.mean - truth) <= estimate.half_width())


@pytest.mark.parametrize("spreads", SPREADS)
@pytest.mark.parametrize(("seeds", "images"), [(5, 60), (12, 60), (12, 200)])
def test_the_interval_covers_the_truth_in_a_crossed_design(spreads, seeds, images):
    found = coverage(over_seeds_and_images(crossed(np.random.default_rng(0), spreads, seeds, images)))
    assert 0.93 <= found <= 0.985


def test_seeds_alone_or_images_alone_cover_too_little():
    draws = crossed(np.random.default_rng(1), (0.1, 1.0, 0.5), 12, 100)
    assert coverage(over_seeds(draws.mean(axis=2))) < 0.7
    draws = crossed(np.random.default_rng(1), (1.0, 0.1, 0.5), 12, 100)
    assert coverage(over_seeds(draws.mean(axis=1))) < 0.7


def right_or_wrong(rng, repeats, seeds, images, effect):
    """Two arms that are right on easy images and wrong on hard ones; returns differences and their expectation."""
    ease = rng.normal(1.5, 1.5, (repeats, 1, images))
    arms = [
        rng.random((repeats, seeds, images))
        < 1 / (1 + np.exp(-(ease + up + 0.2 * rng.normal(size=(repeats, seeds, 1)))))
        for up in (effect, 0.0)
    ]
    many = rng.normal(1.5, 1.5, 400_000)
    noise = 0.2 * rng.normal(size=(2, 400_000))
    truth = np.mean(1 / (1 + np.exp(-(many + effect + noise[0]))) - 1 / (1 + np.exp(-(many + noise[1]))))
    return arms[0].astype(float) - arms[1], truth


@pytest.mark.parametrize(("images", "effect"), [(59, 0.0), (59, 0.5), (300, 0.3)])
def test_the_interval_covers_the_truth_for_right_and_wrong_answers(images, effect):
    draws, truth = right_or_wrong(np.random.default_rng(2), 1000, 12, images, effect)
    assert 0.93 <= coverage(over_seeds_and_images(draws), truth) <= 0.985


def pigeonhole(table, rng, repeats=300):
    """Owen's bootstrap: rows and columns drawn again, each for itself; percentile interval."""
    seeds, images = table.shape
    rows = rng.multinomial(seeds, np.full(seeds, 1 / seeds), repeats) / seeds
    columns = rng.multinomial(images, np.full(images, 1 / images), repeats) / images
    return np.quantile(((rows @ table) * columns).sum(axis=1), [0.025, 0.975])


@pytest.mark.parametrize("spreads", [(1.0, 1.0, 0.1), (0.02, 0.02, 1.0)])
def test_the_pigeonhole_bootstrap_covers_worse(spreads):
    rng = np.random.default_rng(3)
    draws = crossed(rng, spreads, 8, 60, 400)
    ends = np.array([pigeonhole(table, rng) for table in draws])
    theirs = np.mean((ends[:, 0] <= 0) & (ends[:, 1] >= 0))
    ours = coverage(over_seeds_and_images(draws))
    assert abs(ours - 0.95) < abs(theirs - 0.95)
    assert not 0.93 <= theirs <= 0.985


def test_the_variance_is_that_of_least_squares_on_seeds_and_images():
    # Independent: sums of squares as the drop of the residual when dummy variables enter a regression.
    rng = np.random.default_rng(4)
    table = crossed(rng, (0.5, 0.8, 1.0), 6, 15, 1)[0]
    seed, image = np.repeat(np.eye(6), 15, axis=0), np.tile(np.eye(15), (6, 1))
    one = np.ones((90, 1))

    def residual(*blocks):
        design = np.hstack([one, *blocks])
        return ((table.ravel() - design @ np.linalg.lstsq(design, table.ravel(), rcond=None)[0]) ** 2).sum()

    left = residual(seed, image)
    a = (residual() - residual(seed)) / 5
    b = (residual() - residual(image)) / 14
    e = left / 70
    assert a > e
    assert b > e
    found = over_seeds_and_images(table)
    assert found.mean == pytest.approx(table.mean())
    assert found.error**2 == pytest.approx((a + b - e) / 90, rel=1e-9)
    assert found.df == pytest.approx((a + b - e) ** 2 / (a**2 / 5 + b**2 / 14 + e**2 / 70), rel=1e-9)


def test_images_that_all_say_the_same_leave_the_t_interval_over_seeds():
    values = np.random.default_rng(5).normal(size=8)
    found = over_seeds_and_images(np.repeat(values[:, None], 30, axis=1))
    theirs = stats.ttest_1samp(values, 0)
    assert found.error == pytest.approx(over_seeds(values).error)
    assert found.df == pytest.approx(7)
    assert found.p_value() == pytest.approx(theirs.pvalue)


@given(st.integers(2, 6), st.integers(2, 9), st.integers(0, 10_000), st.booleans())
def test_the_error_is_never_below_that_over_seeds_or_over_images(seeds, images, seed, coarse):
    table = np.random.default_rng(seed).normal(size=(seeds, images))
    table = np.sign(table.round()) if coarse else table
    found = over_seeds_and_images(table)
    # By squares: the root would magnify rounding.
    assert found.error**2 >= over_seeds(table.mean(axis=1)).error ** 2 - 1e-12
    assert found.error**2 >= over_seeds(table.mean(axis=0)).error ** 2 - 1e-12
    assert np.isfinite(found.df)
    assert found.df > 0


def test_seeds_and_images_that_cancel_are_not_certain():
    # Every seed and every image has the same mean, and yet the answers differ.
    table = np.array([[1.0, -1.0], [-1.0, 1.0]])
    assert over_seeds_and_images(table).error == pytest.approx(1.0)


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3])
def test_equal_differences_have_no_width(value):
    for found in (over_seeds([value] * 7), over_seeds_and_images(np.full((7, 11), value))):
        assert (found.mean, found.error) == (value, 0.0)
        assert found.half_width() == 0
        assert found.p_value(value) == 1.0
        assert found.p_value(value - 0.1) == 0.0


@pytest.mark.parametrize("table", [np.ones((1, 5)), np.ones((5, 1)), np.ones((1, 1))])
def test_one_seed_or_one_image_has_no_interval(table):
    found = over_seeds_and_images(table)
    assert found.mean == 1.0
    assert found.half_width() == np.inf
    assert found.p_value() == 1.0
    assert found.power(100.0) == 0.0


def test_one_value_is_its_own_mean_without_an_interval():
    for values, mean in (([0.7], 0.7), ([[0.5], [2.0]], [0.5, 2.0])):
        found = over_seeds(values)
        assert np.array_equal(found.mean, mean)
        assert np.all(found.half_width() == np.inf)
        assert np.array_equal(found.df, np.zeros_like(mean))


def test_no_seed_has_no_mean():
    assert np.isnan(over_seeds([]).mean)
    assert np.isnan(over_seeds([]).p_value())
    assert np.isnan(over_seeds_and_images(np.ones((0, 4))).mean)


def test_repeats_are_estimated_each_for_itself():
    draws = crossed(np.random.default_rng(6), (0.2, 0.5, 1.0), 5, 20, 7)
    together = over_seeds_and_images(draws)
    for index, table in enumerate(draws):
        alone = over_seeds_and_images(table)
        assert [part[index] for part in together] == pytest.approx([float(part) for part in alone])


@pytest.mark.parametrize("seeds", [3, 5, 12])
@pytest.mark.parametrize("kind", ["numbers", "answers", "equal but for one seed", "equal"])
def test_leaving_out_each_seed_by_sums_is_leaving_it_out(seeds, kind):
    rng = np.random.default_rng(seeds)
    table = 0.9 + crossed(rng, (0.2, 0.5, 1.0), seeds, 30, 1)[0]
    if kind == "answers":
        table = rng.integers(-1, 2, (seeds, 30)).astype(float)
    if kind.startswith("equal"):
        table = np.full((seeds, 30), 0.1)
        table[0] += 0.0 if kind == "equal" else rng.normal(size=30)
    found = without_each_seed(table)
    for seed in range(seeds):
        alone = over_seeds_and_images(np.delete(table, seed, axis=0))
        assert [part[seed] for part in found] == pytest.approx([float(part) for part in alone], abs=1e-9)


def test_p_value_and_interval_say_the_same():
    draws = crossed(np.random.default_rng(7), (0.1, 0.3, 1.0), 6, 40, 500)
    found = over_seeds_and_images(draws)
    inside = np.abs(found.mean - 0.1) <= found.half_width()
    assert np.array_equal(found.p_value(0.1) >= 0.05, inside)
    assert 0 < inside.mean() < 1


def test_power_is_how_often_the_interval_excludes_zero():
    rng = np.random.default_rng(8)
    draws = rng.normal(0.8, 1.0, (4000, 12))
    found = over_seeds(draws)
    excluded = np.mean(found.mean - found.half_width() > 0)
    known = Estimate(0.0, 1 / np.sqrt(12), 11.0)
    assert known.power(0.8) == pytest.approx(excluded, abs=0.02)
    assert Estimate(0.0, 0.0, 11.0).power(0.8) == 1.0


@pytest.mark.parametrize(("rule", "truth"), [("better", 0.0), ("not_worse", -0.02), ("equal", 0.02)])
@pytest.mark.parametrize("spreads", [(0.02, 0.2, 0.3), (0.1, 0.1, 0.3)])
def test_without_an_effect_one_part_in_forty_is_supported(rule, truth, spreads):
    draws = truth + crossed(np.random.default_rng(9), spreads, 12, 60, 2000)
    found = over_seeds_and_images(draws)
    half = found.half_width()
    p = found.p_value([reference(rule, mean, 0.02) for mean in found.mean])
    rows = zip(found.mean, found.mean - half, found.mean + half, p, strict=True)
    share = np.mean([judge(rule, *row[:3], 0.02, row[3]) == "supported" for row in rows])
    # Three standard errors of 2,000 repeats above 2.5 %.
    assert share <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / 2000)
    assert share > 0 or rule == "equal"


def test_patients_count_and_not_their_images():
    rng = np.random.default_rng(10)
    inside, naive = [], []
    for _ in range(600):
        groups = np.repeat(np.arange(25), rng.integers(1, 10, 25))
        patient = rng.normal(0, 0.6, 25) + rng.normal(0, 0.3, (12, 25))
        table = 0.2 * rng.normal(size=(12, 1)) + patient[:, groups] + rng.normal(size=(12, len(groups)))
        inside.append(coverage(over_seeds_and_images(by_group(table, groups))))
        naive.append(coverage(over_seeds_and_images(table)))
    assert 0.925 <= np.mean(inside) <= 0.985
    assert np.mean(naive) < 0.85


def test_groups_keep_the_mean_over_images_and_one_image_each_changes_nothing():
    table = np.random.default_rng(11).normal(size=(4, 9))
    grouped = by_group(table, [3, 3, 3, 5, 5, 8, 8, 8, 8])
    assert grouped.shape == (4, 3)
    assert grouped.mean(axis=1) == pytest.approx(table.mean(axis=1))
    assert by_group(table, range(9)) == pytest.approx(table)
    with pytest.raises(ValueError, match="one group for each of 9 images"):
        by_group(table, [1, 2])


def test_placements_have_the_area_as_mean_and_delongs_variance():
    rng = np.random.default_rng(12)
    positive = rng.random(80) < 0.3
    scores = np.round(rng.normal(size=80) + positive, 1)  # with ties
    found = placements(scores, positive)
    assert found.mean() == pytest.approx(roc_auc_score(positive, scores), abs=1e-12)
    # DeLong by pairs: mean squares of the placements of either class.
    wins = (scores[positive][:, None] > scores[~positive]) + 0.5 * (
        scores[positive][:, None] == scores[~positive]
    )
    delong = wins.mean(1).var(ddof=1) / positive.sum() + wins.mean(0).var(ddof=1) / (~positive).sum()
    assert found.var(ddof=1) / 80 == pytest.approx(delong, rel=0.05)


@pytest.mark.parametrize("positive", [[0, 0, 0], [1, 1, 1], [0, 1]])
def test_an_area_needs_both_classes(positive):
    with pytest.raises(ValueError, match="positive must mark some"):
        placements([0.1, 0.2, 0.3], positive)


def test_the_difference_of_two_areas_is_covered():
    rng = np.random.default_rng(13)
    truth = stats.norm.cdf(1.3 / np.sqrt(2.5)) - stats.norm.cdf(1.0 / np.sqrt(2.5))
    inside = []
    for _ in range(300):
        positive = np.arange(80) < 24
        base = rng.normal(size=80)
        arms = [
            [placements(up * positive + base + 0.5 * rng.normal(size=80), positive) for _ in range(12)]
            for up in (1.3, 1.0)
        ]
        inside.append(coverage(over_seeds_and_images(np.subtract(*arms)), truth))
    assert 0.92 <= np.mean(inside) <= 0.985
