"""ResNet V2 equals timm's and pytorchcv's; its identity path is exactly clean; its units are the published order."""

import pytest
import timm
import torch
from pytorchcv.model_provider import get_model
from torch import nn
from torch.nn.functional import batch_norm, conv2d, cross_entropy, relu

from resnetbook.principle.block import ShortcutA
from resnetbook.principle.counting import count
from resnetbook.principle.paths import lesion
from resnetbook.timeline import create_model, pretrained
from resnetbook.timeline.resnet import CifarResNet
from resnetbook.timeline.resnet_v2 import PreActBlock, PreActBottleneck, PreActResNet, ResNetV2


def silence(network):
    """Set every branch's last convolution to zero, so that F(x) = 0."""
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, PreActBlock | PreActBottleneck):
                (module.conv3 if isinstance(module, PreActBottleneck) else module.conv2).weight.zero_()
    return network


def follow(network, x):
    """Return what enters each unit, what leaves the last one, and each unit's F(x), with their graph kept."""
    states, branches = [], []
    x = network.conv1(x)
    for _, unit in network.blocks:
        states.append(x)
        branches.append(unit.branch(x))
        x = unit(x)
    return [*states, x], branches


def test_equals_timm_with_its_weights_renamed(assert_equal, scramble):
    torch.manual_seed(0)
    theirs = scramble(timm.create_model("resnetv2_50", pretrained=False))
    ours = create_model("resnet50_v2")
    ours.load_state_dict(pretrained.convert("resnet50_v2", theirs.state_dict()), strict=True)
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert_equal(ours.eval()(x), theirs.eval()(x))


def test_gradients_equal_timms(assert_equal, scramble):
    torch.manual_seed(1)
    theirs = scramble(timm.create_model("resnetv2_50", pretrained=False)).double()
    ours = create_model("resnet50_v2").double()
    ours.load_state_dict(pretrained.convert("resnet50_v2", theirs.state_dict()))
    x, y = torch.randn(2, 3, 64, 64).double(), torch.tensor([1, 5])
    for network in (ours, theirs):
        cross_entropy(network.train()(x), y).backward()
    gradients = {name: p.grad for name, p in theirs.named_parameters()}
    for name, grad in pretrained.convert("resnet50_v2", {**theirs.state_dict(), **gradients}).items():
        if name.endswith("weight"):
            assert_equal(ours.get_parameter(name).grad, grad)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("preresnet20_cifar10", {"depth": 20}),
        ("preresnet56_cifar10", {"depth": 56}),
        ("preresnet164bn_cifar10", {"depth": 164, "bottleneck": True}),
    ],
)
def test_equals_pytorchcv_with_its_weights_by_order(name, settings, assert_equal, scramble, by_order):
    torch.manual_seed(2)
    theirs = scramble(get_model(name, pretrained=False)).eval()
    ours = PreActResNet(**settings).eval()
    for _, unit in ours.blocks:
        if unit.shared:  # pytorchcv defines the projection of a unit last
            unit.downsample = unit._modules.pop("downsample")
    by_order(theirs, ours)
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert_equal(ours(x), theirs(x))


@pytest.mark.parametrize(
    ("name", "expected", "printed"),
    [
        ("preact_resnet110", 1_730_522, 1.7),
        ("preact_resnet164", 1_703_258, 1.7),
        ("preact_resnet1001", 10_327_706, 10.2),  # 10.3 is what the count rounds to
        ("resnet50_v2", 25_549_352, 25.5),
    ],
)
def test_counts(name, expected, printed, on_meta, parameters):
    found = parameters(on_meta(name))
    assert found == expected
    assert found / 1e6 == pytest.approx(printed, rel=0.02)


def test_multiplications_of_resnet50_v2_equal_timms():
    assert count(create_model("resnet50_v2"), (3, 224, 224)).multiplications == 4_089_184_256


@pytest.mark.parametrize("depth", [8, 20, 56, 110])
@pytest.mark.parametrize("widths", [(16, 32, 64), (8, 16, 32)])
def test_the_order_changes_neither_parameters_nor_layers_nor_widths(depth, widths, parameters):
    with torch.device("meta"):
        v1 = CifarResNet(depth, shortcut="A", widths=widths)
        v2 = PreActResNet(depth, shortcut="A", widths=widths)
    assert parameters(v1) == parameters(v2)
    shapes = [[tuple(p.shape) for p in net.parameters() if p.dim() > 1] for net in (v1, v2)]
    assert shapes[0] == shapes[1]
    assert len(shapes[0]) == depth


