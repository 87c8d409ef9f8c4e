"""Residual network and LSTM: the source's counts, each frame for itself, time reversed, the cell unrolled by hand."""

import pytest
import torch
from torch import nn

from resnetbook.structure.network import CnnLSTM
from resnetbook.structure.network.cnn_lstm import BothWays, FrameTrunk

WIDTHS = (64, 128, 256, 512)
SMALL = {"blocks": (1, 1), "widths": (4, 8), "features": 6, "hidden": 5}


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_counts_of_the_source():
    with torch.device("meta"):
        assert count(FrameTrunk((3, 4, 6, 3), WIDTHS, 256)) == 21_405_184
        assert count(FrameTrunk((2, 2, 2, 2), WIDTHS, 256)) == 11_297_024
        assert count(BothWays(256, 256)) == 2_105_344
        assert count(nn.LSTM(256, 256, 2, bidirectional=True)) == 2_629_632
        assert count(CnnLSTM(500).front[0]) == 15_680


def test_the_trunk_sees_each_frame_for_itself():
    torch.manual_seed(0)
    trunk = FrameTrunk((1, 1), (4, 8), 6).eval()
    x = torch.rand(5, 4, 8, 8)
    torch.testing.assert_close(trunk(x), torch.cat([trunk(frame[None]) for frame in x]))


def test_the_first_unit_adds_its_branch_to_what_the_front_gives():
    torch.manual_seed(1)
    trunk = FrameTrunk((1,), (4,), 6)
    unit, x = trunk.stages[0][0].eval(), torch.rand(2, 4, 6, 6)
    torch.testing.assert_close(unit(x), x + unit.conv2(unit.bn2(unit.conv1(x)).relu()))


def test_reversed_time_swaps_the_directions():
    torch.manual_seed(2)
    both = BothWays(3, 4).double()
    swapped = BothWays(3, 4).double()
    swapped.forwards.load_state_dict(both.backwards.state_dict())
    swapped.backwards.load_state_dict(both.forwards.state_dict())
    x = torch.randn(2, 7, 3, dtype=torch.float64)
    first, second = swapped(x.flip(1)).flip(1).chunk(2, 2)
    torch.testing.assert_close(both(x), torch.cat([second, first], 2))


def test_the_cell_written_out():
    torch.manual_seed(3)
    both = BothWays(3, 4, layers=1).double()
    lstm, x = both.forwards, torch.randn(1, 5, 3, dtype=torch.float64)
    h, c, states = torch.zeros(4, dtype=torch.float64), torch.zeros(4, dtype=torch.float64), []
    for frame in x[0]:
        gates = lstm.weight_ih_l0 @ frame + lstm.bias_ih_l0 + lstm.weight_hh_l0 @ h + lstm.bias_hh_l0
        enter, keep, new, show = gates.chunk(4)
        c = keep.sigmoid() * c + enter.sigmoid() * new.tanh()
        h = show.sigmoid() * c.tanh()
        states.append(h)
    torch.testing.assert_close(both(x)[0, :, :4], torch.stack(states))


def test_order_matters_to_the_recurrent_network_and_not_to_the_other():
    """The mean over frames of a network without recurrence knows no order, but for the front's five frames."""
    torch.manual_seed(4)
    x = torch.rand(2, 6, 16, 16)
    order = [3, 0, 5, 1, 4, 2]
    for recurrent in (True, False):
        net = CnnLSTM(3, **SMALL, recurrent=recurrent).eval()
        features = net.frames(x)
        straight = net.score(net.sequence(features)).log_softmax(2).mean(1)
        mixed = net.score(net.sequence(features[:, order])).log_softmax(2).mean(1)
        assert torch.allclose(straight, mixed, atol=1e-6) != recurrent
        torch.testing.assert_close(net.log_probabilities(x), straight)
    assert net(x).shape == (2, 6, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: CnnLSTM(0), "num_classes=0"),
        (lambda: CnnLSTM(2, blocks=(1,), widths=(4, 8)), r"widths=\(4, 8\): expected one for each"),
        (lambda: CnnLSTM(2, **SMALL)(torch.zeros(1, 3, 4, 16)), r"expected clips \(N, T, H, W\) of 8 pixels"),
        (lambda: BothWays(3, 0), "hidden=0"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
