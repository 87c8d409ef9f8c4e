"""Context units: the walk's closed form, who knows of whom, four walks as turned copies of one."""

import pytest
import torch
from torch import nn

from resnetbook.principle.gradient_flow import GradientFlow
from resnetbook.structure.network import CRRN
from resnetbook.structure.network.crrn import ContextUnit, walk


def delannoy(rows, columns):
    table = [[1] * columns for _ in range(rows)]
    for i in range(1, rows):
        for j in range(1, columns):
            table[i][j] = table[i - 1][j] + table[i][j - 1] + table[i - 1][j - 1]
    return torch.tensor(table, dtype=torch.float64)


@pytest.mark.parametrize("shape", [(5, 7), (7, 5), (1, 4), (4, 1), (1, 1)])
def test_an_impulse_in_the_corner_gives_the_delannoy_numbers(shape):
    """The number of walks from the corner to each cell by steps to the east, south and south-east."""
    x = torch.zeros(1, 1, *shape, dtype=torch.float64)
    x[..., 0, 0] = 1
    assert torch.equal(walk(x, torch.ones(1, 1, dtype=torch.float64), lambda v: v)[0, 0], delannoy(*shape))


def test_the_walk_cell_by_cell():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 4, 6, dtype=torch.float64, generator=generator)
    weight = torch.randn(3, 3, dtype=torch.float64, generator=generator)
    h = torch.zeros(2, 3, 5, 7, dtype=torch.float64)  # a border of zeros to the north and west
    for i in range(1, 5):
        for j in range(1, 7):
            met = h[..., i - 1, j] + h[..., i, j - 1] + h[..., i - 1, j - 1]
            h[..., i, j] = torch.relu(x[..., i - 1, j - 1] + met @ weight.T)
    torch.testing.assert_close(walk(x, weight), h[..., 1:, 1:])


def test_a_cell_is_felt_to_its_south_east_alone():
    x = torch.rand(1, 2, 6, 6, dtype=torch.float64)
    moved = x.clone()
    moved[..., 2, 3] += 1
    weight = torch.eye(2, dtype=torch.float64) / 3
    change = (walk(moved, weight) - walk(x, weight)).abs().sum(1)[0] > 0
    wanted = torch.zeros(6, 6, dtype=torch.bool)
    wanted[2:, 3:] = True
    assert torch.equal(change, wanted)


def unit(channels=2):
    torch.manual_seed(1)
    return ContextUnit(channels).double()


def test_through_four_walks_every_cell_knows_of_every_other():
    block = unit()
    for parameter in block.parameters():
        nn.init.constant_(parameter, 0.2)
    x = torch.rand(1, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    block(x)[0, :, 4, 0].sum().backward()
    reached = x.grad.abs().sum(1)[0] > 0
    # From the lower left corner: the walks to the south-west come from above and right of it.
    assert reached.all()


def test_four_walks_are_one_on_turned_maps():
    block, x = unit(), torch.randn(1, 2, 4, 5, dtype=torch.float64)
    first, *others = block.walks
    for other in others:
        other.load_state_dict(first.state_dict())
    wanted = sum(first(x.flip(turn)).flip(turn) for turn in ContextUnit.TURNS)
    torch.testing.assert_close(block(x), x + wanted)
    assert len({walk.turn for walk in block.walks}) == 4


def test_without_recurrence_it_is_a_residual_unit_of_1x1_convolutions():
    block, x = unit(), torch.randn(2, 2, 4, 4, dtype=torch.float64)
    for each in block.walks:
        nn.init.zeros_(each.recurrent)
    wanted = x + sum(each.leave(each.enter(x).relu()) for each in block.walks)
    torch.testing.assert_close(block(x), wanted)


def test_gradients_by_finite_differences_and_split():
    block = unit()
    x = torch.randn(1, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(block, (x,))
    net = CRRN(1, 2, width=4, units=1)
    with GradientFlow(net) as flow:
        net(torch.rand(1, 1, 6, 6)).square().sum().backward()
    assert flow.blocks == ["units.0", "units.1"]


def test_a_distant_mark_is_seen_with_context_and_not_without():
    """The label of every pixel is the sign of one corner, farther than the convolutions see; images are new in each step."""

    def images(count):
        x = torch.rand(count, 1, 16, 16) * 0.1
        sign = torch.arange(count) % 2
        x[:, 0, 0, 0] = sign * 2.0 - 1
        return x, sign[:, None, None].expand(-1, 16, 16)

    accuracy = {}
    for context in (True, False):
        torch.manual_seed(3)
        net = CRRN(1, 2, width=8, units=1, context=context)
        optimiser = torch.optim.Adam(net.parameters(), 1e-2)
        for _ in range(60):
            x, wanted = images(16)
            optimiser.zero_grad()
            nn.functional.cross_entropy(net(x), wanted).backward()
            optimiser.step()
        x, wanted = images(64)
        accuracy[context] = (net(x).argmax(1) == wanted)[:, 12:, 12:].float().mean().item()
    assert accuracy[True] > 0.95
    assert accuracy[False] < 0.65


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: CRRN(0, 2), "in_channels=0"),
        (lambda: ContextUnit(2, 0), "hidden=0"),
        (lambda: CRRN(2, 2)(torch.zeros(1, 1, 4, 4)), r"expected \(N, 2, H, W\)"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
