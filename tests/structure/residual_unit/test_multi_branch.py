"""Multi-branch unit: branches are one wide branch, multipliers have mean one."""

import itertools

import pytest
import torch
from torch.nn import functional

from resnetbook.structure.residual_unit import MultiBranchUnit, PreActivationUnit


def unit(branches=3, **settings):
    torch.manual_seed(0)
    return MultiBranchUnit(6, branches, **settings).double()


X = torch.randn(2, 6, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_branches_are_one_branch_of_their_summed_width():
    multi, wide = unit(inner=2).eval(), PreActivationUnit(6, 6).double().eval()
    with torch.no_grad():
        wide.layers[2].weight.copy_(torch.cat([b[2].weight for b in multi.branches]))
        wide.layers[5].weight.copy_(torch.cat([b[5].weight for b in multi.branches], 1))
    torch.testing.assert_close(multi(X), wide(X))


def test_multipliers_scale_the_last_kernels():
    multi = unit().eval()
    wanted = X.clone()
    for m, branch in zip((0.5, 1.5, 0.5), multi.branches, strict=True):
        wanted += functional.conv2d(branch[:5](X), m * branch[5].weight, padding=1)
    multi.multipliers = lambda x: x.new_tensor([0.5, 1.5, 0.5])
    torch.testing.assert_close(multi(X), wanted)


def test_the_mean_over_all_draws_is_evaluation():
    """Exact for one unit, whose output is linear in its multipliers; not for a stack of them."""
    multi = unit(spread=0.7).eval()
    evaluation = multi(X)
    draws = []
    for signs in itertools.product((-1, 1), repeat=3):
        multi.multipliers = lambda x, signs=signs: 1 + 0.7 * x.new_tensor(signs)
        draws.append(multi(X))
    torch.testing.assert_close(torch.stack(draws).mean(0), evaluation)


def test_draws_are_two_values_with_equal_chance_in_training_alone():
    torch.manual_seed(2)
    multi = unit(spread=0.5)
    drawn = torch.cat([multi.multipliers(X) for _ in range(1000)])
    assert set(drawn.tolist()) == {0.5, 1.5}
    assert abs(drawn.mean().item() - 1) < 4 * 0.5 / 3000**0.5
    assert multi.eval().multipliers(X).tolist() == [1, 1, 1]
    assert unit(spread=0).multipliers(X).tolist() == [1, 1, 1]


@pytest.mark.parametrize(("branches", "inner"), [(1, 6), (2, 3), (3, 2)])
def test_equal_kernels_weights_for_any_number_of_branches(branches, inner):
    multi = unit(branches)
    assert multi.branches[0][2].out_channels == inner
    assert sum(p.numel() for p in multi.parameters() if p.dim() == 4) == 2 * 9 * 36
