"""RiR equals pytorchcv's, is one convolution on both streams, and without a stream it is a ResNet or a plain CNN."""

import copy

import pytest
import torch
from pytorchcv.model_provider import get_model
from torch import nn
from torch.nn.functional import cross_entropy

from resnetbook.principle.gradient_flow import GradientFlow
from resnetbook.timeline.resnet_in_resnet import GeneralizedLayer, ResNetInit, RiR, one_convolution, turn_off

SMALL = {"depth": 12, "widths": (3, 4, 6), "num_classes": 5}


def layers_of(net):
    return [module for module in net.modules() if isinstance(module, GeneralizedLayer)]


def small(seed=0, **changes):
    torch.manual_seed(seed)
    return RiR(**{**SMALL, **changes})


def test_equals_pytorchcv_by_order(assert_equal, scramble, by_order):
    torch.manual_seed(0)
    theirs = scramble(get_model("rir_cifar10"))
    ours = RiR(18, widen_factor=3, outer=False)
    by_order(theirs, ours)
    x, y = torch.randn(2, 3, 32, 32), torch.tensor([1, 7])
    with torch.no_grad():
        assert_equal(ours.eval()(x), theirs.eval()(x))
    for net in (ours, theirs):
        cross_entropy(net.train()(x), y).backward()
    for own, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert other.grad.abs().max() > 0
        assert_equal(own.grad, other.grad)


def test_counts(on_meta, parameters):
    assert parameters(on_meta("rir18_wide")) == 9_492_980
    padded = parameters(on_meta("rir18_wide", shortcut="A"))
    assert padded == 9_469_940
    assert parameters(on_meta("rir18_wide", shortcut="A", outer=False)) == padded
    assert parameters(on_meta("resnet_init18")) == padded  # the same network, so the same number
    assert parameters(on_meta("rir18_wide", num_classes=100)) == 9_527_720  # pytorchcv's for CIFAR-100


def test_a_layer_is_one_convolution_with_an_identity_in_its_centre_tap():
    """Written out here: concatenated kernels, an identity added, both streams at once."""
    torch.manual_seed(1)
    for before, after, stride in ((3, 3, 1), (3, 5, 2), (4, 4, 2)):
        layer = GeneralizedLayer(before, after, stride=stride, kind="A").double().eval()
        r, t = (torch.randn(2, before, 7, 7, dtype=torch.float64) for _ in "rt")
        weight = torch.zeros(2 * after, 2 * before, 3, 3, dtype=torch.float64)
        weight[:after, :before], weight[:after, before:] = layer.conv_rr.weight, layer.conv_tr.weight
        weight[after:, :before], weight[after:, before:] = layer.conv_rt.weight, layer.conv_tt.weight
        for channel in range(before):
            weight[channel, channel, 1, 1] += 1
        out = nn.functional.conv2d(torch.cat([r, t], 1), weight, stride=stride, padding=1)
        expected = torch.relu(out / (1 + layer.bn_r.eps) ** 0.5)
        found = torch.cat(layer(r, t), 1)
        assert expected.abs().max() > 0.1
        assert torch.allclose(found, expected, rtol=0, atol=1e-12)


def test_resnet_init_is_rir_with_its_convolutions_joined(assert_equal, scramble):
    net = scramble(small(2, outer=False, shortcut="A", in_channels=1)).double()
    joined = one_convolution(net)
    x, y = torch.randn(4, 1, 9, 9, dtype=torch.float64), torch.tensor([0, 1, 4, 2])
    assert torch.allclose(joined(x), net(x), atol=1e-10)
    assert torch.allclose(joined.eval()(x), net.eval()(x), atol=1e-10)

    def step(network, decay):
        network = copy.deepcopy(network).train()
        optimiser = torch.optim.SGD(network.parameters(), lr=0.1, weight_decay=decay)
        cross_entropy(network(x), y).backward()
        optimiser.step()
        return network.eval()(x).detach()

    # One step takes both to the same network, unless weight decay tells W from W + identity.
    assert torch.allclose(step(joined, 0.0), step(net, 0.0), atol=1e-8)
    assert (step(joined, 0.1) - step(net, 0.1)).abs().max() > 1e-3


def test_resnet_init_starts_from_the_identity(parameters):
    torch.manual_seed(3)
    net = ResNetInit(**SMALL)
    assert parameters(net) == parameters(small(outer=False, shortcut="A"))
    convolutions = [module for module in net if isinstance(module, nn.Conv2d)]
    for convolution in convolutions[1:-1]:
        half = convolution.in_channels // 2
        fan = 9 * convolution.in_channels
        rest = convolution.weight.detach().clone()
        rest[range(half), range(half), 1, 1] -= 1
        assert rest.std().item() == pytest.approx((2 / fan) ** 0.5, rel=0.25)
        assert rest.abs().max() < 6 * (2 / fan) ** 0.5
        diagonal = convolution.weight[range(half), range(half), 1, 1]
        assert diagonal.mean().item() == pytest.approx(1, abs=0.5)