def by_hand(unit, x):
    """The published order, written with functions alone: BN, ReLU, convolution, thrice or twice, then the sum."""
    active, out = None, x
    for number in range(1, 4 if isinstance(unit, PreActBottleneck) else 3):
        bn, conv = getattr(unit, f"bn{number}"), getattr(unit, f"conv{number}")
        out = relu(batch_norm(out, bn.running_mean, bn.running_var, bn.weight, bn.bias, eps=bn.eps))
        active = out if active is None else active
        out = conv2d(out, conv.weight, stride=conv.stride, padding=conv.padding)
    if isinstance(unit.downsample, nn.Conv2d):
        return conv2d(active, unit.downsample.weight, stride=unit.downsample.stride) + out
    return (x if unit.downsample is None else unit.downsample(x)) + out


@pytest.mark.parametrize("unit", [PreActBlock, PreActBottleneck])
@pytest.mark.parametrize(("kind", "stride"), [("A", 1), ("A", 2), ("B", 1), ("B", 2), ("C", 1)])
def test_a_unit_is_the_published_order(unit, kind, stride, assert_equal, scramble):
    torch.manual_seed(3)
    block = scramble(unit(16, 16 // unit.expansion * stride, stride=stride, shortcut=kind)).eval()
    x = torch.randn(2, 16, 7, 7)
    before = x.clone()
    y = block(x)
    assert_equal(y, by_hand(block, x))
    assert_equal(y, block.branch(x) + block.identity(x))
    assert torch.equal(x, before)  # the relus that work in place never touch x


def test_where_the_stride_sits():
    block, bottleneck = PreActBlock(4, 8, stride=2), PreActBottleneck(4, 2, stride=2)
    assert (block.conv1.stride, block.conv2.stride) == ((2, 2), (1, 1))
    assert [conv.stride[0] for conv in (bottleneck.conv1, bottleneck.conv2, bottleneck.conv3)] == [1, 2, 1]
    assert block.downsample.stride == bottleneck.downsample.stride == (2, 2)


def test_the_shared_normalisation_counts_a_batch_once():
    block = PreActBlock(4, 8, stride=2)
    block(torch.randn(2, 4, 8, 8))
    assert int(block.bn1.num_batches_tracked) == 1


@pytest.mark.parametrize("training", [True, False])
def test_with_silent_branches_a_stage_is_the_identity_for_signal_and_gradient(training):
    torch.manual_seed(4)
    network = silence(PreActResNet(32, num_classes=5, shortcut="A")).train(training)
    stage = network.layer1
    x = torch.randn(2, 16, 8, 8, requires_grad=True)
    y = stage(x)
    assert torch.equal(y, x)
    upstream = torch.randn_like(y)
    y.backward(upstream)
    assert torch.equal(x.grad, upstream)


def test_with_silent_branches_the_network_is_its_stem_subsampled():
    torch.manual_seed(5)
    network = silence(PreActResNet(20, shortcut="A")).eval()
    states, _ = follow(network, torch.randn(2, 3, 16, 16))
    assert torch.equal(states[-1][:, :16], states[0][:, :, ::4, ::4])
    assert states[-1][:, 16:].abs().max() == 0


def test_the_last_signal_is_the_first_plus_all_branches(assert_equal):
    torch.manual_seed(6)
    network = PreActResNet(20, widths=(8, 8, 8), shortcut="A").double().eval()
    with torch.no_grad():
        states, branches = follow(network, torch.randn(2, 3, 8, 8).double())
    per_stage = len(network.layer1)
    for start in range(0, 3 * per_stage, per_stage):
        # inside a stage no shortcut changes the shape: x_L = x_l + sum of F for any l < L
        first = start if start == 0 else start + 1
        for low in range(first, start + per_stage):
            for high in range(low + 1, start + per_stage + 1):
                assert_equal(states[high], states[low] + sum(branches[low:high]), tolerance=1e-13)


def test_the_gradient_at_a_unit_is_the_last_one_plus_that_through_the_branches(assert_equal):
    torch.manual_seed(7)
    stage = PreActResNet(32).layer1.double().eval()
    x = torch.randn(2, 16, 6, 6).double().requires_grad_()
    upstream = torch.randn(2, 16, 6, 6).double()
    (total,) = torch.autograd.grad(stage(x), x, upstream)
    signal, branches = x, torch.zeros_like(x)
    for unit in stage:
        out = unit.branch(signal)
        branches, signal = branches + out, signal + out
    (through_branches,) = torch.autograd.grad(branches, x, upstream)
    assert_equal(total, upstream + through_branches, tolerance=1e-12)


def test_no_relu_bounds_the_signal_below():
    torch.manual_seed(8)
    network = PreActResNet(20).eval()
    states, _ = follow(network, torch.randn(4, 3, 16, 16))
    assert all(bool((state < 0).any()) for state in states)


def test_a_deleted_branch_leaves_the_shortcut():
    torch.manual_seed(9)
    x = torch.randn(2, 3, 8, 8)
    network = PreActResNet(14, shortcut="A").eval()
    with lesion(network, [name for name, _ in network.blocks]):
        states, _ = follow(network, x)
    assert torch.equal(states[-1][:, :16], states[0][:, :, ::4, ::4])


@pytest.mark.parametrize("name", ["layer1.1", "layer2.0"])
def test_a_deleted_branch_is_one_whose_last_convolution_is_zero(name):
    """With a projection ("layer2.0") branch and shortcut share an activation; the projection of it is what stays."""
    torch.manual_seed(10)
    network, x = PreActResNet(14, shortcut="B").eval(), torch.randn(2, 3, 8, 8)
    whole = network(x)
    with lesion(network, name):
        cut = network(x)
    unit = network.get_submodule(name)
    assert (unit.downsample is not None) == (name == "layer2.0")
    nn.init.zeros_(unit.conv2.weight)
    assert torch.equal(cut, network(x))
    assert not torch.allclose(cut, whole)


@pytest.mark.parametrize(("bottleneck", "factor"), [(False, 1), (True, 4)])
def test_each_stage_halves_the_map(bottleneck, factor):
    network, sizes = PreActResNet(20, bottleneck=bottleneck, num_classes=3, in_channels=1), []
    for stage in (network.layer1, network.layer2, network.layer3):
        stage.register_forward_hook(lambda module, args, out: sizes.append(tuple(out.shape[1:])))
    assert network(torch.randn(2, 1, 32, 32)).shape == (2, 3)
    assert sizes == [(16 * factor, 32, 32), (32 * factor, 16, 16), (64 * factor, 8, 8)]


def test_each_stage_of_the_large_network_halves_the_map():
    network, sizes = ResNetV2((1, 1, 1, 1), num_classes=3, in_channels=1), []
    for number in range(1, 5):
        stage = getattr(network, f"layer{number}")
        stage.register_forward_hook(lambda module, args, out: sizes.append(tuple(out.shape[1:])))
    assert network(torch.randn(2, 1, 64, 96)).shape == (2, 3)
    assert sizes == [(256, 16, 24), (512, 8, 12), (1024, 4, 6), (2048, 2, 3)]


def test_shortcuts_where_they_belong():
    def kinds(kind):
        return [type(unit.downsample) for _, unit in PreActResNet(14, shortcut=kind).blocks]

    none = type(None)
    assert kinds("A") == [none, none, ShortcutA, none, ShortcutA, none]
    assert kinds("B") == [none, none, nn.Conv2d, none, nn.Conv2d, none]
    assert kinds("C") == [nn.Conv2d] * 6


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: PreActResNet(21), "depth=21: expected 6n \\+ 2; the nearest are 20 and 26"),
        (lambda: PreActResNet(163, bottleneck=True), "expected 9n \\+ 2; the nearest are 155 and 164"),
        (lambda: PreActResNet(20, shortcut="D"), "shortcut='D'"),
        (lambda: PreActResNet(20, widths=(8, 16)), "widths=\\(8, 16\\): expected three"),
        (lambda: PreActResNet(20, widths=(16, 8, 8), shortcut="A"), "out_channels=8"),
        (lambda: PreActResNet(20, num_classes=0), "num_classes=0"),
        (lambda: PreActBlock(0, 8), "in_channels=0"),
        (lambda: PreActBottleneck(8, 0), "channels=0"),
        (lambda: PreActBlock(8, 8, stride=0), "stride=0"),
        (lambda: ResNetV2((2, 2, 2)), "layers=\\(2, 2, 2\\): expected four"),
        (lambda: ResNetV2((2, 2, 0, 2)), "layers=0"),
        (lambda: ResNetV2((1, 1, 1, 1))(torch.zeros(1, 3, 31, 64)), "H and W of 32 or more"),
        (lambda: PreActResNet(8)(torch.zeros(1, 1, 8, 8)), r"expected \(N, 3, H, W\)"),
    ],
)
def test_bad_input_is_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()
