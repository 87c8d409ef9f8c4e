"""Statistics of batch normalisation estimated again: what they are, and that nothing is left behind."""

import copy

import pytest
import torch
from torch import nn

from resnetbook.lab.measuring import reestimated


@pytest.fixture
def model():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Dropout(0.9), nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2)
    )
    net[1].running_mean.fill_(4.0)
    net[4].running_var.fill_(9.0)
    net.train()
    net[4].eval()
    return net


def test_statistics_are_those_of_the_images(model):
    images = 3 * torch.randn(200, 1, 8, 8)
    with reestimated(model, images), torch.no_grad():
        assert not any(module.training for module in model.modules())
        first = model[0](images)
        assert torch.allclose(model[1].running_mean, first.mean((0, 2, 3)), atol=1e-5)
        assert torch.allclose(model[1].running_var, first.var((0, 2, 3)), rtol=1e-4)
        # The second reads what the first one gives with these statistics; dropout stays silent.
        second = model[3](model[1](first))
        assert torch.allclose(model[4].running_mean, second.mean((0, 2, 3)), atol=1e-4)
        out = model(images)
        assert out.mean((0, 2, 3)).abs().max() < 1e-4


def test_batches_count_alike_and_hold_equally_many(model):
    images = torch.randn(9, 1, 8, 8)
    with reestimated(model, images, batch_size=4), torch.no_grad():  # three of three, not four, four and one
        parts = [model[0](batch).var((0, 2, 3)) for batch in images.split(3)]
        assert torch.allclose(model[1].running_var, torch.stack(parts).mean(0), rtol=1e-4)


def test_all_is_as_it_was_even_after_an_error(model):
    before = copy.deepcopy(model.state_dict())
    modes = [module.training for module in model.modules()]
    with pytest.raises(RuntimeError, match="stop"), reestimated(model, torch.randn(8, 1, 8, 8)):
        raise RuntimeError("stop")
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert [module.training for module in model.modules()] == modes
    assert model[1].momentum == 0.1
