"""The deconvnet: where it is the gradient, where it is not, and that it finds what was planted."""

import pytest
import torch
from torch import nn

from resnetbook.structure.convolution.deconvnet import deconvnet, gradient


def layers(seed=0, positive=False):
    torch.manual_seed(seed)
    found = [
        nn.Conv2d(1, 4, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 3, 3, stride=2),
        nn.ReLU(),
    ]
    for layer in found:
        if positive and isinstance(layer, nn.Conv2d):
            nn.init.uniform_(layer.weight, 0.1, 1)
            nn.init.zeros_(layer.bias)
    return found


def image(seed=0):
    return torch.rand(1, 1, 14, 14, generator=torch.Generator().manual_seed(seed))


def test_without_negative_values_it_is_the_gradient_times_the_answer():
    net, x = layers(positive=True), image()
    answer = nn.Sequential(*net)(x)[:, 1].max()
    torch.testing.assert_close(deconvnet(net, x, 1), gradient(net, x, 1) * answer)


def test_it_rectifies_on_the_way_back_where_the_gradient_does_not():
    net, x = (
        [nn.Conv2d(1, 2, 1, bias=False), nn.ReLU(), nn.Conv2d(2, 1, 1, bias=False)],
        torch.ones(1, 1, 1, 1),
    )
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([1.0, 3]).reshape(2, 1, 1, 1))
        net[2].weight.copy_(torch.tensor([2.0, -0.5]).reshape(1, 2, 1, 1))
    assert gradient(net, x, 0).item() == pytest.approx(2 * 1 - 0.5 * 3)
    answer = 2 * 1 - 0.5 * 3
    assert deconvnet(net, x, 0).item() == pytest.approx(2 * answer * 1), "the negative one is cut on its way"


def test_overlapping_windows_add_up_at_their_shared_maximum():
    net, x = [nn.MaxPool2d(2, 1), nn.Conv2d(1, 1, 2, bias=False)], torch.zeros(1, 1, 3, 3)
    nn.init.ones_(net[1].weight)
    x[0, 0, 1, 1] = 1
    back = deconvnet(net, x, 0)
    assert back[0, 0, 1, 1] == 16, "four windows, each with the answer 4"
    assert back.sum() == 16


def test_a_planted_pattern_is_found():
    net = [nn.Conv2d(1, 1, 3, bias=False), nn.ReLU()]
    cross = torch.tensor([[0.0, 1, 0], [1, 1, 1], [0, 1, 0]])
    with torch.no_grad():
        net[0].weight.copy_(cross - 0.3)
    x = torch.zeros(1, 1, 12, 12)
    x[0, 0, 6:9, 2:5] = cross
    back = deconvnet(net, x, 0)[0, 0]
    assert torch.equal((back > 0).nonzero(), (x[0, 0] > 0).nonzero())


@pytest.mark.parametrize(
    ("net", "x", "channel", "message"),
    [
        ([nn.BatchNorm2d(1)], torch.zeros(1, 1, 4, 4), 0, "expected Conv2d of one group"),
        ([nn.Conv2d(2, 2, 1, groups=2)], torch.zeros(1, 2, 4, 4), 0, "expected Conv2d of one group"),
        ([nn.ReLU()], torch.zeros(2, 1, 4, 4), 0, r"expected one image"),
        ([nn.ReLU()], torch.zeros(1, 1, 4, 4), 1, "channel=1: expected 0 to 0"),
    ],
)
def test_bad_input_is_refused(net, x, channel, message):
    with pytest.raises(ValueError, match=message):
        deconvnet(net, x, channel)
