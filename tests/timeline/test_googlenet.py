"""GoogLeNet equals torchvision's, heads included; that of the paper has its layers, its heads and its counts."""

import pytest
import torch
import torchvision
from torch import nn
from torch.nn.functional import conv2d, cross_entropy, max_pool2d, relu

from resnetbook.principle.counting import count
from resnetbook.timeline import create_model
from resnetbook.timeline.googlenet import GoogLeNet, Head, Inception, Outputs

# Table 1 of the paper, channels that each module puts out.
WIDTHS = {
    "3a": 256, "3b": 480, "4a": 512, "4b": 512, "4c": 512, "4d": 528, "4e": 832, "5a": 832, "5b": 1024,
}  # fmt: skip


def theirs_with(scramble, **changes):
    torch.manual_seed(0)
    net = torchvision.models.GoogLeNet(init_weights=False, **changes)
    return scramble(net)


def test_equals_torchvision_with_its_weights_loaded_strictly(assert_equal, scramble):
    theirs, ours = theirs_with(scramble), create_model("googlenet")
    ours.load_state_dict(theirs.state_dict(), strict=True)
    ours.eval()
    theirs.eval()
    with torch.no_grad():
        for size in (15, 64):
            x = torch.randn(2, 3, size, size)
            assert_equal(ours(x), theirs(x))
            ours.transform_input = theirs.transform_input = True
            assert_equal(ours(x), theirs(x))
            ours.transform_input = theirs.transform_input = False


def test_trains_with_its_heads_as_torchvision_does(assert_equal, scramble):
    theirs, ours = theirs_with(scramble, num_classes=7), GoogLeNet(num_classes=7)
    ours.load_state_dict(theirs.state_dict())
    x, y = torch.randn(4, 3, 64, 64), torch.randint(7, (4,))
    outputs = []
    for net in (ours, theirs):
        torch.manual_seed(1)  # the same inputs dropped
        out = net.train()(x)
        assert type(out)._fields == ("logits", "aux_logits2", "aux_logits1")
        logits, second, first = out
        loss = cross_entropy(logits, y) + 0.3 * (cross_entropy(second, y) + cross_entropy(first, y))
        loss.backward()
        outputs.append(out)
    for own, other in zip(*outputs, strict=True):
        assert_equal(own, other)
    own, other = dict(ours.named_parameters()), dict(theirs.named_parameters())
    for name in ("conv1.conv.weight", "inception4a.branch3.1.bn.weight", "aux1.fc1.weight", "fc.bias"):
        assert_equal(own[name].grad, other[name].grad)


def test_counts_equal_torchvisions(on_meta, parameters):
    meta = torchvision.models.GoogLeNet_Weights.IMAGENET1K_V1.meta
    assert parameters(on_meta("googlenet", aux_logits=False)) == meta["num_params"] == 6_624_904
    assert parameters(on_meta("googlenet")) == 13_004_888
    assert count(GoogLeNet(), (3, 224, 224)).multiplications == 1_498_376_192


def test_counts_of_the_paper(on_meta, parameters):
    assert parameters(on_meta("googlenet_2014", aux_logits=False)) == 6_998_552
    assert parameters(on_meta("googlenet_2014")) == 13_378_280
    # The step between the two: 3x3 kernels in f_5, then 7,280 biases against twice as many of normalisation.
    small = on_meta("googlenet_2014", aux_logits=False, kernel=3)
    assert parameters(small) == 6_617_624 == 6_624_904 - 7_280


def test_a_module_is_its_four_branches(assert_equal):
    torch.manual_seed(2)
    module, x = Inception(6, (3, 4, 5, 2, 3, 4), kernel=5, norm=False), torch.randn(2, 6, 7, 7)
    p = dict(module.named_parameters())

    def conv(name, maps, padding=0):
        return relu(conv2d(maps, p[f"{name}.conv.weight"], p[f"{name}.conv.bias"], padding=padding))

    branches = [
        conv("branch1", x),
        conv("branch2.1", conv("branch2.0", x), 1),
        conv("branch3.1", conv("branch3.0", x), 2),
        conv("branch4.1", max_pool2d(x, 3, 1, 1)),
    ]
    assert_equal(module(x), torch.cat(branches, dim=1))


@pytest.mark.parametrize(("branch", "part"), [(1, (0, 3)), (2, (3, 8)), (3, (8, 11)), (4, (11, 15))])
def test_a_silent_branch_silences_its_own_channels_alone(branch, part):
    torch.manual_seed(3)
    module, x = Inception(6, (3, 4, 5, 2, 3, 4), norm=False), torch.randn(2, 6, 7, 7)
    before = module(x)
    last = [m for m in module.get_submodule(f"branch{branch}").modules() if isinstance(m, nn.Conv2d)][-1]
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    after = module(x)
    start, stop = part
    assert after[:, start:stop].abs().sum() == 0
    assert torch.equal(after[:, :start], before[:, :start])
    assert torch.equal(after[:, stop:], before[:, stop:])


