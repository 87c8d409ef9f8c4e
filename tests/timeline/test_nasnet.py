"""NASNet-A equals timm's and pytorchcv's; a cell is what its table says; the paper's counts; dropped paths."""

import re
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, relu

from resnetbook.timeline import create_model
from resnetbook.timeline._nasnet_cell import INPUTS
from resnetbook.timeline._nasnet_layers import FactorizedReduction, Pool, SeparableConv
from resnetbook.timeline.nasnet import (
    NORMAL_A,
    OPERATIONS,
    REDUCTION_A,
    TIMM_KEYS,
    Cell,
    CellNet,
    NASNetA,
    random_cell,
)
from resnetbook.timeline.pretrained import convert

timm_nasnet = pytest.importorskip("timm.models.nasnet")
# The wiring of the full network with few filters.
NARROW = {"filters": 8, "stem_channels": 6, "skip_reduction_input": True, "count_padding": True}


def drawn(build, seed: int = 0) -> nn.Module:
    """A network without the slow initialisation: every value drawn from one narrow distribution."""
    with torch.device("meta"):
        network = build().to_empty(device="cpu")
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                fan = value[0].numel() if value.dim() > 1 else 1
                value.uniform_(-1, 1, generator=generator).mul_((3 / fan) ** 0.5)
                if value.dim() == 1:  # shifts and means near 0, scales and variances near 1
                    value.mul_(0.1).add_(float(name.endswith(("weight", "var"))))
            else:
                value.zero_()
    return network


def test_equals_timm_with_its_weights(on_meta, assert_equal):
    theirs = drawn(timm_nasnet.NASNetALarge)
    ours = on_meta("nasnet_a_large")
    ours.load_state_dict(convert("nasnet_a_large", theirs.state_dict()), strict=True, assign=True)
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert_equal(ours.eval()(x), theirs.eval()(x))


def small_pair(classes: int = 7) -> tuple[NASNetA, nn.Module]:
    """Ours and timm's with few filters and the same weights."""
    theirs = drawn(lambda: timm_nasnet.NASNetALarge(num_classes=classes, stem_size=6, num_features=24 * 8))
    ours = NASNetA(num_classes=classes, **NARROW)
    renamed = {}
    for key, value in theirs.state_dict().items():
        for pattern, replacement in TIMM_KEYS:
            key = re.sub(pattern, replacement, key)
        renamed[key] = value
    ours.load_state_dict(renamed, strict=True)
    return ours, theirs


@pytest.mark.parametrize("size", [(65, 87), (101, 74)])
def test_odd_and_even_sides_are_padded_as_timm_does(size, assert_equal):
    ours, theirs = small_pair()
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        assert_equal(ours.eval()(x), theirs.eval()(x))


def test_trains_as_timm_does(assert_equal):
    torch.manual_seed(3)
    ours, theirs = (network.double() for network in small_pair())
    x, y = torch.randn(4, 3, 97, 97, dtype=torch.double), torch.randint(7, (4,))
    for net in (ours, theirs):
        cross_entropy(net.train()(x), y).backward()
    own, other = dict(ours.named_parameters()), dict(theirs.named_parameters())
    for mine, its in (
        ("stem.0.weight", "conv0.conv.weight"),
        ("cells.0.blocks.0.right.depthwise1.weight", "cell_stem_0.comb_iter_0_right.separable_1.depthwise_conv2d.weight"),
        ("cells.9.inputs.previous.1.conv2.weight", "cell_6.path_2.conv.weight"),
        ("fc.bias", "last_linear.bias"),
    ):  # fmt: skip
        assert_equal(own[mine].grad, other[its].grad, tolerance=1e-8)


