"""Bayesian fusion: exact for independent experts, over-sure for dependent ones."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from resnetbook.structure.fully_connected import bayes_fuse

CHANCE = st.floats(0.05, 0.95)


@settings(max_examples=60, deadline=None)
@given(CHANCE, st.tuples(CHANCE, CHANCE), st.tuples(CHANCE, CHANCE))
def test_two_independent_experts_give_the_joint_posterior(prior, first, second):
    """Each expert sees one of two signs, whose chance depends on the truth; all four cases by the full table."""
    for a, b in itertools.product((0, 1), repeat=2):

        def likelihood(table, sign, truth):
            return table[truth] if sign else 1 - table[truth]

        def posterior(*likelihoods):
            odds = [prior if truth else 1 - prior for truth in (0, 1)]
            for each in likelihoods:
                odds = [odds[truth] * each[truth] for truth in (0, 1)]
            return odds[1] / sum(odds)

        one = [likelihood(first, a, truth) for truth in (0, 1)]
        two = [likelihood(second, b, truth) for truth in (0, 1)]
        fused = bayes_fuse(
            torch.tensor(posterior(one), dtype=torch.float64),
            torch.tensor(posterior(two), dtype=torch.float64),
            prior,
        )
        assert fused.item() == pytest.approx(posterior(one, two), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(CHANCE, CHANCE, CHANCE)
def test_who_says_the_prior_says_nothing_and_order_does_not_matter(p, q, prior):
    a, b = torch.tensor([p], dtype=torch.float64), torch.tensor([q], dtype=torch.float64)
    torch.testing.assert_close(bayes_fuse(a, torch.full_like(a, prior), prior), a)
    torch.testing.assert_close(bayes_fuse(a, b, prior), bayes_fuse(b, a, prior))


def test_one_expert_counted_twice_is_too_sure():
    p = torch.tensor([0.8], dtype=torch.float64)
    assert bayes_fuse(p, p).item() == pytest.approx(16 / 17)


def test_certainty_outweighs_and_contradiction_has_no_answer():
    one, half = torch.tensor([1.0]), torch.tensor([0.3])
    assert bayes_fuse(one, half).item() == 1
    assert bayes_fuse(one, torch.tensor([0.0])).isnan().all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bayes_fuse(torch.zeros(2), torch.zeros(3)), r"second of shape \(3,\)"),
        (lambda: bayes_fuse(torch.tensor([1.5]), torch.tensor([0.5])), "first: values from 1.5 to 1.5"),
        (lambda: bayes_fuse(torch.tensor([0.5]), torch.tensor([0.5]), 1.0), "prior: 0 or 1 found"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
