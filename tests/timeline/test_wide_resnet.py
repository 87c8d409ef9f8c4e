"""WRN equals pytorchcv's with its weights; of factor 1 it is ResNet V2; wide_resnet50_2 is torchvision's."""

import re

import pytest
import torch
import torchvision
from pytorchcv.model_provider import get_model
from torch.nn.functional import cross_entropy

from resnetbook.principle.counting import count
from resnetbook.timeline import create_model
from resnetbook.timeline.resnet_v2 import PreActResNet
from resnetbook.timeline.wide_resnet import WideBlock, WideResNet

# Names of pytorchcv's network in ours.
PYTORCHCV = (
    (r"^features\.init_block\.", "conv1."),
    (r"^features\.post_activ\.bn\.", "bn."),
    (r"^features\.stage(\d)\.unit(\d+)\.", lambda m: f"layer{m[1]}.{int(m[2]) - 1}."),
    (r"\.body\.conv(\d)\.(bn|conv)\.", r".\2\1."),
    (r"\.identity_conv\.", ".downsample."),
    (r"^output\.", "fc."),
)
# arXiv:1605.07146, tables 4 and 5, in millions.
PRINTED = {(16, 4): 2.7, (40, 4): 8.9, (16, 8): 11.0, (22, 8): 17.2, (28, 10): 36.5, (40, 10): 55.8}
EXACT = {
    (16, 1): 175_066,
    (16, 4): 2_748_890,
    (28, 10): 36_479_194,
    (40, 2): 2_243_546,
    (40, 4): 8_949_210,
    (16, 8): 10_961_370,
    (40, 10): 55_841_754,
}


def renamed(state):
    """pytorchcv's state_dict under our names."""
    for pattern, replacement in PYTORCHCV:
        state = {re.sub(pattern, replacement, key): value for key, value in state.items()}
    return state


def test_equals_pytorchcv_with_its_weights_renamed(assert_equal, scramble):
    torch.manual_seed(0)
    theirs = scramble(get_model("wrn16_10_cifar10"))
    ours = WideResNet(16, 10)
    ours.load_state_dict(renamed(theirs.state_dict()), strict=True)
    x = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        assert_equal(ours.eval()(x), theirs.eval()(x))


def test_of_factor_1_it_is_resnet_v2(assert_equal, scramble):
    # The label counts the projections of the stages, so that 22 here is 20 there.
    torch.manual_seed(1)
    older = scramble(PreActResNet(20, num_classes=5)).double()
    wide = WideResNet(22, 1, num_classes=5).double()
    wide.load_state_dict(older.state_dict(), strict=True)
    x, y = torch.randn(4, 3, 8, 8).double(), torch.tensor([0, 1, 2, 3])
    for network in (older, wide):
        network.train()
    assert_equal(wide(x), older(x), 0.0)
    for network in (older, wide):
        cross_entropy(network(x), y).backward()
    gradients = dict(older.named_parameters())
    for name, parameter in wide.named_parameters():
        assert_equal(parameter.grad, gradients[name].grad, 0.0)


def test_a_wider_network_can_do_what_a_narrower_one_does(assert_equal, scramble):
    """Weights of k = 2 in the first half of k = 4, and nothing read from the other half: the same logits."""
    torch.manual_seed(2)
    narrow, wide = scramble(WideResNet(10, 2)), scramble(WideResNet(10, 4), 1)
    target = wide.state_dict()
    for name, value in narrow.state_dict().items():
        place = target[name]
        if value.dim() == 4 or name == "fc.weight":  # no kept output reads a new channel
            place[: len(value)] = 0
        place[tuple(slice(size) for size in value.shape)] = value
    x = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        assert_equal(wide.eval()(x), narrow.eval()(x))
        assert_equal(wide.train()(x), narrow.train()(x))


@pytest.mark.parametrize(("shape", "expected"), EXACT.items())
def test_exact_counts(shape, expected, parameters):
    with torch.device("meta"):
        assert parameters(WideResNet(*shape)) == expected


