"""Each flag is raised by what it is for, and stays down without it."""

import numpy as np
import pytest

from resnetbook.survey import flags
from resnetbook.survey.intervals import over_seeds
from resnetbook.survey.model import Decision
from resnetbook.survey.verdict import decide

STEADY = np.array([0.031, 0.028, 0.035, 0.030, 0.027, 0.033, 0.029, 0.034, 0.026, 0.032, 0.030, 0.031])
# Its mean is above .01 by its last value alone.
FRAIL = np.array([0.006] * 11 + [0.055]) + 0.0005 * np.arange(12)
NAMES = list(flags.FLAGS)


def without_each(values):
    return over_seeds([np.delete(values, index) for index in range(len(values))])


def test_fragile_is_a_word_that_hangs_on_one_seed():
    assert not flags.fragile(without_each(STEADY), "better", 0.01, 1.0, "supported")
    assert flags.fragile(without_each(FRAIL), "better", 0.01, 1.0, "supported")
    # The others agree with each other.
    assert not flags.fragile(without_each(FRAIL[:-1]), "better", 0.01, 1.0, "no gain")
    # The adjustment counts: at p times 1e15 nothing is supported.
    assert flags.fragile(without_each(STEADY), "better", 0.01, 1e15, "supported")


def test_flat_is_an_interval_without_width():
    assert flags.flat(over_seeds([1 / 3] * 5))
    assert not flags.flat(over_seeds([1 / 3] * 4 + [2 / 3]))


def test_censored_is_half_or_more_not_reached_in_an_arm():
    assert flags.censored((1.0, 0.5))
    assert flags.censored((0.0, 1.0))
    assert not flags.censored((0.51, 1.0))
    assert not flags.censored(())


@pytest.mark.parametrize(("low", "high"), [(6, 6), (3, 9), (10, 2)])
def test_two_humps_are_found(low, high):
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0.5, 0.01, low), rng.normal(0.9, 0.01, high)])
    assert flags.two_humps(rng.permutation(values), 0.01)
    assert not flags.two_humps(values, 0.5), "closer than the margin"


@pytest.mark.parametrize("count", [6, 12, 24])
@pytest.mark.parametrize("kind", ["normal", "uniform", "exponential"])
def test_one_hump_is_seldom_taken_for_two(count, kind):
    draws = getattr(np.random.default_rng(1), kind)(size=(1000, count))
    share = np.mean([flags.two_humps(values, 0.0) for values in draws])
    assert share < (0.06 if kind == "exponential" else 0.03)


def test_an_outlier_few_values_and_equal_ones_are_no_humps():
    assert not flags.two_humps(np.array([0.5, 0.51, 0.52, 0.5, 0.51, 0.52, 0.5, 0.9]), 0.01)
    assert not flags.two_humps(np.array([0.5, 0.5, 0.9, 0.9, np.nan, np.nan]), 0.01)
    assert not flags.two_humps(np.full(12, 0.5), 0.0)


def test_the_cut_is_the_best_of_all():
    values = np.sort(np.random.default_rng(2).normal(size=9))
    cuts = {}
    for cut in range(2, 8):
        left, right = values[:cut], values[cut:]
        inside = left.var() * cut + right.var() * (9 - cut)
        cuts[1 - inside / (values.var() * 9)] = right.mean() - left.mean()
    explained, gap = flags.split(values)
    assert explained == pytest.approx(max(cuts))
    assert gap == pytest.approx(cuts[max(cuts)])


def test_the_sign_test_disagrees_with_an_interval_that_one_seed_decides():
    # Seven of twelve above 0 and far, five a little below: the mean is certain, the sign is not.
    torn = np.array([0.09, 0.1, 0.11, 0.1, 0.09, 0.1, 0.11] + [-0.001] * 5)
    p = float(over_seeds(torn).p_value())
    assert p < 0.05
    assert flags.sign_test_disagrees(torn, 0.0, p, images=0)
    assert flags.sign_test_disagrees(torn, 0.0, p, images=600)
    # Twelve of twelve above 0, and one so far that the interval covers 0.
    wide = np.array([0.01] * 11 + [3.0])
    p = float(over_seeds(wide).p_value())
    assert p > 0.05
    assert flags.sign_test_disagrees(wide, 0.0, p, images=0)
    assert not flags.sign_test_disagrees(wide, 0.0, p, images=600), "its certainty concerns seeds alone"
    assert not flags.sign_test_disagrees(STEADY, 0.0, 1e-6, images=0)
    # Against the number that the rule tests, not against 0.
    assert flags.sign_test_disagrees(STEADY, 0.03, 1e-6, images=0)
    assert not flags.sign_test_disagrees(torn[:5], 0.0, 1e-6, images=0), "five seeds can say nothing"


