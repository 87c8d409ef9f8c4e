"""AlexNet equals torchvision's single tower; that of 2012 has the paper's layers, halves, normalisation and counts."""

import pytest
import torch
import torchvision
from torch import nn
from torch.nn.functional import conv2d, cross_entropy

from resnetbook.principle.counting import count
from resnetbook.timeline import create_model
from resnetbook.timeline.alexnet import AlexNet


def test_equals_torchvision_with_its_weights_loaded_strictly(assert_equal):
    torch.manual_seed(0)
    theirs, ours = torchvision.models.alexnet(), create_model("alexnet")
    ours.load_state_dict(theirs.state_dict(), strict=True)
    ours.eval()
    theirs.eval()
    with torch.no_grad():
        for size in (63, 96):
            x = torch.randn(2, 3, size, size)
            assert_equal(ours(x), theirs(x))


def test_trains_as_torchvision_does(assert_equal):
    torch.manual_seed(1)
    theirs, ours = torchvision.models.alexnet(num_classes=5), AlexNet(num_classes=5)
    ours.load_state_dict(theirs.state_dict())
    x, y = torch.randn(2, 3, 64, 64), torch.randint(5, (2,))
    for net in (ours, theirs):
        torch.manual_seed(2)  # the same inputs dropped
        cross_entropy(net.train()(x), y).backward()
    own, other = dict(ours.named_parameters()), dict(theirs.named_parameters())
    for name in ("features.0.weight", "features.10.bias", "classifier.6.weight"):
        assert_equal(own[name].grad, other[name].grad)


def test_counts_equal_torchvisions_metadata(on_meta, parameters):
    meta = torchvision.models.AlexNet_Weights.IMAGENET1K_V1.meta
    assert parameters(on_meta("alexnet")) == meta["num_params"] == 61_100_840
    net = create_model("alexnet")
    assert count(net, (3, 224, 224)).multiplications == 714_188_480


def test_counts_of_2012_layer_by_layer(on_meta, parameters):
    net = on_meta("alexnet_2012")
    layers = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert [parameters(layer) for layer in layers] == [
        34_944, 307_456, 885_120, 663_936, 442_624, 37_752_832, 16_781_312, 4_097_000,
    ]  # fmt: skip
    assert parameters(net) == 60_965_224
    assert [layer.groups for layer in layers[:5]] == [1, 2, 1, 2, 2]
    # Without the two halves, and without its own widths.
    assert parameters(on_meta("alexnet", widths=(96, 256, 384, 384, 256))) == 62_378_344
    assert parameters(on_meta("alexnet", groups=2)) == 60_965_224


def test_no_kernel_has_seven_pixels(on_meta):
    for name in ("alexnet", "alexnet_2012"):
        convs = [m for m in on_meta(name).modules() if isinstance(m, nn.Conv2d)]
        assert [(conv.kernel_size[0], conv.stride[0]) for conv in convs] == [(11, 4), (5, 1)] + [(3, 1)] * 3


@pytest.mark.parametrize(
    "layer", [4, 12]
)  # conv 2 and conv 5 of 2012, behind response normalisation and pooling
def test_two_groups_are_two_towers(layer, assert_equal):
    torch.manual_seed(3)
    conv = create_model("alexnet_2012", num_classes=2).features[layer]
    assert conv.groups == 2
    x = torch.randn(1, conv.in_channels, 7, 7)
    halves = [
        conv2d(part, weight, bias, padding=conv.padding)
        for part, weight, bias in zip(x.chunk(2, 1), conv.weight.chunk(2), conv.bias.chunk(2), strict=True)
    ]
    assert_equal(conv(x), torch.cat(halves, dim=1))


def test_response_normalisation_is_the_papers_equation(assert_equal):
    (first, _) = [m for m in AlexNet(groups=2).features if isinstance(m, nn.LocalResponseNorm)]
    torch.manual_seed(4)
    a, expected = 50 * torch.randn(1, 12, 3, 3), torch.empty(1, 12, 3, 3)
    for i in range(12):
        near = a[:, max(0, i - 2) : i + 3].square().sum(1)
        expected[:, i] = a[:, i] / (2 + 1e-4 * near) ** 0.75
    assert_equal(first(a), expected)
    assert not any(isinstance(m, nn.LocalResponseNorm) for m in AlexNet().modules())


def test_overlapping_pooling_takes_224_pixels_to_6(on_meta):
    for name in ("alexnet", "alexnet_2012"):
        net, sizes = on_meta(name).eval(), []
        for module in net.features:
            if isinstance(module, nn.Conv2d | nn.MaxPool2d):
                module.register_forward_hook(
                    lambda module, args, out, sizes=sizes: sizes.append(out.shape[-1])
                )
        assert net(torch.zeros(1, 3, 224, 224, device="meta")).shape == (1, 1000)
        assert sizes == [55, 27, 27, 13, 13, 13, 13, 6]


def test_first_weights_of_2012():
    torch.manual_seed(5)
    layers = [m for m in AlexNet(groups=2).modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert [float(layer.bias.detach().mean()) for layer in layers] == [0, 1, 0, 1, 1, 1, 1, 0]
    assert all(float(layer.weight.detach().std()) == pytest.approx(0.01, rel=0.02) for layer in layers)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: AlexNet(groups=3), r"groups=3: expected 1 .* or 2"),
        (lambda: AlexNet(num_classes=0), "num_classes=0"),
        (lambda: AlexNet(in_channels=0), "in_channels=0"),
        (lambda: AlexNet(dropout=1.0), "dropout=1.0"),
        (lambda: AlexNet(widths=(8, 8)), r"widths=\(8, 8\): expected five"),
        (lambda: AlexNet(widths=(8, 8, 8, 0, 8)), "widths=0"),
        (lambda: AlexNet(groups=2, widths=(8, 8, 8, 7, 8)), "that 2 divides"),
        (lambda: AlexNet(num_classes=2)(torch.zeros(1, 3, 62, 99)), "H and W of 63 or more"),
        (lambda: AlexNet(num_classes=2)(torch.zeros(3, 64, 64)), r"expected \(N, 3, H, W\)"),
    ],
)
def test_bad_input_is_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()
