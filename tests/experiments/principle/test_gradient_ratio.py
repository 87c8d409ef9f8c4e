"""The three ratios at initialisation, against formulas written out, and the pairs that they are measured on."""

import math

import pytest
import torch
from torch import nn

from resnetbook.experiments.principle import gradient_ratio
from resnetbook.lab import fitting
from resnetbook.lab.running import Context

SETTINGS = gradient_ratio.Settings(depths=(8, 14), widths=(2, 4, 8), images=8)


def test_the_ratios_are_quotients_of_norms():
    model = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.Flatten(), nn.Linear(4, 2, bias=False)).double()
    images, labels = torch.rand(3, 1, 2, 2).double(), torch.tensor([0, 1, 1])
    found = gradient_ratio.gradient_ratios(model, images, labels)
    scale, matrix = model[0].weight.detach().flatten(), model[2].weight.detach()
    flat = images.flatten(1)
    residue = (scale * flat @ matrix.T).softmax(1)
    residue[range(3), labels] -= 1
    residue /= 3
    first = ((residue @ matrix) * flat).sum()
    last = residue.T @ (scale * flat)
    assert found["ratio"] == pytest.approx(float(first.abs() / last.norm()))
    assert found["signal"] == pytest.approx(float((residue @ matrix).norm() / residue.norm()))
    assert found["input"] == pytest.approx(float(flat.norm() / (scale * flat).norm()))


@pytest.mark.parametrize("norm", ["nobn", "bn", "nobn-nobias"])
def test_measuring_with_hooks_changes_no_gradient(norm):
    data = fitting.images_of(SETTINGS, 0)
    images, labels = data.train.images[:8].double(), data.train.labels[:8]
    grads = []
    for measured in (True, False):
        torch.manual_seed(0)
        model = gradient_ratio.network(SETTINGS, f"plain-{norm}", 8, data).double()
        if measured:
            gradient_ratio.gradient_ratios(model, images, labels)
        else:
            nn.functional.cross_entropy(model(images), labels).backward()
        grads.append([p.grad for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))


def test_slope_and_change_are_those_of_a_line():
    line = {depth: 10 ** (1 - 0.02 * depth) for depth in (8, 20, 110)}
    found = gradient_ratio.over_depth(line)
    assert found["slope"] == pytest.approx(-0.02)
    assert found["change"] == pytest.approx(-0.02 * 102)
    gone = gradient_ratio.over_depth({8: 1.0, 20: 0.0})
    assert math.isnan(gone["slope"])
    assert gone["change"] == -math.inf


@pytest.mark.parametrize("norm", ["nobn", "bn", "nobn-nobias"])
def test_a_pair_starts_from_the_same_weights(norm):
    data, states = fitting.images_of(SETTINGS, 0), []
    for kind in ("plain", "residual"):
        torch.manual_seed(0)
        states.append(gradient_ratio.network(SETTINGS, f"{kind}-{norm}", 8, data).state_dict())
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_seed_repeats_itself_and_another_has_other_weights_and_images(tmp_path):
    context = Context("cpu", tmp_path / "x.pt")
    first, again, other = (gradient_ratio.run(SETTINGS, "plain-bn", seed, context) for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert first["change"] == pytest.approx(math.log10(first["ratio_14"] / first["ratio_8"]))
    assert first["change_signal"] == pytest.approx(math.log10(first["signal_14"] / first["signal_8"]))
