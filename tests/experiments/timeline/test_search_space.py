"""The count of C87 against every table written out, and against the networks that a draw can give."""

import itertools
import math

import pytest

from resnetbook.experiments.timeline import search_space
from resnetbook.experiments.timeline.search_space import Settings, size, tables
from resnetbook.timeline.nasnet import OPERATIONS, Cell, random_cell


def written_out(blocks: int, operations: tuple[str, ...]) -> set:
    """Every cell of the timeline's own form, up to the order of the two halves of a block."""
    options = []
    for number in range(blocks):
        halves = list(itertools.product(operations, ("previous", "current", *range(number))))
        options.append(list(itertools.product(halves, halves)))
    cells = (Cell(chosen) for chosen in itertools.product(*options))
    return {tuple(tuple(sorted(block, key=repr)) for block in cell.blocks) for cell in cells}


@pytest.mark.parametrize(("blocks", "names"), [(1, 6), (2, 1), (2, 2), (3, 1)])
def test_the_number_of_tables_is_that_of_all_cells_written_out(blocks, names):
    assert tables(blocks, names, 1) == len(written_out(blocks, tuple(OPERATIONS)[:names]))


def test_random_cells_reach_every_table_and_no_other():
    drawn = {
        tuple(tuple(sorted(block, key=repr)) for block in random_cell(seed, 1).blocks) for seed in range(3000)
    }
    assert len(drawn) == tables(1, len(OPERATIONS), 1)


def test_ways_to_join_multiply_with_each_block():
    assert tables(4, 5, 2) == 2**4 * tables(4, 5, 1)


def test_small_spaces_are_counted_by_hand():
    """N = 1 has five cells. One block, one operation: inputs (1,1), (1,2), (2,2), so three tables."""
    settings = Settings(blocks=(1,), repeats=1, operations=1, joins=1)
    assert size(settings, "cell-1") == 3**2
    assert size(settings, "layers-1") == 3**5
    assert size(settings, "graph-1") == 3 * 6 * 10 * 15 * 21


@pytest.mark.parametrize("blocks", [1, 2, 5])
def test_each_space_holds_the_one_before(blocks):
    settings = Settings()
    sizes = [size(settings, f"{space}-{blocks}") for space in search_space.SPACES]
    assert sizes == sorted(sizes)
    found = [search_space.run(settings, f"{space}-{blocks}", 0, None) for space in search_space.SPACES]
    assert [row["larger_than_cell"] for row in found] == [0, 1, 1]
    assert found[1]["log10_over_cell"] == pytest.approx(18 * math.log10(tables(blocks, 13, 2)))


def test_a_number_below_one_is_named():
    with pytest.raises(ValueError, match="operations=0"):
        tables(2, 0, 1)
