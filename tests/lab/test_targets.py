"""Targets: the loss of a guess, and when a curve falls to a share of it."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from resnetbook.lab import measuring, targets

EVEN = torch.tensor([0, 1])  # a guess costs log 2


def test_a_guess_costs_the_entropy_of_the_labels():
    assert targets.guess(torch.arange(10).repeat(7)) == pytest.approx(math.log(10))
    expected = -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    assert targets.guess(torch.tensor([0, 0, 0, 2])) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([0.25], (2 / 3, 1.0)),
        ([1.5, 0.75, 0.25, 2.0], (2.5, 1.0)),
        ([0.5], (1.0, 1.0)),
        ([0.75, 0.75], (2.0, 0.0)),
        ([0.75, math.nan, math.nan], (3.0, 0.0)),
    ],
)
def test_the_target_is_reached_on_the_line_between_two_epochs(losses, expected):
    """Losses are given as shares of the guess; the target is half of it."""
    found = targets.epochs_to_loss([math.log(2) * loss for loss in losses], EVEN, 0.5)
    assert tuple(found.values()) == (pytest.approx(expected[0]), expected[1])


def test_the_seconds_are_those_of_the_model_asked_for(monkeypatch):
    monkeypatch.setattr(measuring, "seconds_per_step", lambda models, *_, **__: [1.0, 3.0][: len(models)])
    settings, data = SimpleNamespace(batch_size=4), SimpleNamespace(train=range(9))
    nets = [nn.Identity(), nn.Identity()]
    assert targets.seconds_of(nets, settings, data, "cpu", 1) == (3.0, 9.0)
