"""Stochastic pooling: the law of its draws, and a closed form of its expectation from torch's own layers."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch.nn import functional

from resnetbook.structure.pooling import AveragePool2d, MaxPool2d, StochasticPool2d
from resnetbook.structure.pooling.stochastic import draw


def positive(*shape, seed=0):
    return torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + 0.01


def test_evaluation_is_the_ratio_of_two_norms():
    x = positive(2, 3, 8, 8)
    closed = functional.lp_pool2d(x, 2, 2).square() / functional.lp_pool2d(x, 1, 2)
    torch.testing.assert_close(StochasticPool2d(2).eval()(x), closed, rtol=1e-12, atol=0)


def test_a_value_is_drawn_as_often_as_it_is_large():
    torch.manual_seed(0)
    weights = torch.tensor([1.0, 0.0, 2.0, 5.0])
    drawn = draw(weights.expand(20_000, 4)).flatten().bincount(minlength=4)
    assert drawn[1] == 0
    kept = [0, 2, 3]
    assert chisquare(drawn[kept], (weights[kept] / weights.sum() * 20_000)).pvalue > 1e-3
    # Equally likely ones, as the survey's words have it, would be told apart at once.
    assert chisquare(drawn[kept]).pvalue < 1e-12


def test_training_averages_to_evaluation():
    torch.manual_seed(1)
    x = positive(1, 1, 4, 4).expand(20_000, 1, 4, 4)
    layer = StochasticPool2d(2)
    mean = layer(x).mean(0)
    torch.testing.assert_close(mean, layer.eval()(x[:1])[0], rtol=0, atol=0.012)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(0.01, 100))
def test_evaluation_lies_between_mean_and_maximum_and_scales(seed, scale):
    x = positive(2, 2, 6, 6, seed=seed)
    y = StochasticPool2d(2).eval()(x)
    assert (AveragePool2d(2)(x) <= y + 1e-12).all()
    assert (y <= MaxPool2d(2)(x) + 1e-12).all()
    torch.testing.assert_close(StochasticPool2d(2).eval()(scale * x), scale * y)


@pytest.mark.parametrize("training", [True, False])
def test_one_positive_value_leaves_no_choice_and_none_gives_zero(training):
    x = torch.tensor([[3.0, 0, -1, -2], [0, -5, -3, 0]]).reshape(1, 1, 2, 4)
    layer = StochasticPool2d(2).train(training)
    assert layer(x).flatten().tolist() == [3, 0]


def test_the_gradient_reaches_the_drawn_place_alone():
    torch.manual_seed(2)
    x = positive(1, 1, 8, 8).requires_grad_()
    y = StochasticPool2d(2)(x)
    y.sum().backward()
    places = x.grad.unfold(2, 2, 2).unfold(3, 2, 2).flatten(-2)
    assert (places.sum(-1) == 1).all()
    assert ((places > 0).sum(-1) == 1).all()
    assert torch.equal((places * x.detach().unfold(2, 2, 2).unfold(3, 2, 2).flatten(-2)).sum(-1), y)


def test_a_window_of_zeros_has_a_finite_gradient():
    x = torch.zeros(1, 1, 4, 4, requires_grad=True)
    StochasticPool2d(2).eval()(x).sum().backward()
    assert torch.equal(x.grad, torch.zeros_like(x))


def test_gradient_of_evaluation():
    x = positive(1, 2, 4, 4).requires_grad_()
    assert torch.autograd.gradcheck(StochasticPool2d(2).eval(), (x,))


def test_a_zero_in_front_is_not_drawn_even_by_the_smallest_number(monkeypatch):
    monkeypatch.setattr(torch, "rand_like", torch.zeros_like)
    assert draw(torch.tensor([0.0, 0.0, 2.0, 5.0])).item() == 2
