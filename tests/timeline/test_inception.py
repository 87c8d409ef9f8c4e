"""Inception-v3 equals torchvision's, with its auxiliary classifier; version 4 equals timm's; what factorising means."""

import pytest
import timm
import torch
import torchvision
from torch.nn.functional import conv2d, cross_entropy

from resnetbook.principle.counting import count
from resnetbook.timeline import create_model, pretrained
from resnetbook.timeline._branches import Branches, Conv, Mean
from resnetbook.timeline.inception import COLUMN, ROW, InceptionOutputs, InceptionV3, InceptionV4


def torchvisions(**changes):
    return torchvision.models.inception_v3(init_weights=False, **changes)


def gradients_agree(ours, theirs, names, assert_equal):
    own, other = dict(ours.named_parameters()), dict(theirs.named_parameters())
    for name, their_name in names.items():
        assert_equal(own[name].grad, other[their_name].grad)


def test_v3_equals_torchvision_with_its_weights_loaded_strictly(assert_equal, scramble):
    torch.manual_seed(0)
    theirs = scramble(torchvisions(aux_logits=True))
    ours = InceptionV3(aux_logits=True)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        assert_equal(ours.eval()(x), theirs.eval()(x))
        ours.transform_input = theirs.transform_input = True
        assert_equal(ours(x), theirs(x))


def test_v3_trains_as_torchvision_does_with_the_auxiliary_classifier(assert_equal, scramble):
    torch.manual_seed(1)
    theirs = scramble(torchvisions(aux_logits=True, num_classes=5, dropout=0.0))
    ours = InceptionV3(num_classes=5, aux_logits=True)
    ours.load_state_dict(theirs.state_dict())
    ours.dropout.p = 0.0
    x, y = torch.randn(2, 3, 299, 299), torch.tensor([1, 3])
    outputs = [net.train()(x) for net in (ours, theirs)]
    assert isinstance(outputs[0], InceptionOutputs)
    for own, other in zip(*outputs, strict=True):
        assert_equal(own, other, 1e-4)  # statistics of two images
    for out in outputs:
        (cross_entropy(out.logits, y) + 0.4 * cross_entropy(out.aux_logits, y)).backward()
    names = ("fc.weight", "AuxLogits.fc.weight", "AuxLogits.conv0.bn.weight", "Mixed_7c.branch1x1.bn.bias")
    gradients_agree(ours, theirs, {name: name for name in names}, lambda a, b: assert_equal(a, b, 1e-4))


def test_the_auxiliary_classifier_leaves_the_logits_alone(assert_equal):
    torch.manual_seed(2)
    with_head, without = InceptionV3(3, aux_logits=True, in_channels=1), InceptionV3(3, in_channels=1)
    own = without.state_dict()
    without.load_state_dict({key: value for key, value in with_head.state_dict().items() if key in own})
    x = torch.randn(2, 1, 75, 75)
    with torch.no_grad():
        assert_equal(with_head.eval()(x), without.eval()(x))


def test_v4_equals_timm_through_the_key_map(assert_equal, scramble):
    torch.manual_seed(3)
    theirs = scramble(timm.create_model("inception_v4", num_classes=1000))
    ours = InceptionV4()
    ours.load_state_dict(pretrained.convert("inception_v4", theirs.state_dict()), strict=True)
    x, y = torch.randn(2, 3, 75, 75), torch.tensor([1, 3])
    outputs = [net.eval()(x) for net in (ours, theirs)]
    assert_equal(*outputs)
    for out in outputs:
        cross_entropy(out, y).backward()
    names = {
        "features.0.conv.weight": "features.0.conv.weight",
        "features.3.conv.conv.weight": "features.3.conv.conv.weight",
        "features.6.branch3.conv.weight": "features.6.branch3.1.conv.weight",
        "features.21.branch2_4b.conv.weight": "features.21.branch2_3b.conv.weight",
        "fc.bias": "last_linear.bias",
    }
    gradients_agree(ours, theirs, names, assert_equal)