@pytest.mark.parametrize("outer", [True, False])
def test_without_the_transient_stream_it_is_a_resnet(outer, assert_equal, scramble):
    net = scramble(small(4, outer=outer, shortcut="A")).eval()
    whole = net(torch.ones(1, 3, 8, 8))
    turn_off(net, "transient")
    x = torch.randn(2, 3, 8, 8)
    out = torch.relu(net.bn_r(net.conv_r(x)))
    for first, second in zip(layers_of(net)[::2], layers_of(net)[1::2], strict=True):
        kept = out
        for layer in (first, second):
            out = torch.relu(layer.bn_r(layer.conv_rr(out) + layer.shortcut(out)))
        if outer:
            out = out + first.shortcut(kept)
    half = net.classes.weight.shape[1] // 2
    expected = net.bn(nn.functional.conv2d(out, net.classes.weight[:, :half])).mean((2, 3))
    assert_equal(net(x), expected)
    assert not torch.allclose(net(torch.ones(1, 3, 8, 8)), whole)


def test_without_the_residual_stream_it_is_a_plain_cnn(assert_equal, scramble):
    net = scramble(small(5)).eval()
    turn_off(net, "residual")
    chain = [nn.Sequential(net.conv_t, net.bn_t, nn.ReLU())]
    chain += [nn.Sequential(layer.conv_tt, layer.bn_t, nn.ReLU()) for layer in layers_of(net)]
    x = torch.randn(2, 3, 8, 8)
    out = nn.Sequential(*chain).eval()(x)
    half = net.classes.weight.shape[1] // 2
    assert_equal(net(x), net.bn(nn.functional.conv2d(out, net.classes.weight[:, half:])).mean((2, 3)))


def test_shortcuts_on_both_streams_or_none_make_one_wide_layer(scramble):
    """The same weights: a residual network of one-convolution layers, or a plain network, both of width 2c."""
    for shortcuts, factor in (("both", 1.0), ("none", 0.0)):
        net = scramble(small(6, outer=False, shortcut="A", shortcuts=shortcuts)).double().eval()
        half = scramble(small(6, outer=False, shortcut="A")).double().eval()
        assert [k for k in net.state_dict() if "conv" in k] == [k for k in half.state_dict() if "conv" in k]
        assert torch.equal(net.conv_r.weight, half.conv_r.weight)
        x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
        out = torch.cat([torch.relu(net.bn_r(net.conv_r(x))), torch.relu(net.bn_t(net.conv_t(x)))], 1)
        for layer in layers_of(net):
            weight = torch.cat(
                [
                    torch.cat([layer.conv_rr.weight, layer.conv_tr.weight], 1),
                    torch.cat([layer.conv_rt.weight, layer.conv_tt.weight], 1),
                ]
            )
            stride = layer.conv_rr.stride[0]
            y = nn.functional.conv2d(out, weight, stride=stride, padding=1)
            r, t = out[:, ::1, ::stride, ::stride].chunk(2, 1)
            a, b = y.chunk(2, 1)
            kept = [nn.functional.pad(s, (0, 0, 0, 0, 0, a.shape[1] - s.shape[1])) for s in (r, t)]
            r, t = layer.bn_r(a + factor * kept[0]), layer.bn_t(b + factor * kept[1])
            out = torch.relu(torch.cat([r, t], 1))
        expected = net.bn(net.classes(out)).mean((2, 3))
        assert torch.allclose(net(x), expected, rtol=0, atol=1e-10)


def changes_of_the_residual_stream(net, x):
    """Return r after minus r before each block that keeps the shape."""
    found = []
    for _, block in net.blocks:
        block.register_forward_hook(
            lambda module, args, out: (
                found.append(out[0] - args[0]) if out[0].shape == args[0].shape else None
            )
        )
    with torch.no_grad():
        net(x)
    return found


@pytest.mark.parametrize("mode", [True, False])
def test_a_block_forgets_only_where_the_outer_shortcut_is_added_before_the_relu(mode, scramble):
    x = torch.randn(4, 3, 8, 8)
    kept = changes_of_the_residual_stream(scramble(small(8, shortcut="A")).train(mode), x)
    assert len(kept) == 3
    assert all(float(change.min()) >= 0 for change in kept)
    net = scramble(small(8, shortcut="A", join="before")).train(mode)
    assert all(float(change.min()) < -0.01 for change in changes_of_the_residual_stream(net, x))


