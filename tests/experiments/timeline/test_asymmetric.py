"""What a row and a column can express, what a cut to it costs, and what is equal between the arms of C35."""

import pytest
import torch
from torch.nn.functional import conv2d

from resnetbook.experiments.timeline import _factoring, asymmetric
from resnetbook.lab.data import ImageSet, Part, load


def composed(row, column):
    """The square kernel that a row (m, i, 1, n) and then a column (o, m, n, 1) amount to."""
    return torch.einsum("omar,mirb->oiab", column, row)


def test_a_row_and_a_column_with_m_channels_between_have_rank_m():
    torch.manual_seed(0)
    row, column = torch.randn(3, 4, 1, 7).double(), torch.randn(5, 3, 7, 1).double()
    square = composed(row, column)
    x = torch.randn(2, 4, 9, 9).double()
    apart = conv2d(conv2d(x, row, padding=(0, 3)), column, padding=(3, 0))
    assert torch.allclose(apart, conv2d(x, square, padding=3), atol=1e-10)
    assert asymmetric.reachable_energy(square, 3) == pytest.approx(1.0, abs=1e-12)
    assert asymmetric.reachable_energy(square, 2) < 0.99
    assert asymmetric.rank1_energy(square) < 0.99  # a pair of channels may have rank 3


def test_one_channel_reaches_rank_one_alone():
    row, column = torch.randn(1, 1, 1, 5).double(), torch.randn(1, 1, 5, 1).double()
    assert asymmetric.rank1_energy(composed(row, column)) == pytest.approx(1.0)
    assert asymmetric.rank1_energy(torch.eye(5)[None, None]) == pytest.approx(1 / 5)


def test_no_layer_of_a_row_and_a_column_is_nearer():
    """The bound is the least that gradient descent on the factors can come to."""
    torch.manual_seed(1)
    square = torch.randn(3, 2, 5, 5).double()
    row = torch.randn(2, 2, 1, 5).double().requires_grad_()
    column = torch.randn(3, 2, 5, 1).double().requires_grad_()
    optimiser = torch.optim.LBFGS([row, column], max_iter=400, line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        loss = (composed(row, column) - square).square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    left = float(closure().detach() / square.square().sum())
    assert left == pytest.approx(1 - asymmetric.reachable_energy(square, 2), rel=1e-3)


def test_a_grey_first_layer_loses_nothing():
    """With one channel in, 7 channels between reach every 7x7 layer."""
    torch.manual_seed(2)
    assert asymmetric.reachable_energy(torch.randn(12, 1, 7, 7), 7) == pytest.approx(1.0)


def test_a_cut_is_the_nearest_layer_and_reaches_its_energy():
    torch.manual_seed(3)
    weight = torch.randn(5, 4, 7, 7).double()
    for channels in (1, 3, 12):
        near = _factoring.truncated(weight, channels)
        assert int(torch.linalg.matrix_rank(_factoring.unfolded(near))) == channels
        kept = 1 - float((near - weight).square().sum() / weight.square().sum())
        assert kept == pytest.approx(asymmetric.reachable_energy(weight, channels))
    assert torch.allclose(_factoring.truncated(weight, 28), weight)
    own = composed(torch.randn(3, 4, 1, 7).double(), torch.randn(5, 3, 7, 1).double())
    assert torch.allclose(_factoring.truncated(own, 3), own)
    assert not torch.allclose(_factoring.truncated(own, 2), own)


def test_a_cut_is_undone_and_touches_square_layers_alone():
    settings = asymmetric.Settings("digits", size=16, width=4)
    net = asymmetric.network(settings, "square-middle", load("digits", size=16))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with _factoring.cut(net, 7, 4):
        changed = [name for name, value in net.state_dict().items() if not torch.equal(value, before[name])]
    assert changed == ["1.conv.weight", "2.conv.weight"]
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_truncation_is_the_accuracy_of_the_factored_pair_minus_the_uncut_one():
    """A layer made of a row and a column loses nothing at its own rank, and something below it."""
    torch.manual_seed(4)
    settings = asymmetric.Settings("digits", size=16, width=4, ranks=(1, 4))
    data = load("digits", size=16)
    net = asymmetric.network(settings, "square-middle", data)
    with torch.no_grad():
        for layer in _factoring.square_layers(net, 7):
            layer.weight.copy_(composed(torch.randn(4, 4, 1, 7), torch.randn(4, 4, 7, 1)) / 14)
    # Labels that the network gives itself: uncut it is always right.
    with torch.no_grad(), asymmetric.measuring.reestimated(net, data.train.images):
        labels = asymmetric.measuring.logits(net, data.test.images).argmax(1)
    own = ImageSet(
        "own", data.train, data.train, Part(data.test.images, labels), data.classes, "", "", "", ""
    )
    found = asymmetric.truncation(settings, net, own)
    assert found["truncation"] == pytest.approx(0, abs=0.02)  # rounding may turn a tie
    assert found["rank_curve"][1] == pytest.approx(1, abs=0.02)
    assert found["rank_curve"][0] < 0.9
    assert float(found["outcomes"]["truncation"].mean()) == pytest.approx(found["truncation"])


@pytest.mark.parametrize("stride", [1, 2])
def test_the_arms_of_a_pair_differ_in_one_place(stride):
    settings = asymmetric.Settings("digits", size=16, stride=stride)
    data = load("digits", size=16)
    x = data.train.images[:2]
    for place in ("middle", "first"):
        nets = []
        for kind in ("square", "factored"):
            torch.manual_seed(5)
            nets.append(asymmetric.network(settings, f"{kind}-{place}", data))
        square, factored = nets
        shapes = []
        for net in (square, factored):
            found = []
            for part in net:
                part.register_forward_hook(lambda module, args, out, found=found: found.append(out.shape))
            net(x)
            shapes.append(found)
        assert shapes[0] == shapes[1]
        changed = [i for i, (a, b) in enumerate(zip(square, factored, strict=True)) if type(a) is not type(b)]
        assert changed == ([1, 2] if place == "middle" else [0])
        for i in set(range(len(square))) - set(changed):
            for a, b in zip(square[i].parameters(), factored[i].parameters(), strict=True):
                assert torch.equal(a, b)
