import pytest
import timm
import torch
from torch.nn import functional

from resnetbook.principle.counting import count
from resnetbook.principle.gradient_flow import GradientFlow
from resnetbook.timeline import create_model
from resnetbook.timeline.dual_path import DPN, DualPathBlock
from resnetbook.timeline.pretrained import convert

# (parameters, multiplications at 224 px); arXiv:1707.01629, table 1, prints 37.7, 61.6 and 79.5 million and 6.5, 11.7 and
# 16.0 G. DPN-131's 79.5 counts the running statistics as well.
COUNTS = {
    "dpn68": (12_611_602, 2_326_163_456),
    "dpn92": (37_668_392, 6_501_684_224),
    "dpn98": (61_570_728, 11_671_217_152),
    "dpn131": (79_254_504, 16_013_648_896),
}
SMALL = {
    "stages": (2, 3),
    "inner_width": 8,
    "groups": 4,
    "stem_width": 6,
    "small_input": True,
    "num_classes": 3,
    "in_channels": 1,
}


@pytest.mark.parametrize("name", ["dpn68", "dpn92"])
def test_equals_timm_with_its_weights(name, assert_equal, scramble):
    torch.manual_seed(0)
    theirs = scramble(timm.create_model(name))
    ours = create_model(name)
    ours.load_state_dict(convert(name, theirs.state_dict()), strict=True)
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert_equal(ours.eval()(x), theirs.eval()(x))


def test_trains_as_timm_does(assert_equal):
    torch.manual_seed(1)
    theirs, ours = timm.create_model("dpn68"), create_model("dpn68")
    ours.load_state_dict(convert("dpn68", theirs.state_dict()))
    x, y = torch.randn(4, 3, 64, 64), torch.randint(1000, (4,))
    for net in (ours, theirs):
        functional.cross_entropy(net.train()(x), y).backward()
    gradients = convert(
        "dpn68", {name: p.grad for name, p in theirs.named_parameters()} | dict(theirs.named_buffers())
    )
    own = dict(ours.named_parameters())
    for name in (
        "conv1.weight",
        "stages.1.0.shortcut.conv.weight",
        "stages.3.2.expand.conv.weight",
        "fc.weight",
    ):
        assert_equal(own[name].grad, gradients[name])


@pytest.mark.parametrize("name", COUNTS)
def test_counts_and_names_of_all_variants(name, on_meta, parameters):
    ours = on_meta(name)
    with torch.device("meta"):
        theirs = timm.create_model(name)
    assert parameters(ours) == COUNTS[name][0]
    assert convert(name, theirs.state_dict()).keys() == ours.state_dict().keys()
    assert count(ours, (3, 224, 224)).multiplications == COUNTS[name][1]


def test_the_printed_count_of_dpn131_holds_the_running_statistics(on_meta):
    net = on_meta("dpn131")
    statistics = sum(v.numel() for k, v in net.named_buffers() if not k.endswith("num_batches_tracked"))
    assert COUNTS["dpn131"][0] + statistics == 79_477_864


def _bn_relu(x, weights, name):
    mean, var, scale, shift = (
        weights[f"{name}.norm.{key}"] for key in ("running_mean", "running_var", "weight", "bias")
    )
    return functional.relu(functional.batch_norm(x, mean, var, scale, shift, eps=1e-3))


def _branch(x, weights, name, stride, groups):
    x = functional.conv2d(_bn_relu(x, weights, f"{name}.reduce"), weights[f"{name}.reduce.conv.weight"])
    x = _bn_relu(x, weights, f"{name}.grouped")
    x = functional.conv2d(x, weights[f"{name}.grouped.conv.weight"], stride=stride, padding=1, groups=groups)
    return functional.conv2d(_bn_relu(x, weights, f"{name}.expand"), weights[f"{name}.expand.conv.weight"])


def _by_hand(net, x, join):
    """The network from its weights alone; `join(kept, written)` says how a block joins what it kept and what it wrote."""
    weights = net.state_dict()
    x = functional.conv2d(x, weights["conv1.weight"], padding=1)
    x = functional.relu(
        functional.batch_norm(
            x, *(weights[f"bn1.{k}"] for k in ("running_mean", "running_var", "weight", "bias")), eps=1e-3
        )
    )
    for stage, blocks in enumerate(SMALL["stages"]):
        for index in range(blocks):
            name, stride = f"stages.{stage}.{index}", 2 if stage and not index else 1
            kept = x
            if index == 0:
                projection = weights[f"{name}.shortcut.conv.weight"]
                kept = functional.conv2d(_bn_relu(x, weights, f"{name}.shortcut"), projection, stride=stride)
            x = join(kept, _branch(x, weights, name, stride, SMALL["groups"]))
    mean, var, scale, shift = (
        weights[f"norm.{k}"] for k in ("running_mean", "running_var", "weight", "bias")
    )
    x = functional.relu(functional.batch_norm(x, mean, var, scale, shift, eps=1e-3)).mean((2, 3))
    return functional.linear(x, weights["fc.weight"], weights["fc.bias"])


def test_dense_increment_zero_is_a_pre_activation_resnext(assert_equal, scramble):
    torch.manual_seed(2)
    net = scramble(DPN(dense_increments=(0, 0), residual_width=10, **SMALL)).eval()
    x = torch.randn(3, 1, 9, 9)
    assert_equal(net(x), _by_hand(net, x, lambda kept, written: kept + written))


