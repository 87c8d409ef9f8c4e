"""Inception-ResNet equals timm's (version 2) and pytorchcv's (version 1); what the scale does."""

import pytest
import timm
import torch
from pytorchcv.model_provider import get_model
from torch import nn
from torch.nn.functional import cross_entropy

from resnetbook.principle.counting import count
from resnetbook.principle.gradient_flow import GradientFlow
from resnetbook.timeline import pretrained
from resnetbook.timeline._branches import Conv
from resnetbook.timeline.inception_resnet import (
    InceptionResNetV1,
    InceptionResNetV2,
    MiniInceptionResNet,
    ResidualInception,
)

TABLE = {"branch0": (Conv(3),), "branch1": (Conv(3), Conv(4, (1, 3)), Conv(5, (3, 1)))}


def test_v2_equals_timm_through_the_key_map(assert_equal, scramble):
    torch.manual_seed(0)
    theirs = scramble(timm.create_model("inception_resnet_v2")).eval()
    ours = InceptionResNetV2().eval()
    ours.load_state_dict(pretrained.convert("inception_resnet_v2", theirs.state_dict()), strict=True)
    x = torch.randn(2, 3, 75, 75)
    with torch.no_grad():
        assert_equal(ours(x), theirs(x))


def test_v1_equals_pytorchcv_by_order(assert_equal, scramble, by_order):
    torch.manual_seed(1)
    theirs = scramble(get_model("inceptionresnetv1"))
    theirs.features.final_pool = nn.AdaptiveAvgPool2d(1)  # there for images of 299 pixels alone
    ours = InceptionResNetV1()
    by_order(theirs, ours)
    x, y = torch.randn(2, 3, 75, 75), torch.tensor([3, 5])
    outputs = [net.eval()(x) for net in (ours, theirs)]
    assert_equal(*outputs)
    for out in outputs:
        cross_entropy(out, y).backward()
    assert_equal(ours.fc.weight.grad, theirs.output.fc2.weight.grad)
    assert_equal(
        ours.blocks35[0].branches.branch2_3.conv.weight.grad,
        theirs.features.stage1.unit1.branches.branch3.conv_list.conv3.conv.weight.grad,
    )


@pytest.mark.parametrize(
    ("name", "changes", "found"),
    [
        ("inception_resnet_v1", {}, (23_995_624, None)),
        ("inception_resnet_v2", {}, (55_843_464, 13_155_794_016)),
    ],
)
def test_counts(name, changes, found, on_meta):
    counted = count(on_meta(name, **changes), (3, 299, 299))
    assert counted.parameters == found[0]
    assert found[1] in (None, counted.multiplications)


def test_the_papers_number_of_modules_and_timms_differ(on_meta, parameters):
    paper, timms = on_meta("inception_resnet_v2", blocks=(5, 10, 5)), on_meta("inception_resnet_v2")
    each = [parameters(stage[0]) for stage in (timms.blocks35, timms.blocks17, timms.blocks8)]
    assert parameters(timms) - parameters(paper) == 5 * each[0] + 10 * each[1] + 5 * each[2]
    assert [len(stage) for stage in (timms.blocks35, timms.blocks17, timms.blocks8)] == [10, 20, 10]


def test_maps_of_the_papers_figure(on_meta):
    sizes = []
    for name in ("inception_resnet_v1", "inception_resnet_v2"):
        net = on_meta(name).eval()
        for part in (net.blocks35, net.blocks17, net.blocks8):
            part.register_forward_hook(lambda module, args, out: sizes.append(tuple(out.shape[1:])))
        net(torch.empty(1, 3, 299, 299, device="meta"))
    assert sizes == [(256, 35, 35), (896, 17, 17), (1792, 8, 8), (320, 35, 35), (1088, 17, 17), (2080, 8, 8)]


@pytest.mark.parametrize("network", [InceptionResNetV1, InceptionResNetV2])
def test_scale_0_leaves_stem_and_reductions(network, assert_equal, scramble):
    torch.manual_seed(2)
    net = scramble(network(5, scale=0, blocks=(2, 2, 2))).eval()
    x = torch.randn(2, 3, 75, 75)
    with torch.no_grad():
        plain = net.reduction_b(net.reduction_a(net.stem(x)))
        assert torch.equal(net.features(x), plain)
        logits = net(x)
        net.blocks35, net.blocks17, net.blocks8 = nn.Identity(), nn.Identity(), nn.Identity()
        assert torch.equal(net(x), logits)


def test_the_derivative_with_respect_to_the_scale_at_0_is_the_branch(assert_equal, scramble):
    torch.manual_seed(3)
    block = scramble(ResidualInception(6, TABLE, 0.0, activate=False)).eval().double()
    x = torch.randn(2, 6, 5, 5).double()

    def output(scale):
        block.scale = scale
        return block(x)

    at = torch.zeros((), dtype=torch.float64)
    _, derivative = torch.func.jvp(output, (at,), (torch.ones_like(at),))
    assert_equal(derivative, block.conv(block.branches(x)))
    assert float(derivative.detach().abs().max()) > 0.1