# pytorchcv's names for the same tensors.
_CELL = {"stem1_unit": 0, "stem2_unit": 1} | {
    f"stage{s}.unit{u}": 2 + [0, 4, 9][s - 1] + u - 1 for s in (1, 2, 3) for u in range(1, 6)
}
_WITHIN = (
    (r"^features\.init_block\.conv", "stem.0"),
    (r"^features\.init_block\.bn", "stem.1"),
    (r"^output\.fc", "fc"),
    (r"comb(\d)_(left|right)\.conv(\d)\.conv\.dw_conv", r"blocks.\1.\2.depthwise\3"),
    (r"comb(\d)_(left|right)\.conv(\d)\.conv\.pw_conv", r"blocks.\1.\2.pointwise\3"),
    (r"comb(\d)_(left|right)\.conv(\d)\.bn", r"blocks.\1.\2.norm\3"),
    (r"conv1x1_prev\.conv", "inputs.previous.1"),
    (r"conv1x1_prev\.bn", "inputs.previous.2"),
    (r"conv1x1\.conv", "inputs.current.1"),
    (r"conv1x1\.bn", "inputs.current.2"),
    (r"path\.path(\d)\.conv", r"inputs.previous.1.conv\1"),
    (r"path\.bn", "inputs.previous.1.norm"),
)


def test_the_mobile_network_equals_pytorchcvs(assert_equal):
    nasnet = pytest.importorskip("pytorchcv.models.nasnet")
    theirs = drawn(nasnet.nasnet_4a1056)
    renamed = {}
    for key, value in theirs.state_dict().items():
        for pattern, replacement in _WITHIN:
            key = re.sub(pattern, replacement, key)
        for unit, number in _CELL.items():
            key = key.replace(f"features.{unit}.", f"cells.{number}.")
        renamed[key] = value
    ours = create_model("nasnet_a_mobile")
    ours.load_state_dict(renamed, strict=True)
    x = torch.randn(
        1, 3, 224, 224, generator=torch.Generator().manual_seed(4)
    )  # the only size pytorchcv takes
    with torch.no_grad():
        assert_equal(ours.eval()(x), theirs.eval()(x))


def test_counts_of_the_paper(on_meta, parameters):
    # 88.9, 5.3 and 3.3 million in its tables 1 to 3; the last map has 24F channels, the second number of the name.
    expected = {
        "nasnet_a_large": (88_753_150, 4032),
        "nasnet_a_mobile": (5_289_978, 1056),
        "nasnet_a_cifar": (3_346_538, 768),
    }
    for name, counts in expected.items():
        network = on_meta(name)
        assert (parameters(network), network.fc.in_features) == counts


def literal(cell: CellNet, current: Tensor, previous: Tensor) -> Tensor:
    """What the table says, operation by operation: nothing shared, each reader takes its own relu."""
    states = {"previous": previous, "current": current}
    for name, fit in cell.inputs.items():
        states[name] = fit(states[name])
    for number, pairs in enumerate(cell.table.blocks):
        states[number] = 0
        for side, (_, state) in zip(("left", "right"), pairs, strict=True):
            operation = cell.blocks[number][side]
            value = relu(states[state]) if isinstance(operation, SeparableConv) else states[state]
            states[number] = states[number] + operation(value)
    for name, fit in cell.joints.items():
        states[name] = fit(states[name])
    return relu(torch.cat([states[state] for state in cell.table.concat], 1))


@pytest.mark.parametrize("seed", range(8))
def test_a_cell_computes_what_its_table_says(seed, assert_equal):
    torch.manual_seed(seed)
    tables = (NORMAL_A, REDUCTION_A) if seed == 0 else (random_cell(seed), random_cell(100 + seed))
    net = NASNetA(*tables, repeats=1, filters=4, in_channels=1).double()
    current = previous = net.stem(torch.randn(3, 1, 8, 8, dtype=torch.double)).detach()
    for cell in net.cells:
        ours, theirs = cell(current, previous), literal(cell, current, previous)
        assert_equal(ours, theirs, tolerance=1e-12)
        weights = list(cell.parameters())
        grads = [
            torch.autograd.grad(out.square().sum(), weights, allow_unused=True) for out in (ours, theirs)
        ]
        for mine, its in zip(*grads, strict=True):
            assert_equal(mine, its, tolerance=1e-9)  # and no parameter is without a gradient
        previous, current = current, ours.detach()


