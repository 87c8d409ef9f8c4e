"""DenseNet equals torchvision's and pytorchcv's; a block connects what it should; the frugal mode changes nothing but memory."""

import copy
from collections import Counter

import pytest
import torch
import torchvision
from torch.nn.functional import avg_pool2d, conv2d, cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode

from resnetbook.principle.counting import count, saved_for_backward
from resnetbook.principle.gradient_flow import GradientFlow
from resnetbook.timeline.densenet import CifarDenseNet, DenseBlock, DenseLayer, DenseNet, Transition

# arXiv:1608.06993, table 2: depth, growth rate, bottleneck and compression, millions printed, exact for ten classes.
TABLE_2 = (
    (40, 12, False, 1.0, 1_019_722),
    (100, 12, False, 7.0, 6_979_642),
    (100, 24, False, 27.2, 27_249_082),
    (100, 12, True, 0.8, 769_162),
    (250, 24, True, 15.3, 15_324_406),
    (190, 40, True, 25.6, 25_624_430),
)
# Multiplications at 224 pixels in the paper's order of layers, as torchvision states them, in thousand millions.
MULTIPLICATIONS = {
    "densenet121": 2_834_161_664,
    "densenet161": 7_727_907_072,
    "densenet169": 3_359_843_328,
    "densenet201": 4_291_365_888,
}
SMALL = {"growth_rate": 8, "block_config": (2, 3), "num_init_features": 16, "num_classes": 7}


def transitions(network):
    return [module for module in network.modules() if isinstance(module, Transition)]


def counted(network, x):
    """Run a training step and return how often each operation ran."""
    found = Counter()

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            found[func.overloadpacket.__name__] += 1
            return func(*args, **(kwargs or {}))

    with Watch():
        cross_entropy(network(x), torch.arange(len(x)) % 5).backward()
    return found


def test_equals_torchvision_with_its_weights_loaded_strictly(assert_equal, scramble, on_meta):
    for name in MULTIPLICATIONS:
        torch.manual_seed(0)
        theirs = scramble(getattr(torchvision.models, name)())
        ours = on_meta(name)
        ours.load_state_dict(theirs.state_dict(), strict=True, assign=True)
        x = torch.randn(1, 3, 64, 64)
        with torch.no_grad():
            assert_equal(ours.eval()(x), theirs.eval()(x))


def test_trains_as_torchvision_does(assert_equal, scramble):
    torch.manual_seed(1)
    theirs = scramble(torchvision.models.DenseNet(**SMALL))
    ours = DenseNet(**SMALL)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x, y = torch.randn(4, 3, 64, 64), torch.randint(7, (4,))
    for network in (ours, theirs):
        cross_entropy(network.train()(x), y).backward()
    for (name, own), (other, value) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert name.split(".")[-2:] == other.split(".")[-2:]
        assert own.grad.abs().max() > 0
        assert_equal(own.grad, value.grad)
    for own, value in zip(ours.buffers(), theirs.buffers(), strict=True):
        assert_equal(own, value)


@pytest.mark.parametrize("name", MULTIPLICATIONS)
def test_counts_equal_torchvisions_metadata(name, on_meta, parameters):
    weights = torchvision.models.get_model_weights(name).IMAGENET1K_V1
    assert parameters(on_meta(name)) == weights.meta["num_params"]


@pytest.mark.parametrize(("depth", "growth", "bc", "printed", "exact"), TABLE_2)
def test_counts_of_the_paper(depth, growth, bc, printed, exact, parameters):
    with torch.device("meta"):
        found = parameters(CifarDenseNet(depth, growth, bottleneck=bc, compression=0.5 if bc else 1.0))
    assert found == exact
    assert round(found / 1e6, 1) == printed


@pytest.mark.parametrize("name", ["densenet40_12", "densenet_bc100_12", "densenet_bc190_40"])
def test_the_named_ones_are_those_of_table_2(name, on_meta, parameters):
    assert parameters(on_meta(name)) in [row[-1] for row in TABLE_2]


def test_the_small_one_equals_pytorchcv(assert_equal, scramble, by_order):
    from pytorchcv.model_provider import get_model

    torch.manual_seed(2)
    theirs = scramble(get_model("densenet40_k12_bc_cifar10"))
    ours = CifarDenseNet(40, 12)
    by_order(theirs, ours)
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert_equal(ours.eval()(x), theirs.eval()(x))


@pytest.mark.parametrize("name", MULTIPLICATIONS)
def test_a_transition_costs_a_quarter_and_nothing_else_differs(name, on_meta):
    network, saved = on_meta(name), 0
    for side, transition in zip((56, 28, 14), transitions(network), strict=True):
        saved += transition.conv.weight.numel() * side**2 * 3 // 4
    assert count(network, (3, 224, 224)).multiplications + saved == MULTIPLICATIONS[name]


