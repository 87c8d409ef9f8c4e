"""Stochastic depth is ResNet when all blocks survive, its evaluation is the mean over masks, and what it drops costs nothing."""

from itertools import product
from math import prod, sqrt

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torchvision.ops import stochastic_depth as theirs

from resnetbook.principle.gradient_flow import GradientFlow
from resnetbook.principle.paths import lesion
from resnetbook.timeline import stochastic_depth
from resnetbook.timeline.resnet import CifarResNet
from resnetbook.timeline.stochastic_depth import StochasticBlock, StochasticDepthResNet, survival_rates

SMALL = {"widths": (4, 6, 8), "num_classes": 5}


@pytest.fixture
def force(monkeypatch):
    """Replace the draws by the given ones, in the order of the blocks, again and again."""

    def use(mask):
        state = {"next": 0}

        def drawn(rate):
            state["next"] += 1
            return bool(mask[(state["next"] - 1) % len(mask)])

        monkeypatch.setattr(stochastic_depth, "survives", drawn)

    return use


def step(net, x, y):
    net.zero_grad()
    loss = cross_entropy(net(x), y)
    loss.backward()
    return loss.detach()


def batch(images=4, size=8):
    torch.manual_seed(9)
    return torch.randn(images, 3, size, size), torch.randint(5, (images,))


def test_survival_1_is_resnet_bit_for_bit_in_a_training_step():
    x, y = batch()
    for shortcut, widths in (("A", (4, 6, 8)), ("B", (4, 4, 4))):
        torch.manual_seed(0)
        ours = StochasticDepthResNet(14, survival=1, num_classes=5, shortcut=shortcut, widths=widths)
        torch.manual_seed(0)
        resnet = CifarResNet(14, num_classes=5, shortcut=shortcut, widths=widths)
        assert torch.equal(ours.eval()(x), resnet.eval()(x))
        before = torch.get_rng_state()
        assert torch.equal(step(ours.train(), x, y), step(resnet.train(), x, y))
        assert torch.equal(before, torch.get_rng_state())  # a rate of 1 draws nothing
        for (name, own), other in zip(ours.named_parameters(), resnet.parameters(), strict=True):
            assert own.grad.abs().max() > 0
            assert torch.equal(own.grad, other.grad), name
        resnet.load_state_dict(ours.state_dict(), strict=True)
        assert torch.equal(ours.eval()(x), resnet.eval()(x))


def test_evaluation_is_the_mean_over_all_masks_of_a_linear_network(force, scramble):
    """Without ReLU, and with fixed statistics, each block is affine; the draws are independent; so the mean is exact."""
    torch.manual_seed(1)
    net = scramble(StochasticDepthResNet(14, 0.3, **SMALL)).double()
    rates = [block.survival for _, block in net.blocks]
    x = torch.randn(3, 3, 8, 8, dtype=torch.float64)

    def mean_over_masks():
        net.train()
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        total = torch.zeros(3, 5, dtype=torch.float64)
        for mask in product((0, 1), repeat=len(rates)):
            force(mask)
            chance = prod(p if b else 1 - p for b, p in zip(mask, rates, strict=True))
            total += chance * net(x).detach()
        return total

    with_relu = (mean_over_masks() - net.eval()(x)).abs().max() / net(x).abs().max()
    assert with_relu > 1e-3  # with ReLU it is an approximation
    for _, block in net.blocks:
        block.relu = nn.Identity()
    expected = net.eval()(x).detach()
    assert expected.abs().max() > 0.1
    assert torch.allclose(mean_over_masks(), expected, rtol=0, atol=1e-12 * float(expected.abs().max()))