@pytest.mark.parametrize("kernel", [3, 5])
def test_the_widest_branch_sees_as_far_as_its_kernel(kernel):
    torch.manual_seed(4)
    module = Inception(2, (2, 2, 2, 2, 2, 2), kernel=kernel, norm=False)
    x = torch.rand(1, 2, 11, 11, requires_grad=True)
    for conv in (module.branch3[0].conv, module.branch3[1].conv):
        nn.init.constant_(conv.weight, 0.1)
    module(x)[:, 4:6, 5, 5].sum().backward()
    assert int((x.grad[0, 0] != 0).sum()) == kernel**2


def test_maps_of_each_module(on_meta):
    for name in ("googlenet", "googlenet_2014"):
        net, sizes = on_meta(name, num_classes=3).eval(), {}
        for key in WIDTHS:
            net.get_submodule(f"inception{key}").register_forward_hook(
                lambda module, args, out, key=key, sizes=sizes: sizes.update({key: tuple(out.shape[1:])})
            )
        net(torch.zeros(1, 3, 224, 224, device="meta"))
        pixels = {"3": 28, "4": 14, "5": 7}
        assert sizes == {key: (width, pixels[key[0]], pixels[key[0]]) for key, width in WIDTHS.items()}


def test_the_papers_heads_average_windows_of_five(assert_equal):
    torch.manual_seed(5)
    head = Head(4, 3, norm=False, pooling="paper")
    x = torch.randn(2, 4, 14, 14)
    windows = x.unfold(2, 5, 3).unfold(3, 5, 3).mean((4, 5))
    assert windows.shape[2:] == (4, 4)
    assert_equal(head.pool(x), windows)
    parts = Head(4, 3, norm=True, pooling="torchvision").pool(x)
    assert float((parts - windows).abs().max()) > 0.1


def test_heads_work_in_training_alone_and_send_their_gradient_down(assert_equal):
    torch.manual_seed(6)
    net, x = create_model("googlenet_2014", num_classes=4), torch.randn(2, 3, 79, 79)
    out = net.train()(x)
    assert isinstance(out, Outputs)
    out.aux_logits1.sum().backward()  # the head behind 4a reaches what lies before it, and nothing else
    reached = {name.split(".")[0] for name, p in net.named_parameters() if p.grad is not None}
    assert reached == {"conv1", "conv2", "conv3", "inception3a", "inception3b", "inception4a", "aux1"}
    bare = create_model("googlenet_2014", num_classes=4, aux_logits=False)
    weights = {key: value for key, value in net.state_dict().items() if not key.startswith("aux")}
    bare.load_state_dict(weights, strict=True)
    with torch.no_grad():
        assert_equal(net.eval()(x), bare.eval()(x))
        assert isinstance(bare.train()(x), torch.Tensor)


def test_response_normalisation_of_the_paper_is_at_work(assert_equal):
    torch.manual_seed(7)
    net = create_model("googlenet_2014", num_classes=4, aux_logits=False).eval()
    seen = {}
    for name in ("maxpool1", "conv2"):
        net.get_submodule(name).register_forward_hook(
            lambda module, args, out, name=name: seen.update({name: (args[0], out)})
        )
    with torch.no_grad():
        net(100 * torch.randn(1, 3, 31, 31))
    before, after = seen["maxpool1"][1], seen["conv2"][0]
    squares = torch.stack([before[:, max(0, i - 2) : i + 3].square().sum(1) for i in range(64)], dim=1)
    assert_equal(after, before / (1 + 1e-4 / 5 * squares) ** 0.75)
    assert float((before - after).abs().max()) > 1


@pytest.mark.parametrize(
    ("name", "heads", "size"),
    [("googlenet", True, 15), ("googlenet_2014", False, 31), ("googlenet_2014", True, 79)],
)
def test_the_smallest_image_works_and_a_smaller_one_is_refused(name, heads, size):
    net = create_model(name, num_classes=2, aux_logits=heads).train()
    out = net(torch.randn(2, 3, size, size))
    assert (out[0] if heads else out).shape == (2, 2)
    with pytest.raises(ValueError, match=f"H and W of {size} or more"):
        net(torch.zeros(2, 3, size, size - 1))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: GoogLeNet(num_classes=0), "num_classes=0"),
        (lambda: GoogLeNet(in_channels=0), "in_channels=0"),
        (lambda: GoogLeNet(kernel=4), "kernel=4: expected 5"),
        (lambda: GoogLeNet(pooling="mean"), "pooling='mean'"),
        (lambda: GoogLeNet(dropout=-0.1), "dropout=-0.1"),
        (lambda: Inception(8, (1, 2, 3)), "expected six"),
        (lambda: Inception(8, (1, 2, 3, 4, 0, 6)), "channels=0"),
    ],
)
def test_bad_input_is_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()
