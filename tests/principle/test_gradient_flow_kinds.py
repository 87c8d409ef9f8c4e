"""The recorder on layers and blocks that are called in other ways: checkpointed, compiled, lazy, parametrised."""

import copy
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import parametrizations, parametrize, prune
from torch.utils.checkpoint import checkpoint, checkpoint_sequential

from resnetbook.principle.block import BasicBlock, Bottleneck
from resnetbook.principle.gradient_flow import GradientFlow
from resnetbook.principle.split import hook_gradient

Y = torch.tensor([0, 1, 2, 3, 4, 5])


def images(channels: int = 1, size: int = 8) -> Tensor:
    return torch.randn(6, channels, size, size, generator=torch.Generator().manual_seed(3))


def step(model: Any, x: Tensor) -> None:
    cross_entropy(model(x), Y).backward()


# ---- activation checkpointing


class Dropped(nn.Module):
    """A block that returns x as it came; what follows overwrites it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x


class CheckpointedBranch(BasicBlock):
    reentrant = False

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(checkpoint(self.branch, x, use_reentrant=self.reentrant) + self.identity(x))


class Net(nn.Module):
    """Blocks on a stem, or on the images themselves; `call` runs a part of the network."""

    def __init__(self, *blocks: nn.Module, stem: bool = True) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1) if stem else nn.Identity()
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(4, 10)
        self.call: Callable[..., Tensor] = lambda part, x: part(x)
        self.region: Callable[[Net, Tensor], Tensor] = lambda net, x: net.each(x)

    def each(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = self.call(block, x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        x = self.region(self, self.stem(x))
        return self.fc(x.mean((2, 3)))


def every_block(net: Net, reentrant: bool) -> None:
    net.call = lambda part, x: checkpoint(part, x, use_reentrant=reentrant)  # type: ignore[return-value]


def all_blocks_at_once(net: Net, reentrant: bool) -> None:
    net.region = lambda net, x: checkpoint(net.each, x, use_reentrant=reentrant)  # type: ignore[return-value]


def in_segments(net: Net, reentrant: bool) -> None:
    net.region = lambda net, x: checkpoint_sequential(net.blocks, 2, x, use_reentrant=reentrant)


def within_one_another(net: Net, reentrant: bool) -> None:
    every_block(net, reentrant)
    all_blocks_at_once(net, reentrant)


def a_convolution_alone(net: Net, reentrant: bool) -> None:
    inner = net.blocks[0].conv2.forward  # type: ignore[union-attr]
    net.blocks[0].conv2.forward = lambda x: checkpoint(inner, x, use_reentrant=reentrant)  # type: ignore[union-attr]


WAYS = [every_block, all_blocks_at_once, in_segments, within_one_another, a_convolution_alone]


def three_blocks(stem: bool = True) -> Net:
    torch.manual_seed(0)
    first: tuple[nn.Module, ...] = (BasicBlock(4, 4),) if stem else (BasicBlock(1, 4, shortcut="B"),)
    return Net(*first, BasicBlock(4, 4), Bottleneck(4, 1), stem=stem)


def assert_equal_records(flow: GradientFlow, plain: GradientFlow) -> None:
    assert flow.layers == plain.layers
    for field in ("weight_gradient", "activation", "activation_gradient"):
        np.testing.assert_allclose(flow.table(field)[1], plain.table(field)[1], rtol=1e-5, err_msg=field)
    assert list(flow.split) == list(plain.split)
    for name, split in flow.split.items():
        for part in ("identity", "residual", "total"):
            torch.testing.assert_close(getattr(split, part), getattr(plain.split[name], part))


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("stem", [True, False])
def test_checkpointed_blocks_are_recorded_as_plain_ones_are(
    way: Callable[[Net, bool], None], reentrant: bool, stem: bool
) -> None:
    x, net = images(), three_blocks(stem)
    if reentrant and not stem:
        x.requires_grad_()  # else reentrant checkpointing gives no gradient, with the recorder and without
    saved = copy.deepcopy(net.state_dict())
    with GradientFlow(net) as plain:
        for _ in range(2):
            step(net, x)
    grads = [p.grad.clone() for p in net.parameters() if p.grad is not None]
    net.load_state_dict(saved)
    net.zero_grad()
    way(net, reentrant)
    with GradientFlow(net) as flow:
        for _ in range(2):
            step(net, x)
    assert len(plain.split) == 3
    assert_equal_records(flow, plain)
    for p, expected in zip(net.parameters(), grads, strict=True):
        torch.testing.assert_close(p.grad, expected)


def test_a_whole_model_under_checkpointing_makes_one_step() -> None:
    net = three_blocks()
    with GradientFlow(net) as plain:
        step(net, images())
    with GradientFlow(net) as flow:
        step(lambda x: checkpoint(net, x, use_reentrant=False), images())
    assert_equal_records(flow, plain)
    with pytest.raises(RuntimeError, match="runs without them"), GradientFlow(net):
        step(lambda x: checkpoint(net, x, use_reentrant=True), images().requires_grad_())


def test_a_checkpointed_block_that_is_dropped_is_not_overwritten() -> None:
    """What follows the block writes in place on what it returns: in the recomputation too that must be a copy."""

    class Region(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return self[2](self[1](self[0](x)))

    class Whole(nn.Module):
        def __init__(self, again: bool) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.stem, self.again = nn.Conv2d(1, 4, 3, padding=1), again
            self.region = Region(Dropped(), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 1))

        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x)
            y = checkpoint(self.region, x, use_reentrant=False) if self.again else self.region(x)
            return y.square().sum() + x.square().sum()  # type: ignore[union-attr]

    flows = []
    for again in (False, True):
        model = Whole(again)
        with GradientFlow(model, blocks=["region.0"]) as flow:
            model(images()).backward()
        flows.append(flow)
    assert_equal_records(flows[1], flows[0])


def test_a_checkpointed_branch_is_split_or_refused_by_name() -> None:
    torch.manual_seed(0)
    block = CheckpointedBranch(4, 4)
    net = Net(block)
    with GradientFlow(net) as flow:
        step(net, images())
    twin = Net(BasicBlock(4, 4))
    twin.load_state_dict(net.state_dict())
    for module in twin.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
    with GradientFlow(twin) as plain:
        step(twin, images())
    assert_equal_records(flow, plain)
    block.reentrant = True
    with pytest.raises(RuntimeError, match=r"'blocks.0'.*reentrant.*use_reentrant=False"), GradientFlow(net):
        step(net, images())


def test_a_recomputation_that_stops_midway_leaves_no_graph_behind() -> None:
    net = three_blocks()
    all_blocks_at_once(net, False)
    with GradientFlow(net) as flow:
        step(net, images())
        splitters = [hook for hook in flow._hooks if hasattr(hook, "_call")]
        assert len(splitters) == 3
        assert all(splitter._call is None for splitter in splitters)
        assert all(splitter._unsplit is None or splitter._unsplit() is None for splitter in splitters)


def test_a_block_first_seen_without_gradients_is_still_verified() -> None:
    class FunctionalActivation(Dropped):
        def forward(self, x: Tensor) -> Tensor:
            return x + self.conv(torch.relu(x))

    net = Net(FunctionalActivation())
    net.region = lambda net, x: net.each(x) if net.training else torch.no_grad()(net.each)(x)
    with GradientFlow(net, blocks=["blocks.0"]):
        step(net.eval(), images())
        with pytest.raises(RuntimeError, match=r"Relu.*make that operation a submodule"):
            step(net.train(), images())


# ---- compiled models


def compiled_model(model: nn.Module) -> nn.Module:
    return torch.compile(model, backend="eager")  # type: ignore[return-value]


def in_place(model: nn.Module) -> nn.Module:
    model.compile(backend="eager")
    return model


def a_block(model: Any) -> nn.Module:
    model.blocks[0] = torch.compile(model.blocks[0], backend="eager")
    return model


def a_block_in_place(model: Any) -> nn.Module:
    model.blocks[0].compile(backend="eager")
    return model


def its_forward(model: nn.Module) -> nn.Module:
    model.forward = torch.compile(model.forward, backend="eager")  # type: ignore[method-assign]
    return model


def traced(model: nn.Module) -> nn.Module:
    return torch.jit.trace(model, images())  # type: ignore[return-value]


STATIC = [compiled_model, in_place, a_block, a_block_in_place, its_forward, traced]


def small() -> Net:
    torch.manual_seed(0)
    return Net(BasicBlock(4, 4))


@pytest.fixture(autouse=True)
def _fresh_compiler():
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize("way", STATIC, ids=lambda way: way.__name__)
@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::torch.jit.TracerWarning"
)
def test_compiled_models_are_refused_by_name(way: Callable[[nn.Module], nn.Module]) -> None:
    model = way(small())
    for blocks in (None, []):
        with pytest.raises(ValueError, match=r"model=.* compiled \(.*\); expected eager mode"):
            GradientFlow(model, blocks=blocks)


@pytest.mark.parametrize("way", STATIC[1:5], ids=lambda way: way.__name__)
def test_what_is_compiled_later_is_refused_too(way: Callable[[nn.Module], nn.Module]) -> None:
    model = small()
    flow = GradientFlow(model)
    way(model)
    with pytest.raises(RuntimeError, match=r"compiled.*expected eager mode"), flow:
        step(model, images())

    def within() -> None:
        with GradientFlow(small(), blocks=[]) as flow:
            step(flow.model, images())
            way(flow.model)
            step(flow.model, images())

    with pytest.raises(RuntimeError, match=r"compiled.*expected eager mode"):
        within()


@pytest.mark.parametrize("kind", ["module", "function"])
@pytest.mark.parametrize(("ran", "steps"), [(False, 0), (True, 0), (False, 1)])
def test_a_call_from_compiled_code_is_refused(kind: str, ran: bool, steps: int) -> None:
    model = small()

    def function(x: Tensor) -> Tensor:
        return model(x) + 0

    call: Any = torch.compile(model if kind == "module" else function, backend="eager")
    if ran:
        call(images())
    # In a function that ran before the hooks do not run at all.
    seen = not (kind == "function" and ran)
    message = r"called in compiled code; expected eager mode" if seen else r"compiled function.*is not seen"

    def record() -> None:
        with GradientFlow(model):
            for _ in range(steps):
                step(model, images())
            step(call, images())

    with pytest.raises(RuntimeError, match=message):
        record()


def test_what_is_kept_from_the_compiler_is_recorded() -> None:
    """`torch.compiler.disable` wraps as `torch.compile` does, and so do optimisers and checkpointing."""
    model = small()
    with GradientFlow(model) as plain:
        step(model, images())
    with GradientFlow(model) as flow:
        step(torch.compiler.disable(lambda x: model(x)), images())
    assert_equal_records(flow, plain)
    wrapped = nn.Sequential(torch.compiler.disable(model))
    with GradientFlow(wrapped) as flow:
        step(wrapped, images())
    assert len(flow.split) == 1


# ---- lazy layers


def test_lazy_layers_are_recorded_from_their_first_step_on() -> None:
    def layers(lazy: bool) -> list[nn.Module]:
        if lazy:
            return [nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.LazyConvTranspose2d(3, 2),
                    nn.Flatten(), nn.LazyLinear(10)]  # fmt: skip
        return [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.ConvTranspose2d(4, 3, 2),
                nn.Flatten(), nn.Linear(147, 10)]  # fmt: skip

    torch.manual_seed(0)
    lazy = nn.Sequential(*layers(True))
    with GradientFlow(lazy, blocks=[]) as flow:
        for _ in range(2):
            step(lazy, images())
    assert flow.layers == ["0", "3", "5"]
    plain = nn.Sequential(*layers(False))
    plain.load_state_dict(lazy.state_dict())
    with GradientFlow(plain, blocks=[]) as expected:
        for _ in range(2):
            step(plain, images())
    assert_equal_records(flow, expected)
    assert float(flow.table()[1].min()) > 0
    assert all(not p._backward_hooks for p in lazy.parameters())


class LazyBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.LazyConv2d(4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x)


def test_a_block_of_lazy_layers_is_split() -> None:
    torch.manual_seed(0)
    net = Net(LazyBlock())
    with GradientFlow(net, blocks=["blocks.0"]) as flow:
        step(net, images())
    with GradientFlow(net, blocks=["blocks.0"]) as again:  # by now an ordinary layer
        step(net, images())
    assert_equal_records(flow, again)
    assert float(flow.split["blocks.0"].residual.norm()) > 0


# ---- weights that are computed from other parameters


class Halved(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return weight / 2


class Untouched(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return weight


COMPUTED: dict[str, Callable[[Any], Any]] = {
    "weight_norm": parametrizations.weight_norm,
    "spectral_norm": parametrizations.spectral_norm,
    "orthogonal": parametrizations.orthogonal,
    "halved": lambda layer: parametrize.register_parametrization(layer, "weight", Halved()),
    "untouched": lambda layer: parametrize.register_parametrization(layer, "weight", Untouched()),
    "old weight_norm": torch.nn.utils.weight_norm,
    "old spectral_norm": torch.nn.utils.spectral_norm,
    "pruned": lambda layer: prune.l1_unstructured(layer, "weight", 0.3),
}


@pytest.mark.parametrize("kind", COMPUTED)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_layers_with_a_computed_weight_are_recorded_as_their_plain_twin(kind: str) -> None:
    """The twin carries the weight that the layer applied; the layer is called twice in a step."""

    def forward(net: Any, x: Tensor) -> Tensor:
        return net[3](net[2](net[1](net[1](net[0](x)).relu())))

    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 1), nn.Conv2d(4, 4, 3, padding=1), nn.Flatten(), nn.Linear(256, 10))
    twin = copy.deepcopy(net)
    for layer in (net[1], net[3]):
        COMPUTED[kind](layer)
    net.eval()  # spectral normalisation iterates in training, so that its two calls differ
    net.forward = lambda x: forward(net, x)  # type: ignore[method-assign]
    twin.forward = lambda x: forward(twin, x)  # type: ignore[method-assign]
    net(images())
    before = copy.deepcopy({name: value.detach() for name, value in net.state_dict().items()})
    with GradientFlow(net, blocks=[]) as flow:
        for _ in range(2):
            step(net, images())
    assert flow.layers == ["0", "1", "3"]
    with torch.no_grad():
        for ours, theirs in zip(net, twin, strict=True):
            if hasattr(theirs, "weight"):
                theirs.weight.copy_(ours.weight)  # type: ignore[operator, arg-type]
    with GradientFlow(twin, blocks=[]) as plain:
        for _ in range(2):
            step(twin, images())
    assert_equal_records(flow, plain)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(not p._backward_hooks for p in net.parameters())
    assert all(not module._forward_hooks for module in net.modules())


def test_spectral_normalisation_is_not_moved_by_the_recorder() -> None:
    def trained(record: bool) -> list[Tensor]:
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), parametrizations.spectral_norm(nn.Linear(64, 10)))
        if record:
            with GradientFlow(net, blocks=[]):
                step(net, images())
        else:
            step(net, images())
        return list(net.state_dict().values())

    assert all(torch.equal(a, b) for a, b in zip(trained(True), trained(False), strict=True))


@pytest.mark.parametrize("kind", COMPUTED)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_frozen_computed_weight_has_no_gradient(kind: str) -> None:
    torch.manual_seed(0)
    layer = COMPUTED[kind](nn.Linear(64, 64))
    layer.requires_grad_(False)
    if "weight" in vars(layer):
        layer(torch.zeros(1, 64))
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), layer, nn.Linear(64, 10))
    with GradientFlow(net, blocks=[]) as flow:
        step(net, images())
    assert flow.layers == ["1", "2", "3"]
    assert np.isnan(flow.table()[1][0]).tolist() == [False, True, False]
    assert flow.rows[1].activation_gradient > 0


def test_a_block_of_weight_normalised_layers_is_split_as_its_twin() -> None:
    torch.manual_seed(0)
    net = Net(BasicBlock(4, 4))
    twin = copy.deepcopy(net)
    for conv in (net.blocks[0].conv1, net.blocks[0].conv2):  # type: ignore[union-attr]
        parametrizations.weight_norm(conv)
    with GradientFlow(net) as flow:
        step(net, images())
    with GradientFlow(twin) as plain:
        step(twin, images())
    assert_equal_records(flow, plain)


class Twofold(nn.Module):
    """Returns two tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(64, 64))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x @ self.weight, x


