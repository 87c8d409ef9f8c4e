"""The choice of a learning rate: the grid goes on beyond its edges, three steps each way at most."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnetbook.lab.running import tuning


def search(grid, best: float, failing=(), name: str = "loss"):
    """Tune one arm whose score is the distance to `best` in decades; return what was chosen and what was tried."""
    tried: list[float] = []

    def score(trials):
        tried.extend(rate for _, rate, seed in trials if seed == tuning.SEEDS[0])
        return {
            trial: {name: None if trial[1] in failing else abs(math.log10(trial[1] / best))}
            for trial in trials
        }

    return tuning.tune({"net": grid}, score)["net"], tried


@given(exponent=st.floats(-6, 3))
def test_the_best_of_what_was_tried_is_taken_and_lies_inside_unless_edge_is_said(exponent):
    best = 10**exponent
    found, tried = search((0.015, 0.05, 0.15), best)
    nearest = min(tried, key=lambda rate: abs(math.log10(rate / best)))
    assert found["learning_rate"] == nearest
    assert found["rates"] == sorted(tried)
    inside = min(tried) < nearest < max(tried)
    assert found["edge"] is not inside
    # Three steps each way and no more: .015 / 27 and .15 * 27.
    assert min(tried) > 0.015 / 30
    assert max(tried) < 0.15 * 30
    assert inside == (0.001 < best < 2.3 or inside)


def test_an_inner_best_asks_for_nothing_more():
    found, tried = search((0.015, 0.05, 0.15), 0.05)
    assert tried == [0.015, 0.05, 0.15]
    assert (found["learning_rate"], found["edge"]) == (0.05, False)


def test_a_rate_that_gives_no_number_is_never_chosen():
    found, _ = search((0.015, 0.05, 0.15), 0.05, failing=(0.05,))
    assert found["learning_rate"] in (0.015, 0.15)
    assert found["scores"]["loss"][found["rates"].index(0.05)] is None


def test_one_rate_is_fixed_on_purpose():
    found, tried = search((0.05,), 1.0)
    assert tried == [0.05]
    assert found["edge"] is False


def test_each_score_chooses_for_itself_and_either_extends_the_grid():
    def score(trials):
        return {t: {"a": abs(math.log10(t[1] / 0.05)), "b": abs(math.log10(t[1] / 0.5))} for t in trials}

    found = tuning.tune({"net": (0.015, 0.05, 0.15)}, score)["net"]
    assert found["chosen"] == {"a": 0.05, "b": 0.45}
    assert found["learning_rate"] == 0.05
    assert found["rates"] == [0.015, 0.05, 0.15, 0.45, 1.4]


def test_the_mean_over_three_seeds_decides_and_not_one_of_them():
    def score(trials):
        table = {0.01: (0.0, 3.0, 3.0), 0.03: (1.0, 1.0, 1.0), 0.09: (2.0, 2.0, 2.0)}
        return {t: {"loss": table[t[1]][tuning.SEEDS.index(t[2])]} for t in trials}

    assert tuning.tune({"net": (0.01, 0.03, 0.09)}, score)["net"]["learning_rate"] == 0.03


def test_a_trial_that_failed_ends_the_search_of_its_arm_alone():
    def score(trials):
        return {t: {"loss": abs(math.log10(t[1] / 0.03))} for t in trials if t[0] != "bad" or t[2] != 91}

    assert set(tuning.tune({"bad": (0.01, 0.03, 0.09), "good": (0.01, 0.03, 0.09)}, score)) == {"good"}


@pytest.mark.parametrize("grid", [(), (0.0, 0.1), (-0.1,)])
def test_a_grid_of_no_use_is_named(grid):
    with pytest.raises(ValueError, match="expected positive learning rates"):
        search(grid, 0.1)


def test_rates_are_chosen_on_seeds_that_no_comparison_sees():
    from resnetbook.lab.running.runner import FIRST_SEED

    assert tuning.SEEDS == (90, 91, 92)  # a promise to every record
    assert max(tuning.SEEDS) < FIRST_SEED


def test_a_grid_goes_on_three_steps_of_three_and_rates_have_two_digits():
    _, tried = search((0.015, 0.05, 0.15), 1e-9)
    assert tried == [0.015, 0.05, 0.15, 0.005, 0.0017, 0.00057]
    _, tried = search((0.015, 0.05, 0.15), 1e9)
    assert tried == [0.015, 0.05, 0.15, 0.45, 1.4, 4.2]


def test_of_equal_rates_the_lowest_is_taken_and_without_a_number_too():
    scores = {(rate, seed): {"loss": 1.0} for rate in (0.3, 0.1) for seed in tuning.SEEDS}
    assert tuning.best_of("loss", [0.3, 0.1], scores) == 0.1
    assert tuning.mean("loss", 0.2, scores) == math.inf
    assert tuning.chosen([0.3, 0.1], {key: {"loss": None} for key in scores})["scores"] == {
        "loss": [None, None]
    }