@pytest.mark.parametrize("join", ["after", "before"])
def test_what_a_normalisation_of_zero_leaves_of_the_residual_stream(join):
    net = small(9, shortcut="A", join=join).eval()
    block = net.layer1[0]
    nn.init.zeros_(block.layer2.bn_r.weight)
    nn.init.constant_(block.layer2.bn_r.bias, -1.0)
    r, t = torch.rand(2, 3, 5, 5), torch.rand(2, 3, 5, 5)
    left = block(r, t)[0]
    assert torch.equal(left, r if join == "after" else torch.zeros_like(r))


def test_before_is_one_more_term_in_the_second_layers_sum(parameters, assert_equal, scramble):
    net, other = (scramble(small(10, shortcut="A", join=join)).eval() for join in ("before", "after"))
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True))
    assert parameters(net) == parameters(other)
    for _, block in net.blocks:
        r, t = (torch.rand(2, block.layer1.conv_rr.in_channels, 8, 8) for _ in "rt")
        u, v = block.layer1(r, t)
        layer = block.layer2
        total = layer.conv_rr(u) + layer.conv_tr(v) + u + block.shortcut(r)
        expected = torch.relu(layer.bn_r(total)), torch.relu(layer.bn_t(layer.conv_rt(u) + layer.conv_tt(v)))
        for found, wanted in zip(block(r, t), expected, strict=True):
            assert_equal(found, wanted)
    x = torch.randn(2, 3, 8, 8)
    assert not torch.allclose(net(x), other(x))
    # Without an outer shortcut there is nothing to add.
    assert_equal(*(small(10, outer=False, join=join).eval()(x) for join in ("before", "after")))


def test_blocks_and_map_sizes():
    net, sizes = RiR(18, widths=(2, 3, 4), in_channels=1, num_classes=3), []
    assert [name for name, _ in net.blocks] == [
        *(f"layer1.{i}" for i in range(2)),
        *(f"layer2.{i}" for i in range(3)),
        *(f"layer3.{i}" for i in range(3)),
    ]
    for _, block in net.blocks:
        block.register_forward_hook(lambda module, args, out: sizes.append([tuple(o.shape[1:]) for o in out]))
    assert net(torch.randn(2, 1, 32, 32)).shape == (2, 3)
    assert sizes == [[(2, 32, 32)] * 2] * 2 + [[(3, 16, 16)] * 2] * 3 + [[(4, 8, 8)] * 2] * 3
    assert len(RiR(20, widths=(1, 1, 1)).blocks) == 9


def test_the_gradient_splits_at_each_block_and_reaches_every_parameter():
    net = small(7).train()
    x, y = torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 3])
    names = [name for name, _ in net.blocks]
    with GradientFlow(net, blocks=names) as flow:
        cross_entropy(net(x), y).backward()
    assert list(flow.split) == names
    for split in flow.split.values():
        assert split.identity.abs().max() > 0
        assert split.residual.abs().max() > 0
        assert torch.equal(split.identity + split.residual, split.total)
    assert all(p.grad is not None and bool(p.grad.abs().max() > 0) for p in net.parameters())


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: RiR(19), "depth=19: expected 2n \\+ 2; the nearest are 18 and 20"),
        (lambda: RiR(6), "depth=6: .* the smallest is 8"),
        (lambda: ResNetInit(6), "depth=6: .* the smallest is 8"),
        (lambda: RiR(18, widen_factor=0), "widen_factor=0"),
        (lambda: RiR(18, widths=(8, 16)), "expected three"),
        (lambda: RiR(18, widths=(8, 0, 16)), "widths=0"),
        (lambda: RiR(18, shortcut="D"), "shortcut='D'"),
        (lambda: RiR(18, join="beside"), "join='beside': expected 'after' or 'before'"),
        (lambda: RiR(18, shortcuts="all"), "shortcuts='all'"),
        (lambda: RiR(18, num_classes=0), "num_classes=0"),
        (lambda: small()(torch.zeros(1, 1, 8, 8)), r"expected \(N, 3, H, W\)"),
        (lambda: ResNetInit(**SMALL)(torch.zeros(1, 3, 3, 8)), "H and W of 4 or more"),
        (lambda: one_convolution(small()), "outer=True"),
        (lambda: one_convolution(small(outer=False)), "expected type 'A'"),
        (lambda: turn_off(small(), "third"), "stream='third'"),
    ],
)
def test_bad_input_is_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()