def test_modes_disagree_on_average_over_seeds_that_learned():
    assert flags.modes_disagree([0.05] * 12)
    assert not flags.modes_disagree([0.049] * 12)
    assert flags.modes_disagree([0.0, 0.09], [0.3, 0.9]), "the first learned nothing"
    assert not flags.modes_disagree([0.09, 0.0], [0.3, 0.9])
    assert not flags.modes_disagree([0.09], [0.5])
    assert not flags.modes_disagree([])


def test_what_is_read_before_training_has_no_modes(write):
    base = np.random.default_rng(7).normal(0.9, 0.004, 12)
    more = {"b": {"mode_gap": [0.1] * 12}}
    assert "modes disagree" in part(write, base + STEADY, base, metric="train_loss", more=more).flags
    assert "modes disagree" not in part(write, base + STEADY, base, metric="ratio_at_start", more=more).flags


def part(write, a, b, metric="test_score", tables=None, rule="better", more=None, **changes):
    results = {"a": {metric: list(a)}, "b": {metric: list(b)}}
    for arm, found in (more or {}).items():
        results[arm] |= found
    decision = Decision(
        "a better than b", "demo", rule, metric, "a", "difference", 0.01, "a test", "b", better="higher"
    )
    return decide(decision, "quick", write(results, tables=tables, **changes))


def test_a_part_without_fault_has_no_flag(write):
    base = np.random.default_rng(3).normal(0.9, 0.004, 12)
    assert part(write, base + STEADY, base, metric="score").flags == ()


@pytest.mark.parametrize("name", NAMES)
def test_each_flag_reaches_the_part(write, name):
    rng = np.random.default_rng(4)
    base = rng.normal(0.9, 0.004, 12)
    a, kwargs = base + STEADY, {"metric": "score"}
    if name == "fragile":
        a = base + FRAIL
    if name == "flat":
        a, base = np.full(12, 1.0), np.full(12, 0.5)
    if name == "censored":
        kwargs["more"] = {"b": {"score_reached": [0, 1] * 6}}
    if name == "two humps":
        base = base - np.array([0.3] * 4 + [0.0] * 8)
        a = base + STEADY
    if name == "sign test disagrees":
        a = base + np.array([0.09, 0.1, 0.11, 0.1, 0.09, 0.1, 0.11] + [-0.001] * 5)
    if name == "edge":
        kwargs["tuned"] = {"a": {"learning_rate": 0.1, "edge": False}, "b": {"edge": True}}
    if name == "modes disagree":
        kwargs["metric"] = "train_loss"
        kwargs["more"] = {"b": {"mode_gap": [0.02, 0.1] * 6, "train_accuracy": [0.9] * 12}}
    if name == "seeds only":
        kwargs["metric"] = "test_accuracy"
    found = part(write, a, base, **kwargs)
    assert name in found.flags
    assert found.flags == tuple(each for each in NAMES if each in found.flags)


def test_outcomes_of_images_take_the_flag_away(write):
    rng = np.random.default_rng(5)
    ease = rng.random(200)
    a = (rng.normal(0.05, 0.05, (12, 1)) + 0.9 > ease).astype(int)
    b = (rng.normal(0.00, 0.05, (12, 1)) + 0.9 > ease).astype(int)
    tables = {"a": {"test_accuracy": a}, "b": {"test_accuracy": b}}
    found = part(write, a.mean(1), b.mean(1), metric="test_accuracy", tables=tables)
    assert "seeds only" not in found.flags
    assert found.images == 200
    # Of one arm alone they are no pair.
    found = part(write, a.mean(1), b.mean(1), metric="test_accuracy", tables={"a": tables["a"]})
    assert "seeds only" in found.flags
    assert found.images == 0


@pytest.mark.parametrize(
    ("metric", "unit", "score"),
    [
        ("test_accuracy", "difference", True),
        ("test_auc", "difference", True),
        ("shift_kept", "difference", True),
        ("probe_accuracy", "difference", True),
        ("test_loss", "difference", False),
        ("train_loss", "ratio", False),
        ("seconds_to_accuracy", "ratio", False),
        ("redundant", "difference", False),
        ("rank_read", "difference", False),
    ],
)
def test_what_counts_as_a_score_on_test_images(write, metric, unit, score):
    base = np.random.default_rng(6).normal(0.9, 0.004, 12)
    results = {"a": {metric: list(base + STEADY)}, "b": {metric: list(base)}}
    decision = Decision("x", "demo", "better", metric, "a", unit, 0.01, "a test", "b")
    assert ("seeds only" in decide(decision, "quick", write(results)).flags) == score


def test_every_flag_says_what_it_means():
    assert all(len(text) > 20 for text in flags.FLAGS.values())