def test_the_scale_can_be_folded_into_the_last_convolution(assert_equal, scramble):
    torch.manual_seed(4)
    scaled = scramble(ResidualInception(6, TABLE, 0.17)).eval()
    folded = ResidualInception(6, TABLE, 1.0).eval()
    folded.load_state_dict(scaled.state_dict())
    with torch.no_grad():
        for parameter in folded.conv.parameters():
            parameter.mul_(0.17)
        x = torch.randn(2, 6, 5, 5)
        assert_equal(folded(x), scaled(x))
        assert_equal(scaled(x), torch.relu(x + 0.17 * scaled.conv(scaled.branches(x))))


def test_the_modules_own_scales(on_meta):
    net = on_meta("inception_resnet_v2")
    scales = [{block.scale for block in stage} for stage in (net.blocks35, net.blocks17, net.blocks8)]
    assert scales == [{0.17}, {0.10}, {0.20, 1.0}]
    assert net.blocks8[-1].scale == 1.0
    assert {m.scale for m in on_meta("inception_resnet_v1", scale=0.3).modules() if hasattr(m, "scale")} == {
        0.3
    }


def test_the_gradient_splits_at_each_module(assert_equal):
    torch.manual_seed(5)
    net = MiniInceptionResNet(3, 1, (8, 16, 32), blocks=1, scale=0.3).double()
    names = [name for name, module in net.named_modules() if isinstance(module, ResidualInception)]
    x, y = torch.randn(4, 1, 8, 8).double(), torch.tensor([0, 1, 2, 0])
    splits = []
    for scale in (0.3, 0.0):
        for name in names:
            net.get_submodule(name).scale = scale
        with GradientFlow(net, blocks=names) as flow:
            cross_entropy(net(x), y).backward()
        splits.append(flow.split)
    assert list(splits[0]) == names
    for name in names:
        assert_equal(splits[0][name].total, splits[0][name].identity + splits[0][name].residual)
        assert float(splits[0][name].residual.abs().max()) > 0
        assert float(splits[1][name].residual.abs().max()) == 0
        assert float(splits[1][name].identity.abs().max()) > 0


def test_the_small_form_differs_from_its_plain_twin_in_the_sum_alone(assert_equal, parameters):
    torch.manual_seed(6)
    residual, plain = MiniInceptionResNet(), MiniInceptionResNet(residual=False)
    plain.load_state_dict(residual.state_dict(), strict=True)
    assert parameters(plain) == parameters(residual)
    x = torch.randn(2, 16, 8, 8)
    ours, twin = residual.features[0], plain.features[0]
    out = ours.conv(ours.branches(x))
    assert_equal(ours(x), torch.relu(x + 0.3 * out))
    assert_equal(twin(x), torch.relu(out))


@pytest.mark.parametrize("size", [4, 8, 14, 32])
def test_the_small_form_halves_the_map_twice(size):
    net, sizes = MiniInceptionResNet(2, 1, (8, 16, 32), blocks=1), []
    for part in net.features:
        part.register_forward_hook(lambda module, args, out: sizes.append(tuple(out.shape[1:])))
    assert net(torch.randn(2, 1, size, size)).shape == (2, 2)
    half = (size + 1) // 2
    quarter = (half + 1) // 2
    assert [channels for channels, *_ in sizes] == [8, 16, 16, 32, 32]
    assert [rows for _, rows, _ in sizes] == [size, half, half, quarter, quarter]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: InceptionResNetV1(0), "num_classes=0"),
        (lambda: InceptionResNetV2(scale=-0.1), "scale=-0.1: expected a number of 0 or more"),
        (lambda: InceptionResNetV2(blocks=(1, 2)), r"blocks=\(1, 2\): expected three"),
        (lambda: InceptionResNetV2(blocks=(1, 0, 2)), "blocks=0"),
        (lambda: InceptionResNetV1(in_channels=0), "in_channels=0"),
        (lambda: InceptionResNetV2()(torch.zeros(1, 3, 74, 75)), "H and W of 75 or more"),
        (lambda: MiniInceptionResNet(widths=(16, 16, 32)), "three rising multiples of 4"),
        (lambda: MiniInceptionResNet(widths=(6, 16, 32)), "three rising multiples of 4"),
        (lambda: MiniInceptionResNet(blocks=0), "blocks=0"),
        (lambda: MiniInceptionResNet(scale=float("nan")), "scale=nan"),
        (lambda: MiniInceptionResNet()(torch.zeros(1, 3, 3, 8)), "H and W of 4 or more"),
    ],
)
def test_bad_input_is_named(build, message):
    with torch.device("meta"), pytest.raises(ValueError, match=message):
        build()