@pytest.mark.parametrize("keep", [True, False])
def test_a_block_is_torchvisions_stochastic_depth_after_the_rescaling(keep, force):
    """torchvision divides by p in training, the paper multiplies by p in evaluation."""
    torch.manual_seed(2)
    block = StochasticBlock(4, 6, stride=2, survival=0.6)
    x = torch.rand(3, 4, 8, 8)
    force([keep])
    seed = next(
        seed
        for seed in range(100)
        if bool(torch.empty(1).bernoulli_(0.6, generator=torch.Generator().manual_seed(seed))) is keep
    )
    torch.manual_seed(seed)
    branch = theirs(block.branch(x), p=0.4, mode="batch", training=True) * 0.6
    assert torch.allclose(block.train()(x), torch.relu(branch + block.identity(x)), atol=1e-6)
    block.eval()
    branch = theirs(block.branch(x), p=0.4, mode="batch", training=False) * 0.6
    assert torch.allclose(block(x), torch.relu(branch + block.identity(x)), atol=1e-6)


def test_dropped_blocks_are_not_computed_and_keep_nothing(force):
    x, y = batch()
    torch.manual_seed(3)
    net = StochasticDepthResNet(20, **SMALL)
    calls, kept = [], []
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
            module.register_forward_hook(lambda m, a, out, name=name: calls.append(name))

    def measure(mask):
        force(mask)
        calls.clear()
        kept.clear()
        # Tensors that the step keeps for its backward pass, parameters apart; each storage once.
        with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
            loss = cross_entropy(net(x), y)
        weights = {p.untyped_storage().data_ptr() for p in net.parameters()}
        storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in kept}
        net.zero_grad()
        loss.backward()
        return list(calls), sum(size for place, size in storages.items() if place not in weights)

    everything, most = measure([1] * 9)
    assert len(everything) == 2 * (1 + 2 * 9)
    running = {k: v.clone() for k, v in net.state_dict().items() if "running" in k}
    mask = [1, 0, 1, 1, 0, 0, 1, 1, 0]
    some, less = measure(mask)
    live = {name for (name, _), b in zip(net.blocks, mask, strict=True) if b}
    assert {name.rpartition(".")[0] for name in some} - {""} == live
    for (name, block), b in zip(net.blocks, mask, strict=True):
        assert block.dropped is (not b)
        for own in block.parameters():
            assert own.grad is not None
            assert bool((own.grad == 0).all()) is (not b)
        assert torch.equal(block.bn1.running_mean, running[f"{name}.bn1.running_mean"]) is (not b)
    _, least = measure([0] * 9)
    # Two of three blocks of the first stage are left: a block keeps the same there wherever it stands.
    _, without_one = measure([1, 0] + [1] * 7)
    _, without_two = measure([1, 0, 0] + [1] * 6)
    assert most - without_one == without_one - without_two > 0
    assert least < less < most
    assert most - least > 0.75 * most  # the rest is the stem's, the head's and the shortcuts'


def test_without_any_block_stem_shortcuts_and_head_are_left(force):
    x, _ = batch()
    torch.manual_seed(4)
    net = StochasticDepthResNet(14, **SMALL).train()
    force([0])
    found = net(x)
    out = torch.relu(net.bn1(net.conv1(x)))
    for channels in (2, 2):
        out = nn.functional.pad(out[:, :, ::2, ::2], (0, 0, 0, 0, 0, channels))
    assert torch.equal(found, net.fc(out.mean((2, 3))))


def test_equal_widths_leave_the_input_of_a_dropped_block_alone(force):
    """Padding by no channel must not hand a view of x to the ReLU that works in place."""
    force([0])
    block = StochasticBlock(4, 4, stride=2, survival=0.5).train()
    x = -torch.rand(2, 4, 8, 8)
    before = x.clone()
    block(x)
    assert torch.equal(x, before)


def test_survival_rates_of_the_paper():
    rates = survival_rates(54, 0.5)
    assert rates[0] == pytest.approx(1 - 1 / 108)
    assert rates[-1] == 0.5
    assert sum(rates) == pytest.approx((3 * 54 - 1) / 4) == pytest.approx(40.25)
    assert survival_rates(3, 0.8, "uniform") == [0.8, 0.8, 0.8]
    with torch.device("meta"):
        assert StochasticDepthResNet(110).expected_blocks == pytest.approx(40.25)


