"""The two kinds of layer of C34, their exact costs, and times taken in turn."""

import pytest
import torch
from torch import nn

from resnetbook.experiments.timeline import factorisation_cost
from resnetbook.principle.counting import count


@pytest.mark.parametrize("n", [3, 5, 7])
def test_the_cost_falls_to_2_over_n(n):
    square, factored = (factorisation_cost.layer(8, 8, n, factored=each) for each in (False, True))
    counts = [count(module, (8, 17, 17)) for module in (square, factored)]
    assert counts[1].multiplications * n == counts[0].multiplications * 2
    assert [sum(isinstance(m, nn.Conv2d) for m in module.modules()) for module in (square, factored)] == [
        1,
        2,
    ]
    assert square(torch.randn(1, 8, 17, 17)).shape == factored(torch.randn(1, 8, 17, 17)).shape


def test_times_are_taken_in_turn():
    calls = []
    found = factorisation_cost.seconds(["a", "b"], calls.append, repeats=3, on_gpu=False)
    assert calls == ["a", "b"] * 5
    assert len(found) == 2
