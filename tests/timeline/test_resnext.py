"""ResNeXt equals torchvision's and timm's; its three forms are one function; cardinality 1 is ResNet."""

import pytest
import torch
import torchvision
from torch.nn.functional import conv2d, cross_entropy

from resnetbook.principle.block import Bottleneck
from resnetbook.principle.counting import count
from resnetbook.timeline import create_model
from resnetbook.timeline.pretrained import convert
from resnetbook.timeline.resnext import Branches, CifarResNeXt, GroupedBottleneck, ResNeXt

LARGE = ("resnext50_32x4d", "resnext101_32x8d")


@pytest.mark.parametrize("name", LARGE)
def test_equals_torchvision_with_its_weights_loaded_strictly(name, assert_equal, scramble):
    torch.manual_seed(0)
    theirs = scramble(getattr(torchvision.models, name)())
    ours = create_model(name)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert_equal(ours.eval()(x), theirs.eval()(x))


def test_trains_as_torchvision_does(assert_equal, scramble):
    torch.manual_seed(1)
    theirs = scramble(torchvision.models.resnext50_32x4d(num_classes=7))
    ours = create_model("resnext50_32x4d", num_classes=7)
    ours.load_state_dict(theirs.state_dict())
    x, y = torch.randn(4, 3, 64, 64), torch.randint(7, (4,))
    for net in (ours, theirs):
        cross_entropy(net.train()(x), y).backward()
    own, other = dict(ours.named_parameters()), dict(theirs.named_parameters())
    for name in ("conv1.weight", "layer1.0.conv2.weight", "layer4.0.downsample.0.weight", "fc.bias"):
        assert_equal(own[name].grad, other[name].grad)


def test_equals_timm_through_the_conversion_of_weights(assert_equal, scramble):
    timm = pytest.importorskip("timm")
    torch.manual_seed(2)
    theirs = scramble(timm.create_model("resnext50_32x4d", pretrained=False))
    ours = create_model("resnext50_32x4d")
    ours.load_state_dict(convert("resnext50_32x4d", theirs.state_dict()))
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert_equal(ours.eval()(x), theirs.eval()(x))


@pytest.mark.parametrize(("base_width", "name"), [(64, "resnet50"), (128, "wide_resnet50_2")])
def test_cardinality_1_is_resnet(base_width, name, assert_equal, scramble):
    torch.manual_seed(3)
    theirs = scramble(getattr(torchvision.models, name)())
    ours = ResNeXt((3, 4, 6, 3), cardinality=1, base_width=base_width)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert_equal(ours.eval()(x), theirs.eval()(x))


def test_block_of_cardinality_1_is_the_bottleneck_of_section_2(assert_equal, scramble):
    torch.manual_seed(4)
    theirs = scramble(Bottleneck(32, 16, stride=2))
    ours = GroupedBottleneck(32, 16, stride=2, cardinality=1, base_width=16, base=16)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = torch.randn(4, 32, 9, 9)
    assert_equal(ours(x), theirs(x))


@pytest.mark.parametrize("join", ["sum", "concat"])
@pytest.mark.parametrize(("in_channels", "stride"), [(128, 1), (48, 2)])
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_the_three_forms_of_the_block_agree(join, in_channels, stride, mode, assert_equal, scramble):
    torch.manual_seed(5)
    block = scramble(
        GroupedBottleneck(in_channels, 32, stride=stride, cardinality=8, base_width=4, base=32)
    ).double()
    split = Branches(block, join).double()
    getattr(block, mode)(), getattr(split, mode)()
    x = torch.randn(4, in_channels, 8, 8, dtype=torch.double)
    ours, theirs = block(x), split(x)
    assert_equal(theirs, ours, tolerance=1e-12)
    ours.square().sum().backward(), theirs.square().sum().backward()
    for number, branch in enumerate(split.branches):  # and so do their gradients
        assert_equal(branch[3].weight.grad, block.conv2.weight.grad.chunk(8)[number], tolerance=1e-10)


def test_a_grouped_convolution_is_a_dense_one_with_a_block_diagonal_kernel(assert_equal):
    torch.manual_seed(6)
    conv = GroupedBottleneck(16, 4, cardinality=4, base_width=2, base=4).conv2.double()
    dense = torch.zeros(8, 8, 3, 3, dtype=torch.double)
    for group in range(4):
        own = slice(2 * group, 2 * group + 2)
        dense[own, own] = conv.weight[own].detach()
    x = torch.randn(2, 8, 5, 5, dtype=torch.double)
    assert_equal(conv(x), conv2d(x, dense, padding=1), tolerance=1e-12)


def test_branches_do_not_see_each_other():
    torch.manual_seed(7)
    block = GroupedBottleneck(16, 4, cardinality=4, base_width=2, base=4).eval()
    inner = torch.randn(1, 8, 6, 6, requires_grad=True)
    block.conv2(inner)[:, 2:4].sum().backward()
    reached = inner.grad.abs().sum(dim=(0, 2, 3)) > 0
    assert reached.tolist() == [False, False, True, True, False, False, False, False]