@pytest.mark.parametrize(
    ("name", "changes", "found", "multiplications"),
    [
        ("inception_v3", {}, 23_834_568, 5_713_216_096),
        ("inception_v3", {"aux_logits": True}, 27_161_264, 5_713_216_096),
        ("inception_v4", {}, 42_679_816, 12_253_974_624),
    ],
)
def test_counts(name, changes, found, multiplications, on_meta):
    counted = count(on_meta(name, **changes), (3, 299, 299))
    assert (counted.parameters, counted.multiplications) == (found, multiplications)
    if name == "inception_v3" and changes:
        assert found == torchvision.models.Inception_V3_Weights.IMAGENET1K_V1.meta["num_params"]


def test_maps_of_the_papers_tables(on_meta):
    sizes = []
    v3, v4 = on_meta("inception_v3"), on_meta("inception_v4")
    parts = [getattr(v3, f"Mixed_{name}") for name in ("5d", "6a", "6e", "7a", "7c")]
    parts += [v4.features[i] for i in (5, 9, 17, 21)]
    for part in parts:
        part.register_forward_hook(lambda module, args, out: sizes.append(tuple(out.shape[1:])))
    x = torch.empty(1, 3, 299, 299, device="meta")
    v3.eval()(x)
    assert sizes == [(288, 35, 35), (768, 17, 17), (768, 17, 17), (1280, 8, 8), (2048, 8, 8)]
    sizes.clear()
    v4.eval()(x)
    assert sizes == [(384, 35, 35), (384, 35, 35), (1024, 17, 17), (1536, 8, 8)]


def test_a_row_and_a_column_are_one_kernel_of_rank_one(assert_equal):
    torch.manual_seed(4)
    pair = Branches(1, {"branch": (Conv(1, ROW), Conv(1, COLUMN))}).double()
    row, column = pair.branch_1.conv.weight, pair.branch_2.conv.weight
    x = torch.randn(2, 1, 17, 17).double()
    square = column.reshape(7, 1) @ row.reshape(1, 7)
    apart = conv2d(conv2d(x, row, padding=(0, 3)), column, padding=(3, 0))
    assert_equal(apart, conv2d(x, square[None, None], padding=3))
    assert row.numel() + column.numel() == 14
    assert square.numel() == 49
    assert torch.linalg.matrix_rank(square) == 1


@pytest.mark.parametrize("count_padding", [True, False])
def test_the_mean_before_a_1x1_convolution_may_come_after_it(count_padding, assert_equal, scramble):
    torch.manual_seed(5)
    module = scramble(Branches(6, {"branch": (Mean(4, count_padding),)})).eval()
    unit = module.branch
    x = torch.randn(2, 6, 5, 5)
    mean = torch.nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=count_padding)(x)
    assert_equal(module(x), torch.relu(unit.bn(unit.conv(mean))))


def test_weights_of_a_file_with_the_head_load_without_it(tmp_path, assert_equal):
    torch.manual_seed(6)
    theirs = torchvisions(aux_logits=True)
    torch.save(theirs.state_dict(), tmp_path / "v3.pth")
    x = torch.randn(1, 3, 80, 80)
    with torch.no_grad():
        ours = create_model("inception_v3", weights=tmp_path / "v3.pth")
        assert_equal(ours.eval()(x), theirs.eval()(x))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: InceptionV3(0), "num_classes=0"),
        (lambda: InceptionV3(in_channels=0), "in_channels=0"),
        (lambda: InceptionV4(-1), "num_classes=-1"),
        (lambda: InceptionV3()(torch.zeros(1, 3, 74, 80)), "H and W of 75 or more"),
        (lambda: InceptionV3(aux_logits=True)(torch.zeros(1, 3, 298, 299)), "H and W of 299 or more"),
        (lambda: InceptionV4()(torch.zeros(1, 1, 80, 80)), r"expected \(N, 3, H, W\)"),
        (lambda: InceptionV4()(torch.zeros(1, 3, 75, 74)), "H and W of 75 or more"),
    ],
)
def test_bad_input_is_named(build, message):
    with torch.device("meta"), pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("name", ["inception_v3", "inception_v4"])
def test_the_smallest_image_is_the_smallest(name, on_meta):
    net = on_meta(name).eval()
    assert net(torch.empty(1, 3, 75, 75, device="meta")).shape == (1, 1000)
    last = list(net.children())[-4]  # what comes before the mean
    seen = []
    last.register_forward_hook(lambda module, args, out: seen.append(tuple(out.shape[2:])))
    net(torch.empty(1, 3, 75, 75, device="meta"))
    assert seen == [(1, 1)]