def test_identities_add_up():
    # Without convolutions a normal cell is arithmetic: block 0 = h + h, block 1 = block 0 + h', block 2 = 2 block 1.
    table = Cell(
        (
            (("identity", "current"), ("identity", "current")),
            (("identity", 0), ("identity", "previous")),
            (("identity", 1), ("identity", 1)),
        ),
        concat=(0, 1, 2),
    )
    net = NASNetA(table, repeats=2, filters=4, in_channels=1).eval()
    cell = net.cells[1]
    h, before = torch.rand(2, 4 * 3, 8, 8), torch.rand(2, 4 * 3, 8, 8)
    a, b = cell.inputs["current"](h), cell.inputs["previous"](before)
    assert torch.equal(cell(h, before), relu(torch.cat([2 * a, 2 * a + b, 2 * (2 * a + b)], 1)))


def test_what_nobody_reads_is_concatenated():
    table = Cell(((("sep3", "current"), ("avg3", "current")), (("sep3", 0), ("identity", "current"))))
    assert table.concat == ("previous", 1)
    for cell in (random_cell(seed) for seed in range(50)):
        read = {state for block in cell.blocks for _, state in block}
        assert set(cell.concat) == {*INPUTS, *range(5)} - read
    # NASNet-A departs from the rule: each of its cells concatenates one state that is read as well.
    for cell, besides in ((NORMAL_A, "previous"), (REDUCTION_A, 1)):
        by_rule = Cell(cell.blocks).concat
        assert set(cell.concat) == {*by_rule, besides}
        assert besides not in by_rule


def test_the_same_seed_draws_the_same_cell():
    assert random_cell(3) == random_cell(3)
    assert len({random_cell(seed) for seed in range(100)}) == 100
    assert {name for s in range(50) for block in random_cell(s).blocks for name, _ in block} == set(
        OPERATIONS
    )


def sources(net: NASNetA, size: int) -> list[tuple[int, int]]:
    """For each cell, which output it reads as current and as previous: 0 is the stem, i the i-th cell."""
    made, found = {}, []
    net.stem.register_forward_hook(lambda module, args, out: made.__setitem__(id(out), 0))

    def hook(module: nn.Module, args: tuple[Tensor, Tensor], out: Tensor) -> None:
        found.append((made[id(args[0])], made[id(args[1])]))
        made[id(out)] = len(found)
        kept.append(out)

    kept: list[Tensor] = []
    for cell in net.cells:
        cell.register_forward_hook(hook)
    net.eval()(torch.randn(1, 3, size, size))
    return found


def test_which_cell_feeds_which():
    small = sources(
        NASNetA(repeats=2, filters=4), 8
    )  # normal 1, 2, reduction 3, normal 4, 5, reduction 6, ...
    assert small == [(0, 0), (1, 0), (2, 1), (3, 2), (4, 3), (5, 4), (6, 5), (7, 6)]
    large = sources(NASNetA(repeats=2, filters=8, stem_channels=6, skip_reduction_input=True), 64)
    assert large == [(0, 0), (1, 0), (2, 1), (3, 2), (4, 3), (5, 3), (6, 5), (7, 6), (8, 6), (9, 8)]


def test_each_reduction_halves_the_map():
    net, sizes = NASNetA(repeats=1, filters=4, in_channels=1), []
    for cell in net.cells:
        cell.register_forward_hook(lambda module, args, out: sizes.append(tuple(out.shape[1:])))
    assert net(torch.randn(2, 1, 32, 32)).shape == (2, 10)
    assert sizes == [(24, 32, 32), (32, 16, 16), (48, 16, 16), (64, 8, 8), (96, 8, 8)]


