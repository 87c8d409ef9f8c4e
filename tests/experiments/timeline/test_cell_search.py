"""The rank correlations of the cell search against SciPy's and against their definition."""

import numpy as np
import pytest
import torch
from scipy import stats

from resnetbook.experiments.timeline import cell_search
from resnetbook.experiments.timeline._ranks import partial_rank_correlation, rank_correlation, ranks
from resnetbook.experiments.timeline.cell_search import Settings, compare, groups


def test_rank_correlation_equals_scipys():
    generator = np.random.default_rng(0)
    for _ in range(20):
        x, y = generator.integers(0, 6, (2, 10))  # with ties
        assert rank_correlation(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)
    assert rank_correlation([1, 2, 3], [4, 4, 4]) == 0


def test_the_partial_correlation_is_that_of_the_residuals():
    generator = np.random.default_rng(1)
    x, y, z = generator.normal(size=(3, 12))
    whole = [stats.rankdata(values) for values in (x + z, y + z, z)]
    left = [r - np.polyval(np.polyfit(whole[2], r, 1), whole[2]) for r in whole[:2]]
    assert partial_rank_correlation(x + z, y + z, z) == pytest.approx(np.corrcoef(*left)[0, 1])
    assert partial_rank_correlation([1, 2, 3, 4], [2, 1, 4, 3], [1, 2, 3, 4]) == 0  # nothing is left


def test_within_groups_membership_says_nothing():
    """Two groups far apart, in order inside one and in the reverse order inside the other: .8 over all, nothing within."""
    x, y = [9, 8, 7, 3, 2, 1], [9, 8, 7, 1, 2, 3]
    assert rank_correlation(x, y) > 0.7
    assert rank_correlation(x, y, 3) == pytest.approx(0)
    assert rank_correlation(x, [1, 2, 3, 7, 8, 9], 3) == pytest.approx(-1)
    assert rank_correlation(x, x, 3) == pytest.approx(1)


def test_the_partial_correlation_within_groups_is_that_of_the_residuals():
    generator = np.random.default_rng(2)
    x, y, z = generator.normal(size=(3, 15))
    first, second, fixed = (ranks(values, 5) for values in (x + z, y + z, z))
    left = [r - fixed * (r @ fixed) / (fixed @ fixed) for r in (first, second)]
    assert partial_rank_correlation(x + z, y + z, z, 5) == pytest.approx(np.corrcoef(*left)[0, 1])


def test_groups_are_best_drawn_and_worst_without_overlap():
    settings = Settings(cells=10, extremes=2)
    order = [13, 19, 11, 18, 10, 12, 14, 15, 17, 16]
    assert groups(settings, order) == [13, 19, 10, 11, 17, 16]
    with pytest.raises(ValueError, match="cells=5"):
        groups(settings, order[:5])


def test_the_metrics_of_a_search_whose_answer_is_known():
    """Accuracies .9, .8 of the best, .5, .6 of the drawn, .2, .1 of the worst: the drawn ones are out of order."""
    settings, order = Settings(cells=6, extremes=2), [5, 4, 0, 1, 2, 3]
    large = torch.stack([torch.arange(10) < k for k in (9, 8, 5, 6, 2, 1)])
    found = compare(settings, order, large, large, [1.0, 2.0, 1.0, 2.0, 1.0, 2.0])
    assert groups(settings, order) == [5, 4, 0, 1, 2, 3]
    assert found["advantage"] == pytest.approx(0.3)
    assert found["advantage_over_worst"] == pytest.approx(0.7)
    assert found["repeat_advantage"] == pytest.approx(0.3)
    assert found["within_correlation"] == pytest.approx(1 / 3)
    assert found["transfer_correlation"] == pytest.approx(
        stats.spearmanr(range(6), [-9, -8, -5, -6, -2, -1])[0]
    )
    for name, outcome in found["outcomes"].items():
        assert outcome.shape == (10,)
        assert float(outcome.mean()) == pytest.approx(found[name])


def test_the_larger_set_has_its_own_settings_and_few_test_images():
    settings = Settings(target_data="digits", target_size=0, target_train_size=80, target_test_size=30)
    large = cell_search.images_of(settings, "large", 0)
    assert [len(part) for part in large.parts.values()] == [80, 200, 30]
    own = cell_search.settings_of(settings, "large")
    assert (own.epochs, own.batch_size) == (settings.target_epochs, settings.target_batch_size)
    assert cell_search.settings_of(settings, "small") is settings


def test_every_search_draws_other_cells():
    settings = Settings(cells=5)
    drawn = [number for seed in (0, 1, 90, 100) for number in cell_search.numbers(settings, seed)]
    assert len(set(drawn)) == 20
    small = cell_search.images_of(settings, "small", 0)
    tables = {cell for n in drawn[:10] for cell in _tables(cell_search.network(settings, n, small))}
    assert len(tables) == 20  # a normal and a reduction cell for each number


def _tables(network):
    normal = {cell.table for cell in network.cells if cell.table is network.cells[0].table}
    return normal | {cell.table for cell in network.cells if cell.table is network.cells[1].table}
