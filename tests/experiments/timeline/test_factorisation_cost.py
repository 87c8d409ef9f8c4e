"""The two kinds of layer of C34, their exact costs, and times taken in turn."""

import pytest
import torch
from torch import nn

from resnetbook.experiments.timeline import factorisation_cost
from resnetbook.lab.running import Context
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


def test_a_factored_arm_is_set_against_the_square_one_of_its_job(tmp_path, monkeypatch):
    monkeypatch.setattr(factorisation_cost, "seconds", lambda models, step, repeats, on_gpu: [2.0, 3.0])
    settings = factorisation_cost.Settings(channels=(4,), size=9, batch_size=1)
    context = Context("cpu", tmp_path / "x.pt")
    factored, square = (
        factorisation_cost.run(settings, f"{k}-5-4", 0, context) for k in ("factored", "square")
    )
    assert factored["seconds_ratio"] == factored["seconds_inference_ratio"] == 1.5
    assert (factored["seconds"], square["seconds"]) == (3.0, 2.0)
    assert factored["multiplications_saved"] == pytest.approx(1 - 2 / 5)
    assert "seconds_ratio" not in square
