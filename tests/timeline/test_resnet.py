"""ResNet equals torchvision's; the small one has the paper's counts and section 2's body."""

import pytest
import torch
import torchvision
from torch.nn.functional import cross_entropy

from resnetbook.principle.block import BasicBlock, Bottleneck
from resnetbook.principle.counting import closed_form, count
from resnetbook.principle.twins import TwinNet
from resnetbook.timeline import create_model
from resnetbook.timeline.resnet import CifarResNet, ResNet

LARGE = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
# arXiv:1512.03385, table 6, in millions; resnet1202 as printed there.
PRINTED = {
    "resnet20": 0.27,
    "resnet32": 0.46,
    "resnet44": 0.66,
    "resnet56": 0.85,
    "resnet110": 1.7,
    "resnet1202": 19.4,
}


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
    theirs = scramble(torchvision.models.resnet18(num_classes=7))
    ours = ResNet(BasicBlock, (2, 2, 2, 2), num_classes=7)
    ours.load_state_dict(theirs.state_dict())
    x, y = torch.randn(4, 3, 64, 64), torch.randint(7, (4,))
    for net in (ours, theirs):
        cross_entropy(net.train()(x), y).backward()
    own, other = dict(ours.named_parameters()), dict(theirs.named_parameters())
    for name in ("conv1.weight", "layer1.0.conv1.weight", "layer4.0.downsample.0.weight", "fc.bias"):
        assert_equal(own[name].grad, other[name].grad)


@pytest.mark.parametrize("name", LARGE)
def test_counts_equal_torchvisions_metadata(name, on_meta, parameters):
    weights = torchvision.models.get_model_weights(name).IMAGENET1K_V1
    assert parameters(on_meta(name)) == weights.meta["num_params"]


def test_multiplications_equal_torchvisions_metadata():
    found = count(create_model("resnet18"), (3, 224, 224)).multiplications
    assert found == 1_814_073_344


@pytest.mark.parametrize("name", PRINTED)
def test_counts_of_the_paper(name, on_meta, parameters):
    depth = int(name.removeprefix("resnet"))
    found = parameters(on_meta(name))
    assert found == closed_form(depth)[0]
    assert found / 1e6 == pytest.approx(PRINTED[name], rel=0.025)


def test_the_small_network_is_the_twin_of_section_2(assert_equal):
    torch.manual_seed(2)
    ours, twin = CifarResNet(20, num_classes=5), TwinNet(20, num_classes=5, in_channels=3)
    ours.load_state_dict(twin.state_dict(), strict=True)
    x = torch.randn(4, 3, 8, 8)
    assert_equal(ours(x), twin(x))
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in twin.parameters())


def test_type_b_adds_two_projections_and_a_plain_twin_none(parameters):
    a = parameters(CifarResNet(20))
    assert parameters(CifarResNet(20, shortcut="B")) == a + 2_752
    assert parameters(CifarResNet(20, residual=False)) == a


def test_each_stage_halves_the_map():
    net, sizes = ResNet(Bottleneck, (1, 1, 1, 1), num_classes=3, in_channels=1), []
    for number in range(1, 5):
        stage = getattr(net, f"layer{number}")
        stage.register_forward_hook(lambda module, args, out: sizes.append(tuple(out.shape[1:])))
    assert net(torch.randn(2, 1, 224, 224)).shape == (2, 3)
    assert sizes == [(256, 56, 56), (512, 28, 28), (1024, 14, 14), (2048, 7, 7)]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: CifarResNet(21), "depth=21: expected 6n \\+ 2; the nearest are 20 and 26"),
        (lambda: CifarResNet(2), "the smallest is 8"),
        (lambda: CifarResNet(20, num_classes=0), "num_classes=0"),
        (lambda: ResNet(BasicBlock, (2, 2, 2)), "layers=\\(2, 2, 2\\): expected four"),
        (lambda: ResNet(BasicBlock, (2, 2, 0, 2)), "layers=0"),
        (lambda: ResNet(BasicBlock, (1, 1, 1, 1), in_channels=0), "in_channels=0"),
        (lambda: ResNet(BasicBlock, (1, 1, 1, 1))(torch.zeros(1, 3, 31, 64)), "H and W of 32 or more"),
        (lambda: CifarResNet(8)(torch.zeros(1, 1, 8, 8)), r"expected \(N, 3, H, W\)"),
    ],
)
def test_bad_input_is_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()
