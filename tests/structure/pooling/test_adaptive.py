"""Spatial pyramids: equal to torch's adaptive pooling level by level, of one length for maps of any size."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from resnetbook.structure.pooling import SpatialPyramidPool2d
from resnetbook.structure.pooling.adaptive import bins, grid_max


def maps(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 8), st.integers(1, 8), st.integers(0, 1000))
def test_a_grid_is_adaptive_pooling(height, width, rows, columns, seed):
    x = maps(2, 3, height, width, seed=seed)
    assert torch.equal(grid_max(x, rows, columns), functional.adaptive_max_pool2d(x, (rows, columns)))


@pytest.mark.parametrize("size", [(13, 13), (7, 10), (5, 6)])
def test_one_length_for_any_size(size):
    layer = SpatialPyramidPool2d((1, 2, 4))
    y = layer(maps(2, 4, *size))
    assert y.shape == (2, 84) == (2, layer.length(4))
    wanted = [functional.adaptive_max_pool2d(maps(2, 4, *size), n).flatten(1) for n in (1, 2, 4)]
    assert torch.equal(y, torch.cat(wanted, 1))


def test_the_papers_pyramid_of_fifty_bins():
    assert SpatialPyramidPool2d((1, 2, 3, 6)).length(256) == 12_800


def test_level_one_is_the_global_maximum_and_coarse_bins_hold_fine_ones():
    x = maps(2, 3, 8, 12)
    assert torch.equal(SpatialPyramidPool2d((1,))(x), x.amax((2, 3)))
    fine = grid_max(x, 4, 4)
    assert torch.equal(functional.max_pool2d(fine, 2), grid_max(x, 2, 2))


def test_the_papers_rule_does_not_give_as_many_bins_as_it_says():
    """Erratum E20: windows of ceil(H / n) with a stride of floor(H / n)."""
    for size, wanted, given_ in ((5, 3, 4), (6, 4, 5), (7, 4, 6)):
        rule = functional.max_pool1d(torch.zeros(1, 1, size), -(-size // wanted), size // wanted)
        assert rule.shape[-1] == given_
        assert len(bins(size, wanted)) == wanted
    x = maps(1, 1, 13, 13)
    assert torch.equal(functional.max_pool2d(x, 5, 4), grid_max(x, 3, 3)), "where the rule holds both agree"


def test_gradients():
    assert torch.autograd.gradcheck(SpatialPyramidPool2d((1, 3)), (maps(1, 2, 5, 4).requires_grad_(),))


@pytest.mark.parametrize(("levels", "message"), [((), "levels="), ((0,), "levels=0"), ((1, -2), "levels=-2")])
def test_bad_levels_are_refused(levels, message):
    with pytest.raises(ValueError, match=message):
        SpatialPyramidPool2d(levels)


def test_a_map_without_batch_is_refused():
    with pytest.raises(ValueError, match=r"\(3, 4, 4\)"):
        SpatialPyramidPool2d()(torch.zeros(3, 4, 4))
