"""The rank correlations of the cell search against SciPy's and against their definition."""

import numpy as np
import pytest
from scipy import stats

from resnetbook.experiments.timeline import cell_search
from resnetbook.experiments.timeline.cell_search import Settings, partial_rank_correlation, rank_correlation


def test_rank_correlation_equals_scipys():
    generator = np.random.default_rng(0)
    for _ in range(20):
        x, y = generator.integers(0, 6, (2, 10))  # with ties
        assert rank_correlation(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)
    assert rank_correlation([1, 2, 3], [4, 4, 4]) == 0


def test_the_partial_correlation_is_that_of_the_residuals():
    generator = np.random.default_rng(1)
    x, y, z = generator.normal(size=(3, 12))
    ranks = [stats.rankdata(values) for values in (x + z, y + z, z)]
    left = [r - np.polyval(np.polyfit(ranks[2], r, 1), ranks[2]) for r in ranks[:2]]
    assert partial_rank_correlation(x + z, y + z, z) == pytest.approx(np.corrcoef(*left)[0, 1])
    assert partial_rank_correlation([1, 2, 3, 4], [2, 1, 4, 3], [1, 2, 3, 4]) == 0  # nothing is left


def test_every_search_draws_other_cells():
    settings = Settings(cells=5)
    drawn = [seed * settings.cells + i for seed in (0, 1, 2, 1000) for i in range(settings.cells)]
    assert len(set(drawn)) == 20
    small = cell_search.images_of(settings, "small")
    tables = {cell for n in drawn[:10] for cell in _tables(cell_search.network(settings, n, small))}
    assert len(tables) == 20  # a normal and a reduction cell for each number


def _tables(network):
    normal = {cell.table for cell in network.cells if cell.table is network.cells[0].table}
    return normal | {cell.table for cell in network.cells if cell.table is network.cells[1].table}
