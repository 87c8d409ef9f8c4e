"""RoR without its level shortcuts is its base network; each level carries the gradient alone; the paper's counts."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, relu

from resnetbook.principle.block import ShortcutA
from resnetbook.principle.gradient_flow import GradientFlow
from resnetbook.timeline.resnet import CifarResNet
from resnetbook.timeline.resnet_v2 import PreActResNet
from resnetbook.timeline.ror import PreRoRBlock, RoR, RoRBlock, level_spans
from resnetbook.timeline.wide_resnet import WideResNet

SMALL = {"num_classes": 5, "widths": (4, 8, 12)}
BASES = {
    "v1": (lambda: CifarResNet(20, **SMALL), {"depth": 20, "base": "v1", **SMALL}),
    "preact": (lambda: PreActResNet(20, shortcut="A", **SMALL), {"depth": 20, "base": "preact", **SMALL}),
    "wrn": (lambda: WideResNet(22, 2, **SMALL), {"depth": 22, "base": "wrn", "widen_factor": 2, **SMALL}),
}


class Zero(nn.Module):
    """Any module's output, times zero."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        return self.module(x) * 0


class Detached(nn.Module):
    """Any module's output, which carries no gradient."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        return self.module(x).detach()


def without_gradient(function):
    return lambda x: function(x).detach()


def gradients(network, x, y):
    network.zero_grad()
    cross_entropy(network(x), y).backward()
    return {name: p.grad.clone() for name, p in network.named_parameters()}


def test_one_level_is_the_base_network(assert_equal, scramble):
    torch.manual_seed(0)
    x, y = torch.randn(6, 3, 8, 8), torch.tensor([0, 1, 2, 3, 4, 0])
    for build, settings in BASES.values():
        base, ror = scramble(build()), RoR(levels=1, **settings)
        ror.load_state_dict(base.state_dict(), strict=True)
        assert_equal(ror.eval()(x), base.eval()(x), 0.0)
        assert_equal(ror.train()(x), base.train()(x), 0.0)
        expected = gradients(base, x, y)
        for name, gradient in gradients(ror, x, y).items():
            assert_equal(gradient, expected[name], 0.0)


@pytest.mark.parametrize("base", BASES)
def test_level_shortcuts_times_zero_leave_the_base_network(base, assert_equal, scramble):
    torch.manual_seed(1)
    build, settings = BASES[base]
    network, ror = scramble(build()), RoR(levels=4, **settings)
    missing, unexpected = ror.load_state_dict(network.state_dict(), strict=False)
    assert not unexpected
    assert all(name.startswith("level_shortcuts.") for name in missing)
    ror.level_shortcuts = nn.ModuleList(Zero(level) for level in ror.level_shortcuts)
    x = torch.randn(4, 3, 8, 8)
    assert_equal(ror.eval()(x), network.eval()(x), 0.0)
    assert_equal(ror.train()(x), network.train()(x), 0.0)


def by_hand(ror, x):
    """RoR-3-14 on a v1 base as the equations have it, from its parts: two blocks in each stage."""
    conv = {name: module for name, module in ror.named_modules() if isinstance(module, nn.Conv2d)}
    norm = {name: module for name, module in ror.named_modules() if isinstance(module, nn.BatchNorm2d)}

    def branch(name, x):
        out = relu(norm[f"{name}.bn1"](conv[f"{name}.conv1"](x)))
        return norm[f"{name}.bn2"](conv[f"{name}.conv2"](out))

    def projection(number, x):
        return norm[f"level_shortcuts.{number}.1"](conv[f"level_shortcuts.{number}.0"](x))

    x0 = relu(norm["bn1"](conv["conv1"](x)))
    x1 = relu(branch("layer1.0", x0) + x0)
    x2 = relu(branch("layer1.1", x1) + x1 + x0)
    x3 = relu(branch("layer2.0", x2) + ShortcutA(4, 8, stride=2)(x2))
    x4 = relu(branch("layer2.1", x3) + x3 + projection(2, x2))
    x5 = relu(branch("layer3.0", x4) + ShortcutA(8, 12, stride=2)(x4))
    x6 = relu(branch("layer3.1", x5) + x5 + projection(3, x4) + projection(0, x0))
    return ror.fc(x6.mean((2, 3)))


def test_three_levels_are_the_equations_of_the_paper(assert_equal, scramble):
    torch.manual_seed(2)
    ror = scramble(RoR(14, **SMALL)).double().eval()
    x = torch.randn(3, 3, 8, 8).double()
    assert_equal(ror(x), by_hand(ror, x), 1e-12)


PATHS = ("branch", "final", "middle", "root")


def reaching(ror, x, *, through):
    """The gradient at the input of the first block, with every path that is not in `through` cut; values are kept."""
    restore = list(ror.level_shortcuts)
    for number, level in enumerate(restore):
        if ("root" if number == 0 else "middle") not in through:
            ror.level_shortcuts[number] = Detached(level)
    for _, block in ror.blocks:
        for path, method in (("branch", "branch"), ("final", "identity")):
            if path not in through:
                vars(block)[method] = without_gradient(getattr(block, method))
    x = x.clone().requires_grad_()
    ror.body(x).square().sum().backward()
    for _, block in ror.blocks:
        for method in ("branch", "identity"):
            vars(block).pop(method, None)
    ror.level_shortcuts = nn.ModuleList(restore)
    return torch.zeros_like(x) if x.grad is None else x.grad


@pytest.mark.parametrize("base", ["v1", "preact"])
def test_the_gradient_reaches_the_input_through_each_level_alone(base, assert_equal, scramble):
    torch.manual_seed(3)
    ror = scramble(RoR(**BASES[base][1])).double().eval()
    x = torch.rand(2, 4, 8, 8).double()
    # The output's gradient, past the last ReLU, through the root projection: what "root alone" must be.
    x0 = x.clone().requires_grad_()
    out = ror.body(x).detach()
    ror.level_shortcuts[0](x0).backward(2 * out * (out > 0) if base == "v1" else 2 * out)
    assert_equal(reaching(ror, x, through=("root",)), x0.grad, 1e-12)

    for path in PATHS:
        assert float(reaching(ror, x, through=(path,)).norm()) > 0, path
        without = tuple(other for other in PATHS if other != path)
        whole = reaching(ror, x, through=PATHS)
        assert not torch.allclose(whole, reaching(ror, x, through=without)), path
    # The root joins only at the end, so that its part and the rest add up.
    parts = [reaching(ror, x, through=path) for path in (("root",), ("branch", "final", "middle"))]
    assert_equal(sum(parts), reaching(ror, x, through=PATHS), 1e-12)


@pytest.mark.parametrize("base", ["v1", "preact"])
@pytest.mark.parametrize(("levels", "gain"), [(1, 1), (2, 2), (3, 9), (4, 730)])
def test_silent_branches_and_identity_levels_multiply_the_signal(base, levels, gain, assert_equal):
    """g_1 = 1 and g_{m+1} = g_m^3 + 1: three spans in a chain, and one shortcut over them."""
    ror = RoR(20, levels, base=base, widths=(4, 4, 4))
    with torch.no_grad():
        for _, block in ror.blocks:
            for parameter in (block.conv2.weight, block.bn2.weight):
                parameter.zero_()
        for number, level in enumerate(ror.level_shortcuts):
            if isinstance(level, nn.Sequential):
                ror.level_shortcuts[number] = ShortcutA(4, 4, stride=level[0].stride[0])
        x = torch.rand(2, 4, 8, 8)
        assert_equal(ror.body(x), gain * x[:, :, ::4, ::4], 1e-6)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"depth": 110}, 1_731_866),
        ({"depth": 110, "levels": 2}, 1_729_114),
        ({"depth": 110, "levels": 1}, 1_727_962),
        ({"depth": 164}, 2_606_810),
        ({"depth": 164, "base": "preact"}, 2_606_490),
        ({"depth": 40, "base": "wrn", "widen_factor": 2}, 2_256_346),
        ({"depth": 40, "base": "wrn", "widen_factor": 4}, 8_995_290),
        ({"depth": 58, "base": "wrn", "widen_factor": 4}, 13_645_530),
    ],
)
def test_counts(settings, expected, parameters):
    with torch.device("meta"):
        assert parameters(RoR(**settings)) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("ror3_110", 1_731_866), ("pre_ror3_164", 2_606_490), ("ror3_wrn58_4", 13_645_530)],
)
def test_variants_by_name(name, expected, on_meta, parameters):
    assert parameters(on_meta(name)) == expected


def test_spans_divide_in_three_from_the_root_inwards():
    assert level_spans(54, 1) == []
    assert level_spans(54, 2) == [(0, 54)]
    assert level_spans(54, 3) == [(0, 54), (0, 18), (18, 36), (36, 54)]
    assert level_spans(54, 4)[4:7] == [(0, 6), (6, 12), (12, 18)]
    assert [end - first for first, end in level_spans(12, 4)[4:7]] == [1, 1, 2]
    for blocks in (3, 6, 9, 24, 27, 54):
        for levels in range(1, 6):
            if 3 ** (levels - 2) <= blocks:
                assert all(first < end for first, end in level_spans(blocks, levels))


def test_networks_of_any_number_of_levels_begin_with_equal_weights(assert_equal):
    networks = []
    for levels in (1, 2, 3):
        torch.manual_seed(4)
        networks.append(RoR(20, levels))
    for name, value in networks[0].state_dict().items():
        for other in networks[1:]:
            assert_equal(other.state_dict()[name].float(), value.float(), 0.0)


def test_without_a_chance_to_drop_stochastic_depth_changes_nothing(assert_equal):
    torch.manual_seed(5)
    plain = RoR(20, base="preact", **SMALL)
    sure = RoR(20, base="preact", stochastic_depth=1.0, **SMALL)
    sure.load_state_dict(plain.state_dict(), strict=True)
    x, y = torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 3])
    expected = gradients(plain, x, y)
    for name, gradient in gradients(sure, x, y).items():
        assert_equal(gradient, expected[name], 0.0)


@pytest.mark.parametrize("kind", [RoRBlock, PreRoRBlock])
def test_evaluation_is_the_mean_over_the_draws(kind, assert_equal):
    torch.manual_seed(6)
    block = kind(4, 4, survival=0.3).eval()
    x, level = (
        torch.rand(2, 4, 8, 8),
        torch.randn(2, 4, 8, 8) + 9,
    )  # so far above 0 that a last ReLU changes nothing
    calls = []
    block.conv2.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        expected = block(x, [level])
        block.training = True  # the normalisations stay in evaluation mode
        seen = {}
        while len(seen) < 2:
            calls.clear()
            out = block(x, [level])
            assert len(calls) == (not block.dropped)  # F is not computed where it is dropped
            seen[block.dropped] = out
    assert_equal(seen[True], x + level)
    assert_equal(0.3 * seen[False] + 0.7 * seen[True], expected)


@pytest.mark.parametrize("kind", [RoRBlock, PreRoRBlock])
def test_a_block_of_which_nothing_is_said_always_survives(kind, assert_equal):
    """Its F is neither dropped in training nor scaled in evaluation."""
    torch.manual_seed(9)
    block, sure = kind(4, 4), kind(4, 4, survival=1.0)
    sure.load_state_dict(block.state_dict())
    x = torch.rand(2, 4, 8, 8)
    for _ in range(8):
        assert_equal(block.train()(x), sure.train()(x), 0.0)
        assert not block.dropped
    assert_equal(block.eval()(x), sure.eval()(x), 0.0)


@pytest.mark.parametrize("base", BASES)
def test_dropped_blocks_get_gradients_of_zero(base):
    torch.manual_seed(7)
    ror = RoR(stochastic_depth=0.1, **BASES[base][1])
    found = gradients(ror, torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 3]))
    dropped = {name: block.dropped for name, block in ror.blocks}
    assert 0 < sum(dropped.values()) < len(dropped)
    for name, gone in dropped.items():
        assert (float(found[f"{name}.conv2.weight"].norm()) == 0) == gone


def test_the_linear_rule_falls_to_the_value_asked_for():
    rates = [block.survival for _, block in RoR(20, stochastic_depth=0.5).blocks]
    assert rates == pytest.approx([1 - number / 18 for number in range(1, 10)])


def test_the_recorder_splits_its_blocks():
    torch.manual_seed(8)
    ror = RoR(20, **SMALL)
    with GradientFlow(ror) as flow:
        cross_entropy(ror(torch.randn(4, 3, 8, 8)), torch.tensor([0, 1, 2, 3])).backward()
    assert list(flow.split) == [name for name, _ in ror.blocks]


def test_each_stage_halves_the_map():
    net, sizes = RoR(14, in_channels=1), []
    for block in (net.layer1[-1], net.layer2[-1], net.layer3[-1], net.level_shortcuts[0]):
        block.register_forward_hook(lambda module, args, out: sizes.append(tuple(out.shape[1:])))
    assert net(torch.randn(2, 1, 32, 32)).shape == (2, 10)
    assert sorted(sizes) == [(16, 32, 32), (32, 16, 16), (64, 8, 8), (64, 8, 8)]
    assert net(torch.randn(2, 1, 8, 8)).shape == (2, 10)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: RoR(21), "depth=21: expected 6n \\+ 2; the nearest are 20 and 26"),
        (lambda: RoR(20, base="wrn"), "depth=20: expected 6n \\+ 4; the nearest are 16 and 22"),
        (lambda: RoR(20, base="v2"), "base='v2': expected 'v1', 'preact' or 'wrn'"),
        (lambda: RoR(20, 0), "levels=0"),
        (lambda: RoR(20, 5), "levels=5: expected at most 4 for 9 blocks"),
        (lambda: RoR(20, widen_factor=2), "widen_factor=2: expected 1 unless base is 'wrn'"),
        (lambda: RoR(20, stochastic_depth=0.0), "stochastic_depth=0.0: expected None or a probability"),
        (lambda: RoR(20, stochastic_depth=1.01), "stochastic_depth=1.01: expected None or a probability"),
        (lambda: RoR(20, stochastic_depth="0.5"), "stochastic_depth='0.5': expected None or a probability"),
        (lambda: RoR(20, in_channels=0), "in_channels=0"),
        (lambda: RoR(20, widen_factor=0), "widen_factor=0"),
        (lambda: level_spans(0, 1), "blocks=0"),
        (lambda: RoR(20, widths=(8, 16)), r"widths=\(8, 16\): expected three"),
        (lambda: RoR(20, num_classes=0), "num_classes=0"),
        (lambda: RoR(8)(torch.zeros(1, 3, 3, 8)), "H and W of 4 or more"),
    ],
)
def test_bad_input_is_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()