class First(nn.Module):
    def forward(self, pair: tuple[Tensor, Tensor]) -> Tensor:
        return pair[0]


@pytest.mark.parametrize("compute", [False, True])
def test_a_layer_that_returns_several_tensors_has_a_weight_and_no_activation(compute: bool) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), Twofold(), First(), nn.Linear(64, 10))
    if compute:
        parametrize.register_parametrization(net[1], "weight", Halved())
    with GradientFlow(net, blocks=[]) as flow:
        step(net, images())
    row = flow.rows[0]
    assert row.layer == "1"
    assert row.weight_gradient > 0
    assert np.isnan([row.activation, row.activation_gradient]).all()


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("kind", ["plain", "weight_norm", "halved", "pruned"])
def test_a_layer_called_apart_from_its_model_leaves_no_trace(kind: str, frozen: bool) -> None:
    torch.manual_seed(0)
    layer = COMPUTED.get(kind, lambda layer: layer)(nn.Linear(64, 64)).requires_grad_(not frozen)
    if "weight" in vars(layer):
        layer(torch.zeros(1, 64))
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), layer, nn.Linear(64, 10))
    with GradientFlow(net, blocks=[]) as expected:
        step(net, images())
    net.zero_grad()
    with GradientFlow(net, blocks=[]) as flow:
        layer(torch.ones(2, 64, requires_grad=True)).sum().backward()
        step(net, images())
    assert_equal_records(flow, expected)