def test_mean_and_1x1_convolution_commute(assert_equal):
    torch.manual_seed(3)
    transition = Transition(12, 6).double().eval()
    x = torch.randn(
        2, 12, 7, 9, dtype=torch.double
    )  # odd sides too: the last row and column are left out in both orders
    y = transition(x)
    papers = avg_pool2d(conv2d(transition.relu(transition.norm(x)), transition.conv.weight), 2)
    assert y.abs().max() > 0.1
    assert_equal(y, papers, 1e-14)


def test_a_convolution_of_joined_maps_is_the_sum_over_sources(assert_equal):
    torch.manual_seed(4)
    layer = DenseLayer(4 + 3 + 3, 3).double()
    maps = [torch.randn(2, channels, 6, 6, dtype=torch.double) for channels in (4, 3, 3)]
    joined = conv2d(torch.cat(maps, 1), layer.conv1.weight)
    weights = layer.conv1.weight.split([4, 3, 3], 1)
    assert joined.abs().max() > 0.1
    assert_equal(sum(conv2d(x, weight) for x, weight in zip(maps, weights, strict=True)), joined, 1e-14)


def test_a_layer_keeps_the_old_maps_and_adds_its_own(assert_equal):
    torch.manual_seed(5)
    for layer in (DenseLayer(6, 4), DenseLayer(6, 4, bottleneck=False)):
        x = torch.randn(2, 6, 5, 5)
        y = layer(x)
        assert torch.equal(y[:, :6], x)
        assert y[:, 6:].abs().max() > 0
        assert torch.equal(y[:, 6:], layer.branch(x))


def test_a_block_of_l_layers_has_l_times_l_plus_1_over_2_connections():
    """Counted by gradients: cut each pair of source and target alone, see whether the target's maps change."""
    torch.manual_seed(6)
    layers, channels, growth = 5, 4, 3
    block = DenseBlock(layers, channels, growth).eval()
    edges = [0, *range(channels, channels + layers * growth, growth)]  # where each source's channels begin
    x, connections = torch.randn(1, channels, 4, 4), 0
    for number, layer in enumerate(block, 1):
        ends = [*edges[1:number], layer.norm1.num_features]
        for start, end in zip(edges[:number], ends, strict=True):
            cut = copy.deepcopy(layer)
            with torch.no_grad():
                cut.conv1.weight[:, start:end] = 0
            connections += bool((cut.branch(x) - layer.branch(x)).abs().max() > 1e-4)
        x = layer(x)
    assert connections == layers * (layers + 1) // 2


def test_without_new_maps_it_is_its_stem_and_transitions(assert_equal):
    """The limit of growth 0: silent layers leave the stem's maps, and transitions their first columns."""
    torch.manual_seed(7)
    network = CifarDenseNet(22, 4, num_classes=5).double().eval()
    for module in network.modules():
        if isinstance(module, DenseLayer):
            torch.nn.init.zeros_(module.conv2.weight)
    x = torch.randn(2, 3, 16, 16, dtype=torch.double)
    out = network.features.conv0(x)
    for number, transition in enumerate(transitions(network)):
        assert number == 0 or out.shape[1] < transition.norm.num_features
        seen = out / (1 + transition.norm.eps) ** 0.5  # the untrained normalisation in evaluation mode
        out = conv2d(avg_pool2d(seen.relu(), 2), transition.conv.weight[:, : out.shape[1]])
    out = (out / (1 + 1e-5) ** 0.5).relu().mean((2, 3))
    weight, bias = network.classifier.weight[:, : out.shape[1]], network.classifier.bias
    assert out.abs().max() > 0
    assert_equal(network(x), out @ weight.T + bias, 1e-12)


@pytest.mark.parametrize("bottleneck", [True, False])
def test_frugal_and_plain_steps_are_equal_to_the_bit(bottleneck):
    torch.manual_seed(8)
    plain = CifarDenseNet(16, 4, bottleneck=bottleneck, num_classes=5)
    frugal = CifarDenseNet(16, 4, bottleneck=bottleneck, num_classes=5, memory_efficient=True)
    frugal.load_state_dict(plain.state_dict())
    x, y = torch.randn(4, 3, 8, 8), torch.randint(5, (4,))
    for _ in range(2):  # the second step would show statistics that had counted a batch twice
        losses = []
        for network in (plain, frugal):
            network.zero_grad()
            losses.append(cross_entropy(network(x), y))
            losses[-1].backward()
        assert torch.equal(*losses)
        for own, other in zip(frugal.parameters(), plain.parameters(), strict=True):
            assert other.grad.abs().max() > 0
            assert torch.equal(own.grad, other.grad)
        for own, other in zip(frugal.buffers(), plain.buffers(), strict=True):
            assert torch.equal(own, other)
    frugal.eval()
    cross_entropy(frugal(x), y).backward()  # with frozen statistics, as in fine-tuning
    assert torch.equal(frugal(x), plain.eval()(x))