def test_counts_equal_torchvisions_metadata(on_meta, parameters):
    for name in LARGE:
        weights = torchvision.models.get_model_weights(name).IMAGENET1K_V1
        assert parameters(on_meta(name)) == weights.meta["num_params"]


def test_counts_of_the_small_network(on_meta, parameters):
    # models.md 2.8; the paper prints 34.4 and 68.1 million.
    assert parameters(on_meta("resnext29_8x64d")) == 34_426_698
    assert parameters(on_meta("resnext29_16x64d")) == 68_155_210
    assert parameters(on_meta("resnext29_8x64d", num_classes=100)) == 34_518_948
    with torch.device("meta"):
        assert parameters(CifarResNeXt(29, 32, 4)) == 4_775_754
        assert parameters(CifarResNeXt(29, 1, 64)) == 4_914_250


def test_the_small_network_equals_pytorchcvs_by_order(by_order, assert_equal, scramble):
    provider = pytest.importorskip("pytorchcv.model_provider")
    torch.manual_seed(8)
    theirs = scramble(provider.get_model("resnext29_32x4d_cifar10", pretrained=False))
    ours = CifarResNeXt(29, 32, 4)
    by_order(theirs, ours)
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert_equal(ours.eval()(x), theirs.eval()(x))


def test_fifty_layers_have_fewer_parameters_and_more_multiplications():
    # Erratum E11: 2.1 % fewer, 3.5 % more.
    resnext, resnet = (count(create_model(name), (3, 224, 224)) for name in ("resnext50_32x4d", "resnet50"))
    assert (resnext.parameters, resnet.parameters) == (25_028_904, 25_557_032)
    assert (resnext.multiplications, resnet.multiplications) == (4_230_479_872, 4_089_184_256)


def test_pairs_of_the_paper_have_about_equal_parameters(parameters):
    # Table 2: cardinality and width at about the same complexity.
    with torch.device("meta"):
        found = [
            parameters(ResNeXt((3, 4, 6, 3), *pair)) for pair in ((1, 64), (2, 40), (4, 24), (8, 14), (32, 4))
        ]
    assert max(found) / min(found) < 1.03


def test_each_stage_halves_the_map():
    net, sizes = CifarResNeXt(11, 2, 4, num_classes=3, in_channels=1, widths=(4, 8, 16)), []
    for number in range(1, 4):
        getattr(net, f"layer{number}").register_forward_hook(
            lambda module, args, out: sizes.append(tuple(out.shape[1:]))
        )
    assert net(torch.randn(2, 1, 8, 8)).shape == (2, 3)
    assert sizes == [(16, 8, 8), (32, 4, 4), (64, 2, 2)]
    inner = [net.get_submodule(f"layer{k}.0.conv2") for k in (1, 2, 3)]
    assert [conv.out_channels for conv in inner] == [8, 16, 32]
    assert {conv.groups for conv in inner} == {2}  # groups, not channels of a group


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: CifarResNeXt(30), "depth=30: expected 9n \\+ 2; the nearest are 29 and 38"),
        (lambda: CifarResNeXt(2), "the smallest is 11"),
        (lambda: CifarResNeXt(11, cardinality=0), "cardinality=0"),
        (lambda: CifarResNeXt(11, base_width=0), "base_width=0"),
        (lambda: CifarResNeXt(11, widths=(4, 8)), "widths=\\(4, 8\\): expected three"),
        (lambda: CifarResNeXt(11, widths=(0, 4, 8)), "widths=0: expected an integer of 1 or more"),
        (lambda: CifarResNeXt(11, widths=(4.0, 4, 8)), "widths=4.0"),
        (lambda: CifarResNeXt(11, base_width=1, widths=(8, 4, 2)), "base_width=1: expected 2 or more"),
        (lambda: CifarResNeXt(11, num_classes=0), "num_classes=0"),
        (lambda: ResNeXt((3, 4, 6)), "layers=\\(3, 4, 6\\): expected four"),
        (lambda: ResNeXt((1, 1, 1, 1), base_width=2.5), "base_width=2.5"),
        (lambda: Branches(GroupedBottleneck(8, 2, cardinality=1, base_width=32), "mean"), "join='mean'"),
        (lambda: CifarResNeXt(11, in_channels=0), "in_channels=0"),
        (lambda: CifarResNeXt(11, 1, 4)(torch.zeros(1, 1, 8, 8)), r"expected \(N, 3, H, W\)"),
        (lambda: CifarResNeXt(11, 1, 4)(torch.zeros(1, 3, 3, 8)), "H and W of 4 or more"),
    ],
)
def test_bad_input_is_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()