def test_a_table_of_a_layer_that_is_neither_linear_nor_convolution_is_a_weight() -> None:
    """An embedding's weight has two dimensions, a scale's has one; computed or not makes no difference."""

    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3))

        def forward(self, x: Tensor) -> Tensor:
            return x * self.weight

    for compute in (False, True):
        net = nn.Sequential(nn.Embedding(5, 3), Scale(), nn.Linear(3, 2))
        if compute:
            for layer in net:
                parametrize.register_parametrization(layer, "weight", Halved())
        with GradientFlow(net, blocks=[]) as flow:
            net(torch.tensor([1, 4])).sum().backward()
        assert flow.layers == ["0", "2"]
        assert flow.rows[0].weight_gradient > 0


# ---- the fork


def test_a_hook_comes_to_the_gradient_of_any_tensor() -> None:
    """Of a leaf, of a built-in function and of one written in Python: each of these nodes takes hooks in its own way."""

    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return 2 * x

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
            return 2 * gradient

    for make in (lambda x: x, lambda x: x + 1, Twice.apply):
        x = torch.ones(3, requires_grad=True)
        tensor, seen = make(x), []
        hook_gradient(tensor, seen.append)
        (tensor * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
        assert [g.tolist() for g in seen] == [[1.0, 2.0, 3.0]]
    # Apart from a leaf, whose node takes none, no handle is made; torch numbers them.
    made = torch.utils.hooks.RemovableHandle.next_id
    hook_gradient(torch.ones(1, requires_grad=True) + 1, print)
    assert torch.utils.hooks.RemovableHandle.next_id == made
    asked: list[Any] = []
    bare: Any = SimpleNamespace(
        grad_fn=object(), register_hook=asked.append
    )  # a node that knows no such dictionary
    hook_gradient(bare, asked.clear)
    assert asked == [asked.clear]


class Reading(nn.Module):
    """Reads x by a submodule of one, two or three arguments; the rest of the arguments must come through."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form, self.mix = form, nn.Bilinear(3, 3, 3) if form != "one" else nn.Linear(3, 3)

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        given = {"one": (x,), "first": (x, other), "second": (other, x), "both": (x, x)}[self.form]
        return x + self.mix(*given)


@pytest.mark.parametrize("form", ["one", "first", "second", "both"])
def test_the_branch_may_read_x_at_any_place(form: str) -> None:
    torch.manual_seed(0)
    block = Reading(form)
    x, other = torch.randn(5, 3, requires_grad=True), torch.randn(5, 3)
    with GradientFlow(block, blocks=[""]) as flow:
        block(x, other).square().sum().backward()
    apart = [x.detach().clone().requires_grad_() for _ in range(2)]
    given = {
        "one": (apart[1],),
        "first": (apart[1], other),
        "second": (other, apart[1]),
        "both": (apart[1],) * 2,
    }
    (apart[0] + block.mix(*given[form])).square().sum().backward()
    torch.testing.assert_close(flow.split[""].identity, apart[0].grad)
    torch.testing.assert_close(flow.split[""].residual, apart[1].grad)


class Indifferent(nn.Module):
    """Takes anything."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x: Any = None, y: Any = None) -> Tensor:
        return self.layer(torch.ones(2, 3))


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"y": torch.ones(2, 3)},
        {"x": torch.ones(2, 3)},
        torch.ones(2, 3, dtype=torch.int64),
        [torch.ones(2, 3)],
        None,
    ],
)
def test_what_a_block_cannot_fork_is_refused(given: Any) -> None:
    block = Indifferent()
    call = (lambda: block(**given)) if isinstance(given, dict) else (lambda: block(given))
    with GradientFlow(block, blocks=[]):  # the network itself takes it
        call().sum().backward()
    message = "'': expected a tensor of floats as its first positional argument"
    with pytest.raises(RuntimeError, match=message), GradientFlow(block, blocks=[""]):
        call()