def test_torchvisions_frugal_mode_counts_a_batch_twice_and_ours_once():
    x = torch.randn(2, 3, 32, 32)
    for network, batches in ((torchvision.models.DenseNet, 2), (DenseNet, 1)):
        network = network(**SMALL, memory_efficient=True)
        network(x).sum().backward()
        assert int(network.features.denseblock2.denselayer1.norm1.num_batches_tracked) == batches
        assert int(network.features.norm0.num_batches_tracked) == 1


def test_the_frugal_mode_repeats_no_convolution():
    torch.manual_seed(9)
    x = torch.randn(4, 3, 8, 8)
    plain = counted(CifarDenseNet(22, 4), x)
    frugal = counted(CifarDenseNet(22, 4, memory_efficient=True), x)
    assert (
        frugal["convolution"] == plain["convolution"] == 21
    )  # 9 layers of two, two transitions and the stem
    assert frugal["convolution_backward"] == plain["convolution_backward"]
    assert frugal["native_batch_norm"] == plain["native_batch_norm"] + 9


def test_plain_memory_grows_with_the_square_of_the_layers():
    """Maps kept for the backward pass, in units of one image of one channel: see DenseBlock."""
    torch.manual_seed(10)
    x, growth, unit = torch.randn(1, 4, 8, 8, requires_grad=True), 4, 8 * 8 * 4
    for layers in (4, 8, 16):
        block = DenseBlock(layers, 4, growth)
        read = sum(4 + growth * i for i in range(layers))
        statistics = sum(2 * 4 * (layer.norm1.num_features + layer.norm2.num_features) for layer in block)
        # Twice what conv1 reads (joined, and normalised); the bottleneck's output, and that normalised.
        assert saved_for_backward(block, x) - statistics == unit * (2 * read + 2 * layers * 4 * growth)


@pytest.mark.parametrize("bottleneck", [True, False])
def test_the_gradient_splits_into_old_maps_and_branch(bottleneck, assert_equal):
    torch.manual_seed(11)
    network = CifarDenseNet(16, 4, bottleneck=bottleneck, num_classes=5)
    names = [name for name, module in network.named_modules() if isinstance(module, DenseLayer)]
    with GradientFlow(network, blocks=names) as flow:
        cross_entropy(network(torch.randn(4, 3, 8, 8)), torch.tensor([0, 1, 2, 3])).backward()
    assert set(flow.split) == set(names)
    following = flow.split[names[1]].total
    first = flow.split[names[0]]
    assert torch.equal(
        first.identity, following[:, : first.identity.shape[1]]
    )  # the concatenation's own share
    assert_equal(first.identity + first.residual, first.total)
    assert first.residual.abs().max() > 0


def test_each_block_halves_the_map():
    network, sizes = DenseNet(num_classes=3, in_channels=1), []
    for name, module in network.features.named_children():
        if name.startswith("denseblock"):
            module.register_forward_hook(lambda module, args, out: sizes.append(tuple(out.shape[1:])))
    with torch.no_grad():
        assert network.eval()(torch.randn(1, 1, 224, 224)).shape == (1, 3)
    assert sizes == [(256, 56, 56), (512, 28, 28), (1024, 14, 14), (1024, 7, 7)]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: CifarDenseNet(41, 12), "depth=41: expected 6n \\+ 4; the nearest are 40 and 46"),
        (lambda: CifarDenseNet(41, 12, bottleneck=False), "expected 3n \\+ 4; the nearest are 40 and 43"),
        (lambda: CifarDenseNet(4, 12), "the smallest is 10"),
        (lambda: CifarDenseNet(40, 0), "growth_rate=0"),
        (lambda: CifarDenseNet(40, 12, compression=0.0), "compression=0.0: expected a share above 0"),
        (lambda: CifarDenseNet(40, 12, compression=1.5), "compression=1.5"),
        (lambda: DenseNet(block_config=()), "block_config=\\(\\): expected a number of layers"),
        (lambda: DenseNet(block_config=(2, 0)), "layers=0"),
        (lambda: DenseNet(num_classes=0), "num_classes=0"),
        (lambda: DenseNet(in_channels=0), "in_channels=0"),
        (lambda: DenseNet(block_config=(1,))(torch.zeros(1, 3, 31, 64)), "H and W of 32 or more"),
        (lambda: CifarDenseNet(10, 4)(torch.zeros(1, 1, 8, 8)), r"expected \(N, 3, H, W\)"),
    ],
)
def test_bad_input_is_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()