def test_one_draw_for_each_block_and_mini_batch_with_its_rate():
    """Empirical frequencies within four standard deviations; equal seeds, equal draws; a block is there for all or none."""
    torch.manual_seed(5)
    net, draws = StochasticDepthResNet(8, 0.4, widths=(2, 2, 2)).train(), 600
    x = torch.randn(2, 3, 4, 4)

    def masks(seed):
        torch.manual_seed(seed)
        found = []
        with torch.no_grad():
            for _ in range(draws):
                net(x)
                found.append([not block.dropped for _, block in net.blocks])
        return torch.tensor(found)

    first = masks(0)
    assert torch.equal(first, masks(0))
    assert not torch.equal(first, masks(1))
    for (_, block), share in zip(net.blocks, first.double().mean(0), strict=True):
        p = block.survival
        assert abs(float(share) - p) < 4 * sqrt(p * (1 - p) / draws)
    net.eval()(x)
    assert not any(block.dropped for _, block in net.blocks)


@pytest.mark.parametrize(("name", "expected"), [("stochastic110", 1_727_962), ("stochastic1202", 19_421_274)])
def test_counts(name, expected, on_meta, parameters):
    assert parameters(on_meta(name)) == expected
    assert parameters(on_meta(name.replace("stochastic", "resnet"))) == expected


def test_gradient_flow_sees_nothing_pass_through_a_dropped_branch(force):
    x, y = batch()
    net = StochasticDepthResNet(14, **SMALL).train()
    force([1, 0, 1, 1, 0, 1])
    with GradientFlow(net) as flow:
        cross_entropy(net(x), y).backward()
    for name, block in net.blocks:
        assert bool(flow.split[name].residual.abs().max() == 0) is block.dropped
    gone = [row.weight_gradient for row in flow.rows if row.layer.startswith(("layer1.1", "layer3.0"))]
    assert gone == [0.0] * 4


def test_a_lesion_in_evaluation_leaves_the_shortcut():
    torch.manual_seed(6)
    net, x = StochasticDepthResNet(8, **SMALL).eval(), torch.randn(2, 3, 8, 8)
    whole = net(x)
    with lesion(net, "layer1.0"):
        without = net(x)
    out = torch.relu(net.bn1(net.conv1(x)))
    assert torch.equal(without, net.fc(net.layer3(net.layer2(out)).mean((2, 3))))
    assert not torch.allclose(whole, without)


def test_nothing_is_drawn_in_evaluation_so_that_the_network_can_be_exported():
    torch.manual_seed(7)
    net, x = StochasticDepthResNet(8, **SMALL).eval(), torch.randn(2, 3, 8, 8)
    exported = torch.export.export(net, (x,)).module()
    assert torch.allclose(exported(x), net(x), atol=1e-6)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: StochasticDepthResNet(21), "depth=21: expected 6n \\+ 2; the nearest are 20 and 26"),
        (lambda: StochasticDepthResNet(20, survival=0), "survival=0: expected a probability"),
        (lambda: StochasticDepthResNet(20, survival=1.1), "survival=1.1"),
        (lambda: survival_rates(3, True), "survival=True: expected a probability"),
        (lambda: survival_rates(3, "0.5"), "survival='0.5': expected a probability"),
        (lambda: StochasticDepthResNet(20, in_channels=0), "in_channels=0"),
        (lambda: StochasticDepthResNet(8)(torch.zeros(1, 3, 8, 3)), "H and W of 4 or more"),
        (lambda: StochasticDepthResNet(20, rule="cosine"), "rule='cosine': expected 'linear' or 'uniform'"),
        (lambda: StochasticDepthResNet(20, shortcut="D"), "shortcut='D'"),
        (lambda: StochasticDepthResNet(20, widths=(8, 16)), "widths=\\(8, 16\\): expected three"),
        (lambda: StochasticDepthResNet(20, num_classes=0), "num_classes=0"),
        (lambda: StochasticDepthResNet(8)(torch.zeros(1, 1, 8, 8)), r"expected \(N, 3, H, W\)"),
        (lambda: survival_rates(0, 0.5), "blocks=0"),
    ],
)
def test_bad_input_is_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()