@pytest.mark.parametrize(("shape", "expected"), PRINTED.items())
def test_counts_of_the_paper(shape, expected, parameters):
    with torch.device("meta"):
        assert parameters(WideResNet(*shape)) / 1e6 == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(("name", "expected"), [("wrn16_4", 2_748_890), ("wrn40_4", 8_949_210)])
def test_variants_by_name(name, expected, on_meta, parameters):
    assert parameters(on_meta(name)) == expected


def test_multiplications_grow_with_the_square_of_the_width():
    found = [count(WideResNet(16, k), (3, 32, 32)).multiplications for k in (1, 2, 4)]
    assert found == [26_657_408, 101_106_944, 392_612_352]
    assert 3.7 < found[1] / found[0] < found[2] / found[1] < 4


def test_dropout_stands_between_the_convolutions_and_in_training_alone(assert_equal):
    torch.manual_seed(3)
    plain, dropping = WideResNet(16, 2), WideResNet(16, 2, dropout=0.3)
    dropping.load_state_dict(plain.state_dict(), strict=True)
    x = torch.randn(4, 3, 16, 16)
    with torch.no_grad():
        assert_equal(dropping.eval()(x), plain.eval()(x), 0.0)

    block = dropping.layer1[1].train()
    seen = {}
    for name in ("conv1", "conv2"):
        block.get_submodule(name).register_forward_pre_hook(lambda _, args, n=name: seen.update({n: args[0]}))
    x = torch.randn(8, 32, 16, 16)
    with torch.no_grad():
        out = block(x)
        kept = block.relu(block.bn2(block.conv1(seen["conv1"])))
        assert_equal(out, x + block.conv2(seen["conv2"]))  # the shortcut loses nothing
    dropped = (seen["conv2"] == 0) & (kept > 0)
    assert 0.28 < dropped.sum() / (kept > 0).sum() < 0.32
    assert_equal(seen["conv2"][~dropped], kept[~dropped] / 0.7)  # what is left is scaled up
    assert_equal(seen["conv1"], block.relu(block.bn1(x)))  # nothing is dropped before


def test_torchvisions_wide_resnet_with_its_weights_loaded_strictly(assert_equal, scramble):
    torch.manual_seed(4)
    theirs = scramble(torchvision.models.wide_resnet50_2(num_classes=10))
    ours = create_model("wide_resnet50_2", num_classes=10)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        assert_equal(ours.eval()(x), theirs.eval()(x))


def test_count_of_torchvisions_wide_resnet(on_meta, parameters):
    weights = torchvision.models.get_model_weights("wide_resnet50_2").IMAGENET1K_V1
    assert parameters(on_meta("wide_resnet50_2")) == weights.meta["num_params"] == 68_883_240


def test_each_stage_halves_the_map_and_the_stem_stays_narrow():
    net, sizes = WideResNet(16, 3, in_channels=1), []
    for part in (net.conv1, net.layer1, net.layer2, net.layer3):
        part.register_forward_hook(lambda module, args, out: sizes.append(tuple(out.shape[1:])))
    assert net(torch.randn(2, 1, 32, 32)).shape == (2, 10)
    assert sizes == [(16, 32, 32), (48, 32, 32), (96, 16, 16), (192, 8, 8)]
    assert net(torch.randn(2, 1, 8, 8)).shape == (2, 10)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: WideResNet(20, 4), "depth=20: expected 6n \\+ 4; the nearest are 16 and 22"),
        (lambda: WideResNet(4, 4), "the smallest is 10"),
        (lambda: WideResNet(16, 0), "widen_factor=0"),
        (lambda: WideResNet(16, 1.5), "widen_factor=1.5"),
        (lambda: WideResNet(16, 4, dropout=1.0), "dropout=1.0: expected a probability"),
        (lambda: WideBlock(4, 4, dropout=-0.1), "dropout=-0.1"),
        (lambda: WideResNet(16, 4, widths=(8, 16)), r"widths=\(8, 16\): expected three"),
        (lambda: WideResNet(16, 4, num_classes=0), "num_classes=0"),
        (lambda: WideResNet(10, 1)(torch.zeros(1, 3, 3, 8)), "H and W of 4 or more"),
    ],
)
def test_bad_input_is_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()