@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize("kind", ["max3", "avg3"])
def test_strided_pools_see_what_tensorflow_lets_them_see(kind, size):
    x = torch.randn(1, 1, size, size)
    start = -(size % 2)  # "same": of k - 2 or k - 1 rows of padding the smaller half comes first
    wanted = torch.empty(1, 1, (size + 1) // 2, (size + 1) // 2)
    for i in range(wanted.shape[2]):
        for j in range(wanted.shape[3]):
            top, left = 2 * i + start, 2 * j + start
            inside = x[0, 0, max(top, 0) : top + 3, max(left, 0) : left + 3]
            wanted[0, 0, i, j] = inside.max() if kind == "max3" else inside.mean()
    assert torch.allclose(Pool(kind, 2)(x), wanted, atol=1e-6)


def test_the_halving_projection_leaves_out_no_row():
    x = torch.rand(1, 3, 6, 7, requires_grad=True)
    FactorizedReduction(3, 4).eval()(x).square().sum().backward()
    seen = x.grad.abs().sum(dim=(0, 1)) > 0
    rows, columns = torch.meshgrid(torch.arange(6), torch.arange(7), indexing="ij")
    assert torch.equal(seen, (rows % 2) == (columns % 2))


def test_a_path_is_dropped_as_often_as_scheduled(assert_equal):
    net = NASNetA(repeats=2, filters=2, drop_path=0.4, in_channels=1)
    net.schedule(0.5)
    probabilities = [cell.drop_path for cell in net.cells]
    assert probabilities[-1] == pytest.approx(0.2)
    assert all(b - a == pytest.approx(0.2 / 8) for a, b in pairwise(probabilities))

    cell = net.cells[-1].train()
    cell.drop_path = 0.3
    value = torch.ones(20_000, 1, 2, 2)
    out = cell.applied("max3", "current", Pool("max3", 1), {"current": value}, {})
    kept = out[:, 0, 0, 0] != 0
    assert_equal(out[kept], torch.full_like(out[kept], 1 / 0.7))
    assert torch.equal(kept, out[:, 0, 1, 1] != 0)  # a path is dropped as a whole
    assert abs(float(kept.float().mean()) - 0.7) < 0.02  # six standard errors
    assert torch.equal(cell.applied("identity", "current", nn.Identity(), {"current": value}, {}), value)


def test_dropped_paths_change_training_alone(assert_equal):
    torch.manual_seed(5)
    settings = {"repeats": 1, "filters": 4, "in_channels": 1}
    plain, dropping = NASNetA(**settings), NASNetA(drop_path=0.5, **settings)
    dropping.load_state_dict(plain.state_dict())
    x = torch.randn(4, 1, 8, 8)
    assert not torch.allclose(plain.train()(x), dropping.train()(x))
    dropping.schedule(0.0)
    assert torch.equal(plain(x), dropping(x))
    dropping.schedule(1.0)
    assert torch.equal(plain.eval()(x), dropping.load_state_dict(plain.state_dict()) and dropping.eval()(x))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: NASNetA(repeats=0), "repeats=0"),
        (lambda: NASNetA(filters=1), "filters=1: expected 2 or more"),
        (lambda: NASNetA(filters=6, stem_channels=8), "8 or more for large images"),
        (lambda: NASNetA(stem_channels=0), "stem_channels=0"),
        (lambda: NASNetA(drop_path=1.0), "drop_path=1.0: expected a probability"),
        (lambda: NASNetA(num_classes=0), "num_classes=0"),
        (lambda: Cell(((("sep9", "current"), ("sep3", "current")),)), "operation='sep9': expected one of identity"),
        (lambda: Cell(((("sep3", 0), ("sep3", "current")),)), "state=0 in block 0"),
        (lambda: Cell((), ()), "concat="),
        (lambda: Cell(((("sep3", "current"), ("sep3", "current")),), concat=(4,)), "concat=\\(4,\\)"),
        (lambda: random_cell(0, blocks=0), "blocks=0"),
        (lambda: random_cell(0, operations=["conv"]), "operation='conv'"),
        (lambda: NASNetA(repeats=1, filters=4)(torch.zeros(1, 3, 3, 8)), "H and W of 4 or more"),
        (lambda: create_model("nasnet_a_mobile")(torch.zeros(1, 3, 31, 64)), "H and W of 32 or more"),
    ],
)  # fmt: skip
def test_bad_input_is_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()