def test_residual_width_zero_is_a_dense_network(assert_equal, scramble):
    torch.manual_seed(3)
    net = scramble(DPN(dense_increments=(4, 5), residual_width=0, **SMALL)).eval()
    x = torch.randn(3, 1, 9, 9)
    assert_equal(net(x), _by_hand(net, x, lambda kept, written: torch.cat([kept, written], 1)))


def test_a_residual_path_without_weights_leaves_the_dense_network(assert_equal):
    torch.manual_seed(4)
    increments, width = (4, 5), 10
    both = DPN(dense_increments=increments, residual_width=width, **SMALL).eval()
    dense = DPN(dense_increments=increments, residual_width=0, **SMALL).eval()
    for name, block in both.blocks:
        residual = block.paths[0]
        with torch.no_grad():
            block.expand.conv.weight[:residual] = 0
            if not isinstance(block.shortcut, torch.nn.Identity):
                block.shortcut.conv.weight[:residual] = 0
        assert residual == width * 2 ** int(name.split(".")[1])
    shapes = dense.state_dict()
    cut = {}
    for key, value in both.state_dict().items():
        # The residual channels come first, both in what a layer writes and in what it reads.
        cut[key] = value[
            tuple(slice(a - b, None) for a, b in zip(value.shape, shapes[key].shape, strict=True))
        ]
    dense.load_state_dict(cut)
    x = torch.randn(3, 1, 8, 8)
    assert_equal(both(x), dense(x))


def test_a_block_adds_in_front_and_appends_behind(assert_equal):
    torch.manual_seed(5)
    block = DualPathBlock(20, 8, 12, 3, groups=2)
    x = torch.randn(2, 20, 5, 5)
    y, written = block(x), block.expand(block.grouped(block.reduce(x)))
    assert_equal(y[:, :12] - x[:, :12], written[:, :12])
    assert torch.equal(y[:, 12:20], x[:, 12:])
    assert torch.equal(y[:, 20:], written[:, 12:])


def test_channels_follow_the_arithmetic_and_maps_halve():
    net, sizes = create_model("dpn68", num_classes=5, in_channels=1), []
    for stage in net.stages:
        stage.register_forward_hook(lambda module, args, out: sizes.append(tuple(out.shape[1:])))
    assert net(torch.randn(2, 1, 64, 64)).shape == (2, 5)
    expected = [
        (64 * 2**i + inc * (blocks + 2), 16 // 2**i, 16 // 2**i)
        for i, (inc, blocks) in enumerate(zip((16, 32, 32, 64), (3, 4, 12, 3), strict=True))
    ]
    assert sizes == expected


def test_the_gradient_splits_into_shortcut_and_branch():
    torch.manual_seed(6)
    net = DPN(dense_increments=(4, 5), residual_width=10, **SMALL)
    with GradientFlow(net, blocks=[name for name, _ in net.blocks]) as flow:
        functional.cross_entropy(net(torch.randn(4, 1, 8, 8)), torch.tensor([0, 1, 2, 0])).backward()
    assert len(flow.split) == sum(SMALL["stages"])
    for split in flow.split.values():
        assert torch.equal(split.identity + split.residual, split.total)
        assert split.identity.abs().sum() > 0 < split.residual.abs().sum()


@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_every_stem_halves_the_image(kernel, on_meta):
    net = on_meta("dpn68", stem_kernel=kernel)
    assert net.conv1(torch.empty(1, 3, 64, 64, device="meta")).shape[2:] == (32, 32)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: DPN(stages=(2, 2)), r"stages=\(2, 2\), dense_increments=\(16, 32, 24, 128\)"),
        (lambda: DPN(stages=()), "expected one number each"),
        (lambda: DPN(stages=(0, 1), dense_increments=(1, 1)), "stages=0"),
        (lambda: DPN(residual_width=-1), "residual_width=-1: expected an integer of 0"),
        (lambda: DualPathBlock(8, 4, True, 2), "residual_width=True: expected an integer of 0"),
        (lambda: DPN(dense_increments=(16, 2.5, 24, 128)), "dense_increment=2.5: expected an integer of 0"),
        (lambda: DPN(dense_increments=(16, -1, 24, 128)), "dense_increment=-1: expected an integer of 0"),
        (lambda: DPN(residual_width=0, dense_increments=(0, 1, 1, 1)), "a channel on one path"),
        (lambda: DPN(groups=5), "groups=5: expected a divisor of 96"),
        *((lambda k=k: DPN(stem_kernel=k), f"stem_kernel={k}: expected 3, 5 or 7") for k in (1, 2, 4, 6, 8)),
        (lambda: DPN(num_classes=0), "num_classes=0"),
        (lambda: DualPathBlock(8, 4, 12, 2), "expected project=True"),
        (lambda: DualPathBlock(12, 4, 12, 2, stride=2), "stride=2: expected project=True"),
        (lambda: create_model("dpn68")(torch.zeros(1, 3, 31, 64)), "H and W of 32 or more"),
        (lambda: DPN(dense_increments=(1, 1), **SMALL)(torch.zeros(1, 1, 7, 8)), "H and W of 8 or more"),
        (
            lambda: DPN(dense_increments=(1, 1), residual_width=4, **SMALL)(torch.zeros(1, 3, 8, 8)),
            r"expected \(N, 1, H, W\)",
        ),
    ],
)
def test_bad_input_is_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()
