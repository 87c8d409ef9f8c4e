"""LeNet-5 has the paper's parameters and connections layer by layer, and computes its equations."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, log_softmax, pad

from resnetbook.timeline import create_model
from resnetbook.timeline.lenet import C3_TABLE, LeNet5, LinkedConv, ScaledTanh, Subsampling

# Section II.B of the paper: trainable parameters and connections of each layer.
PAPER = {
    "c1": (156, 122_304),
    "s2": (12, 5_880),
    "c3": (1_516, 151_600),
    "s4": (32, 2_000),
    "c5": (48_120, 48_120),
    "f6": (10_164, 10_164),
}


def test_parameters_and_connections_of_each_layer_are_the_papers(parameters):
    net, pixels = LeNet5(), {}
    for name in PAPER:
        net.get_submodule(name).register_forward_hook(
            lambda module, args, out, name=name: pixels.update({name: math.prod(out.shape[2:])})
        )
    net(torch.zeros(1, 1, 32, 32))
    own = {name: parameters(net.get_submodule(name)) for name in PAPER}
    assert own == {name: count for name, (count, _) in PAPER.items()}
    assert sum(own.values()) == 60_000
    # Each unit has one connection for each weight and one for its bias; a subsampling unit has four inputs and a bias.
    connections = {name: own[name] * pixels[name] for name in PAPER}
    for name in ("s2", "s4"):
        connections[name] = own[name] // 2 * 5 * pixels[name]
    assert connections == {name: count for name, (_, count) in PAPER.items()}
    # The paper's total counts the fixed output units too: ten drawings of 84 points.
    assert sum(connections.values()) + 10 * 84 == 340_908
    assert parameters(net.output) == 850
    assert parameters(net) == 60_850


def test_it_computes_the_papers_equations_layer_by_layer(assert_equal):
    torch.manual_seed(6)
    net, x = LeNet5(), torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        p = dict(net.named_parameters())

        def f(a):
            return 1.7159 * torch.tanh(2 * a / 3)

        def subsample(name, maps):
            n, c, h, w = maps.shape
            sums = maps.reshape(n, c, h // 2, 2, w // 2, 2).sum((3, 5))
            shape = (1, c, 1, 1)
            return f(sums * p[f"{name}.weight"].reshape(shape) + p[f"{name}.bias"].reshape(shape))

        maps = subsample("s2", f(conv2d(x, p["c1.weight"], p["c1.bias"])))
        link, columns = 0, []
        for target, row in enumerate(C3_TABLE):
            total = p["c3.bias"][target]
            for source in row:
                total = total + conv2d(maps[:, source : source + 1], p["c3.weight"][link][None, None])
                link += 1
            columns.append(f(total))
        maps = subsample("s4", torch.cat(columns, dim=1))
        units = f(maps.flatten(1) @ p["c5.weight"].flatten(1).T + p["c5.bias"])
        units = f(units @ p["f6.weight"].T + p["f6.bias"])
        assert_equal(net(x), units @ p["output.weight"].T + p["output.bias"])


def test_the_table_of_c3_is_that_of_the_paper():
    assert [len(row) for row in C3_TABLE] == [3] * 6 + [4] * 9 + [6]
    assert sum(map(len, C3_TABLE)) == 60
    assert len({frozenset(row) for row in C3_TABLE}) == 16
    # Six contiguous threes and six contiguous fours (around the circle of six maps), then three fours with a gap.
    for size, rows in ((3, C3_TABLE[:6]), (4, C3_TABLE[6:12])):
        assert {frozenset(row) for row in rows} == {
            frozenset((first + step) % 6 for step in range(size)) for first in range(6)
        }
    assert [sum(source in row for row in C3_TABLE) for source in range(6)] == [10] * 6


def test_c3_is_a_convolution_of_its_own_for_each_map(assert_equal):
    torch.manual_seed(0)
    layer, x = LinkedConv(6, C3_TABLE), torch.randn(2, 6, 14, 14)
    nn.init.normal_(layer.bias)
    kernels = layer.weight.split([len(row) for row in C3_TABLE])
    single = [
        conv2d(x[:, list(row)], kernel[None], layer.bias[target : target + 1])
        for target, (row, kernel) in enumerate(zip(C3_TABLE, kernels, strict=True))
    ]
    assert_equal(layer(x), torch.cat(single, dim=1))


def test_c3_with_every_link_is_a_convolution(assert_equal):
    torch.manual_seed(1)
    layer, x = LinkedConv(3, [(0, 1, 2)] * 4), torch.randn(2, 3, 7, 9)
    dense = nn.Conv2d(3, 4, 5)
    dense.load_state_dict({"weight": layer.weight.detach().reshape(4, 3, 5, 5), "bias": layer.bias.detach()})
    assert_equal(layer(x), dense(x))
    layer(x).square().sum().backward()
    dense(x).square().sum().backward()
    assert_equal(layer.weight.grad.reshape(4, 3, 5, 5), dense.weight.grad)


def test_a_file_of_weights_holds_the_parameters_and_not_the_table():
    net = LeNet5()
    assert list(net.state_dict()) == [name for name, _ in net.named_parameters()]


def test_subsampling_adds_scales_and_shifts():
    layer = Subsampling(2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([0.5, -1.0]))
        layer.bias.copy_(torch.tensor([1.0, 0.0]))
    x = torch.tensor([[[[1.0, 2, 9], [3, 4, 9]], [[1, 1, 9], [1, 1, 9]]]])
    assert layer(x).flatten().tolist() == [0.5 * 10 + 1, -4.0]
    assert Subsampling(2)(x).flatten().tolist() == [2.5, 1.0]  # at the start the mean


def test_the_squashing_function_meets_one_at_one():
    found = ScaledTanh()(torch.tensor([-1.0, 0.0, 1.0, 50.0]))
    assert found.tolist() == pytest.approx([-1, 0, 1, 1.7159], abs=1e-4)


def test_the_linear_output_contains_the_papers_distance_units(assert_equal):
    torch.manual_seed(2)
    net, drawings = LeNet5(), torch.randn(10, 84).sign()
    with torch.no_grad():
        net.output.weight.copy_(2 * drawings)
        net.output.bias.fill_(-84.0)  # minus |drawing|^2
    seen = []
    net.output.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    logits = net(torch.randn(5, 1, 32, 32))
    distances = (seen[0][:, None] - drawings).square().sum(2)
    assert_equal(log_softmax(logits, 1), log_softmax(-distances, 1))
    assert torch.equal(logits.argmax(1), distances.argmin(1))


def test_28_pixels_stand_in_the_papers_field_of_32(assert_equal):
    torch.manual_seed(3)
    net = create_model("lenet5")
    digit = torch.full((2, 1, 28, 28), -0.1)
    digit[:, :, 4:24, 4:24] = torch.rand(2, 1, 20, 20)
    assert_equal(net(digit), net(pad(digit, (2, 2, 2, 2), value=-0.1)))


def test_a_larger_image_gives_the_mean_over_the_columns_of_c5(assert_equal):
    torch.manual_seed(4)
    net, x, columns = LeNet5(num_classes=3, in_channels=2), torch.randn(2, 2, 36, 32), []
    handle = net.c5.register_forward_hook(lambda module, args, out: columns.append(out))
    whole = net(x)
    net(x[:, :, :32])
    net(x[:, :, 4:])  # C5 moves by four pixels a step, two subsamplings of two
    handle.remove()
    assert_equal(columns[0], torch.cat(columns[1:], dim=2))
    mean = torch.stack([net.squash(column) for column in columns[1:]]).mean(0).flatten(1)
    assert_equal(whole, net.output(net.squash(net.f6(mean))))


def test_first_weights_keep_the_spread():
    torch.manual_seed(5)
    net, spread = LeNet5(), []
    for name in ("c1", "c3", "c5", "f6"):
        net.get_submodule(name).register_forward_hook(
            lambda module, args, out: spread.append(float(out.detach().std()))
        )
    net(torch.randn(64, 1, 32, 32))
    assert spread[0] == pytest.approx(1, abs=0.4)
    assert all(0.1 < value < 2 for value in spread)
    assert float(net.c5.weight.detach().std()) == pytest.approx(1 / 20, rel=0.02)


def test_first_weights_of_a_map_follow_from_how_many_maps_it_sees():
    torch.manual_seed(6)
    rows = {1: 400, 4: 100, 16: 25}  # maps that see so many; 400 links each
    layer = LinkedConv(16, [tuple(range(seen)) for seen, count in rows.items() for _ in range(count)])
    for seen, weights in zip(rows, layer.weight.detach().split(400), strict=True):
        assert float(weights.std()) == pytest.approx((25 * seen) ** -0.5, rel=0.03)
        assert float(weights.abs().max()) <= (3 / (25 * seen)) ** 0.5 * (1 + 1e-6)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: LeNet5(num_classes=0), "num_classes=0"),
        (lambda: LeNet5(in_channels=-1), "in_channels=-1"),
        (lambda: LeNet5()(torch.zeros(1, 1, 27, 32)), "H and W of 28 or more"),
        (lambda: LeNet5()(torch.zeros(1, 3, 32, 32)), r"expected \(N, 1, H, W\)"),
        (lambda: LinkedConv(2, [(0, 2)]), "one or more of 0 to 1"),
        (lambda: LinkedConv(2, [(0,), ()]), "one or more of 0 to 1"),
        (lambda: LinkedConv(2, []), "table="),
    ],
)
def test_bad_input_is_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()
