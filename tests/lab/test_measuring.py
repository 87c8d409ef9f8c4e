"""What experiments measure of a network: on pictures whose answer is known, and on a network broken on purpose."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from resnetbook.lab import measuring
from resnetbook.lab.data import Part, load, on_canvas


class Centre(nn.Module):
    """Says 1 where the pixel in the middle is lit."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        lit = x[:, 0, 4, 4]
        return torch.stack([0.5 - lit, lit - 0.5], 1)


@pytest.fixture
def squares():
    images = torch.zeros(2, 1, 9, 9)
    images[:, :, 3:6, 3:6] = 1
    return Part(images, torch.tensor([1, 0]))  # the second label is wrong


def test_a_square_is_seen_until_it_has_left(squares):
    for by, seen in ((1, [1.0, 0.0]), (2, [0.0, 1.0])):
        assert measuring.right_under(Centre(), squares, measuring.shifts(by)).tolist() == seen
    assert measuring.right(Centre(), squares.images, squares.labels).tolist() == [True, False]
    assert measuring.accuracy(Centre(), squares.images, squares.labels) == 0.5


def test_accuracy_kept_is_a_ratio_whose_contributions_have_it_as_their_mean():
    generator = torch.Generator().manual_seed(0)
    clean = (torch.rand(400, generator=generator) < 0.8).float()
    under = clean * torch.rand(400, generator=generator)
    ratio, shares = measuring.kept(under, clean)
    assert ratio == pytest.approx(float(under.mean() / clean.mean()))
    assert float(shares.mean()) == pytest.approx(ratio)
    # The linear part gives the delta method's variance of a ratio of means.
    residual = (under - ratio * clean) / clean.mean()
    assert float(shares.var()) == pytest.approx(float(residual.var()), rel=1e-5)
    nothing, none = measuring.kept(under, torch.zeros(400))
    assert math.isnan(nothing)
    assert none.isnan().all()


def test_a_canvas_holds_the_picture_in_its_middle():
    raw = on_canvas(load("digits", normalise=False).test.images, 12, 20)
    assert raw.shape[1:] == (1, 20, 20)
    assert raw[:, :, :4].abs().max() == 0
    assert raw[:, :, :, 16:].abs().max() == 0
    assert raw[:, :, 4:16, 4:16].max() > 0.9
    with pytest.raises(ValueError, match="canvas"):
        on_canvas(raw, 12, 10)


def test_mode_gap_finds_wrong_running_statistics_and_leaves_the_model_alone():
    data = load("digits")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
    optimiser = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    for start in range(0, 1000, 50):
        batch = slice(start, start + 50)
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(data.train.images[batch]), data.train.labels[batch]).backward()
        optimiser.step()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert measuring.mode_gap(model, data.train) < 0.05
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model[1].momentum == 0.1
    model[1].running_var.fill_(1e-4)
    model[1].running_mean.fill_(3.0)
    assert measuring.mode_gap(model, data.train) > 0.3
