"""The recorder against autograd: norms, the split with the other path cut, steps, errors, and no trace after exit."""

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.functional import cross_entropy

from resnetbook.principle.block import BasicBlock, Bottleneck, is_block
from resnetbook.principle.gradient_flow import GradientFlow, Row, _norm
from resnetbook.principle.split import hook_gradient
from resnetbook.principle.twins import TwinNet, twins


def batch(channels: int = 1, size: int = 8, count: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(count, channels, size, size, generator=generator)
    return x, torch.randint(10, (count,), generator=generator)


def step(model: nn.Module, x: Tensor, y: Tensor) -> None:
    cross_entropy(model(x), y).backward()


def branch(block: Any, x: Tensor) -> Tensor:
    """F(x), written anew."""
    out = block.bn2(block.conv2(functional.relu(block.bn1(block.conv1(x)))))
    return block.bn3(block.conv3(functional.relu(out))) if hasattr(block, "conv3") else out


def with_path_cut(model: nn.Module, name: str, cut: str | None, x: Tensor, y: Tensor) -> Tensor:
    """Return dL/d(input of the block), with the shortcut or the branch fed from a detached copy. No hooks."""
    block: Any = model.get_submodule(name)
    leaves = []

    def forward(value: Tensor) -> Tensor:
        leaf = value.detach().requires_grad_()
        leaves.append(leaf)
        for_branch = leaf.detach() if cut == "branch" else leaf
        for_shortcut = leaf.detach() if cut == "identity" else leaf
        out = branch(block, for_branch)
        if getattr(block, "residual", True):
            out = out + (for_shortcut if block.downsample is None else block.downsample(for_shortcut))
        return functional.relu(out)

    block.forward = forward
    try:
        loss = cross_entropy(model(x), y)
        (gradient,) = torch.autograd.grad(loss, leaves[0], allow_unused=True)
    finally:
        del block.forward
    return torch.zeros_like(leaves[0]) if gradient is None else gradient


def assert_close(ours: Tensor, theirs: Tensor) -> None:
    scale = max(float(theirs.abs().max()), 1e-12)
    assert float((ours - theirs).abs().max()) <= 2e-5 * scale


def model_of(kind: str) -> tuple[nn.Module, int, int]:
    torch.manual_seed(0)
    if kind.startswith("resnet"):
        return torchvision.models.get_model(kind, weights=None, num_classes=10), 3, 40
    if kind == "bottleneck":
        body = [Bottleneck(4, 2), Bottleneck(8, 3, stride=2, shortcut="A"), Bottleneck(12, 3, norm=False)]
        return nn.Sequential(nn.Conv2d(1, 4, 3), *body, nn.Flatten(), nn.Linear(108, 10)), 1, 8
    options: dict[str, dict[str, Any]] = {
        "A": {},
        "B": {"shortcut": "B"},
        "C": {"shortcut": "C"},
        "bare": {"norm": False},
    }
    return TwinNet(14, **options[kind]), 1, 8


@pytest.mark.parametrize("kind", ["A", "B", "C", "bare", "bottleneck", "resnet18", "resnet50"])
def test_each_part_equals_autograd_with_the_other_path_cut(kind: str) -> None:
    model, channels, size = model_of(kind)
    x, y = batch(channels, size)
    with GradientFlow(model) as flow:
        step(model, x, y)
    names = flow.blocks if len(flow.blocks) < 9 else flow.blocks[::8]
    assert set(flow.split) == set(flow.blocks)
    for name in names:
        split = flow.split[name]
        assert_close(split.identity, with_path_cut(model, name, "branch", x, y))
        assert_close(split.residual, with_path_cut(model, name, "identity", x, y))
        assert_close(split.total, with_path_cut(model, name, None, x, y))
        assert_close(split.identity + split.residual, split.total)
        assert float(split.identity.abs().max()) > 0
        assert float(split.residual.abs().max()) > 0


@settings(max_examples=15, deadline=None)
@given(
    st.integers(1, 5),
    st.integers(0, 4),
    st.sampled_from([1, 2]),
    st.integers(3, 7),
    st.sampled_from("ABC"),
    st.booleans(),
)
def test_the_split_adds_up_for_any_shape(
    channels: int, more: int, stride: int, size: int, kind: Any, norm: bool
) -> None:
    block = BasicBlock(channels, channels + more, stride=stride, shortcut=kind, norm=norm)
    x = torch.randn(2, channels, size, size, requires_grad=True)
    weight = torch.randn_like(block(x))
    with GradientFlow(block) as flow:
        (block(x) * weight).sum().backward()
    split = flow.split[""]  # the model itself is the block
    assert x.grad is not None
    assert_close(split.total, x.grad)
    (expected,) = torch.autograd.grad((block(x) * weight).sum(), x)
    assert_close(split.identity + split.residual, expected)


def test_gradients_of_the_model_are_untouched() -> None:
    model, channels, size = model_of("resnet18")
    x, y = batch(channels, size)
    step(model, x, y)
    expected = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    with GradientFlow(model):
        step(model, x, y)
    for p, reference in zip(model.parameters(), expected, strict=True):
        assert p.grad is not None
        assert_close(p.grad, reference)


@pytest.mark.parametrize("norm", [True, False])
def test_plain_blocks_have_no_identity_part(norm: bool) -> None:
    plain, _ = twins(14, norm=norm)
    x, y = batch()
    with GradientFlow(plain) as flow:
        step(plain, x, y)
    for name, split in flow.split.items():
        assert not split.identity.any()
        assert torch.equal(split.residual, split.total)
        assert_close(split.total, with_path_cut(plain, name, None, x, y))


def reference_rows(model: nn.Module, x: Tensor, y: Tensor) -> dict[str, tuple[float, float, float]]:
    """The three norms by retain_grad, in double precision."""
    outputs: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, Any, Tensor], Tensor]:
        def hook(module: nn.Module, args: Any, out: Tensor) -> Tensor:
            out.retain_grad()
            outputs[name] = out
            return out.clone()  # torchvision's ReLU would overwrite it

        return hook

    layers = {n: m for n, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    handles = [m.register_forward_hook(keep(n)) for n, m in layers.items()]
    model.zero_grad()
    step(model, x, y)
    for handle in handles:
        handle.remove()
    return {
        n: tuple(float(t.detach().double().norm()) for t in (m.weight.grad, outputs[n], outputs[n].grad))  # type: ignore
        for n, m in layers.items()
    }


@pytest.mark.parametrize("kind", ["A", "bare", "resnet18"])
def test_rows_equal_retained_gradients(kind: str) -> None:
    model, channels, size = model_of(kind)
    x, y = batch(channels, size)
    expected = reference_rows(model, x, y)
    model.zero_grad()
    with GradientFlow(model) as flow:
        step(model, x, y)
    assert [row.layer for row in flow.rows] == list(expected) == flow.layers
    for row in flow.rows:
        got = (row.weight_gradient, row.activation, row.activation_gradient)
        assert got == pytest.approx(expected[row.layer], rel=1e-4), row.layer


def test_steps_are_counted_and_not_accumulated() -> None:
    model, _, _ = model_of("A")
    x, y = batch()
    model.eval()  # so that two steps on the same weights are equal
    with GradientFlow(model) as flow:
        for _ in range(3):
            step(model, x, y)  # no zero_grad: .grad grows, the rows must not
            model(x)  # a forward pass without a backward pass leaves no step
        model(2 * x)
    layers, table = flow.table("weight_gradient")
    assert table.shape == (3, len(layers)) == (3, 14)
    np.testing.assert_allclose(table[1], table[0], rtol=1e-5)
    assert flow.rows[14:15] == [
        Row(
            1,
            "conv1",
            *(flow.table(f)[1][1, 0] for f in ("weight_gradient", "activation", "activation_gradient")),
        )
    ]
    assert {row.step for row in flow.rows} == {0, 1, 2}


def test_a_row_cannot_be_changed() -> None:
    row = Row(0, "conv1", 1.0, 2.0, 3.0)
    with pytest.raises(AttributeError):
        row.step = 1  # type: ignore[misc]


def test_rows_and_split_are_those_of_the_last_step() -> None:
    model, _, _ = model_of("A")
    x, y = batch()
    model.eval()
    with GradientFlow(model) as flow:
        step(model, x, y)
        first = flow.split["layer2.0"].total.clone()
        model(x)
        assert torch.equal(flow.split["layer2.0"].total, first)  # until the next backward pass
        (2 * cross_entropy(model(x), y)).backward()
        assert_close(flow.split["layer2.0"].total, 2 * first)
    np.testing.assert_allclose(
        flow.table("activation_gradient")[1][1], 2 * flow.table("activation_gradient")[1][0], rtol=1e-5
    )


def test_two_backward_passes_of_one_forward_pass_are_one_step() -> None:
    model, _, _ = model_of("A")
    x, y = batch()
    with GradientFlow(model) as flow:
        loss = cross_entropy(model(x), y)
        loss.backward(retain_graph=True)
        loss.backward()
    assert {row.step for row in flow.rows} == {0}


def test_norms_beyond_the_range_of_single_precision() -> None:
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 1, bias=False))
    with torch.no_grad():
        for layer, scale in zip(model, (1e-25, 1e12), strict=True):
            layer.weight.fill_(scale)  # type: ignore[operator]
    with GradientFlow(model, blocks=[]) as flow:
        model(torch.ones(1, 4)).sum().mul(1e13).backward()
    first, second = flow.rows
    assert first.activation == pytest.approx(2 * 4e-25)
    assert first.weight_gradient == pytest.approx(4 * 1e25)
    assert second.activation_gradient == pytest.approx(1e13)


@pytest.mark.parametrize("scale", [1e-30, 1e-16, 1.0, 1e16, 1e30])
@pytest.mark.parametrize(
    "form", ["plain", "channels last", "strided", "expanded", "double", "bfloat16", "one"]
)
def test_a_norm_is_that_in_double_precision(form: str, scale: float) -> None:
    x = torch.randn(4, 6, 5, 7, generator=torch.Generator().manual_seed(1)) * scale
    forms = {
        "plain": x,
        "channels last": x.to(memory_format=torch.channels_last),
        "strided": x[:, ::2, 1:, ::3],
        "expanded": x[:, :, :1, :1].expand(4, 6, 5, 7),
        "double": x.double(),
        "bfloat16": x.bfloat16(),
        "one": x[0, 0, 0, 0],
    }
    tensor = forms[form].detach().requires_grad_()
    norm = _norm(tensor)
    assert isinstance(norm, float)
    assert norm == pytest.approx(float(forms[form].double().norm()), rel=1e-6)
    assert _norm(torch.zeros(3)) == 0
    assert np.isnan(_norm(torch.tensor([1.0, float("nan")])))


def test_the_hook_without_a_handle_stands_beside_others() -> None:
    """It gets what `register_hook` gets, before or after other hooks, and stays when they go."""
    for order in ("ours first", "theirs first"):
        x = torch.ones(3, requires_grad=True)
        out = x * 2
        ours: list[Tensor] = []
        theirs: list[Tensor] = []
        gone: list[Tensor] = []
        if order == "ours first":
            hook_gradient(out, ours.append)
        out.register_hook(theirs.append)
        handle = out.register_hook(gone.append)
        if order == "theirs first":
            hook_gradient(out, ours.append)
        handle.remove()
        later = out.relu_()  # written to in place: the hooks stay with the value from before
        (later * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
        assert (len(ours), len(theirs), len(gone)) == (1, 1, 0)
        assert torch.equal(ours[0], theirs[0])
        assert torch.equal(ours[0], torch.tensor([1.0, 2.0, 3.0]))
        assert x.grad is not None
        assert torch.equal(x.grad, 2 * ours[0])
    leaf = torch.ones(2, requires_grad=True)
    seen: list[Tensor] = []
    hook_gradient(leaf, seen.append)
    leaf.square().sum().backward()
    assert torch.equal(seen[0], torch.full((2,), 2.0))


def test_frozen_and_unreached_layers() -> None:
    model = nn.ModuleDict(
        {"frozen": nn.Linear(3, 3), "used": nn.Linear(3, 3), "lost": nn.Linear(3, 3), "idle": nn.Linear(3, 3)}
    )
    model["frozen"].requires_grad_(False)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = model

        def forward(self, x: Tensor) -> Tensor:
            x = self.parts["used"](self.parts["frozen"](x))
            self.parts["lost"](x)
            return x

    net = Net()
    with GradientFlow(net, blocks=[]) as flow:
        net(torch.ones(2, 3)).sum().backward()
    rows = {row.layer.removeprefix("parts."): row for row in flow.rows}
    assert np.isnan([rows["frozen"].weight_gradient, rows["frozen"].activation_gradient]).all()
    assert rows["frozen"].activation > 0
    assert rows["used"].weight_gradient > 0
    assert (rows["lost"].weight_gradient, rows["lost"].activation_gradient) == (0, 0)
    assert np.isnan([rows["idle"].weight_gradient, rows["idle"].activation]).all()


# ---- blocks of other make


class PreActivation(nn.Module):
    """x + F(x) with normalisation first; the first layer overwrites nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class Scattered(nn.Module):
    """Layers in a list, a functional activation, a shortcut of type A written out, a named projection beside it."""

    def __init__(self, *, project: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Conv2d(4, 6, 3, padding=1, stride=2), nn.Conv2d(6, 6, 3, padding=1)])
        self.shortcut = nn.Conv2d(4, 6, 1, stride=2) if project else None

    def forward(self, x: Tensor) -> Tensor:
        out = self.layers[1](functional.relu(self.layers[0](x)))
        out += (
            functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, 2))
            if self.shortcut is None
            else self.shortcut(x)
        )
        return out.relu_()


class Nested(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = PreActivation()

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) - x


def shortcut_of(block: Any, x: Tensor) -> Tensor:
    if isinstance(block, Scattered):
        return (
            functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, 2))
            if block.shortcut is None
            else block.shortcut(x)
        )
    return -x if isinstance(block, Nested) else x


def branch_of(block: Any, x: Tensor) -> Tensor:
    if isinstance(block, Scattered):
        return block.layers[1](functional.relu(block.layers[0](x)))
    return block.inner(x) if isinstance(block, Nested) else block.body(x)


@pytest.mark.parametrize(
    "block",
    [PreActivation(), Scattered(project=False), Scattered(project=True), Nested()],
    ids=lambda b: type(b).__name__,
)
def test_blocks_of_other_make_by_name(block: nn.Module) -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), block, nn.Flatten(), nn.LazyLinear(10))
    x, y = batch()
    model(x)
    with GradientFlow(model, blocks=["1"]) as flow:
        step(model, x, y)
    after = nn.Sequential(model[2], model[3])
    h = model[0](x).detach()
    for part, fed in (("identity", "branch"), ("residual", "shortcut")):
        leaf = h.clone().requires_grad_()
        one = branch_of(block, h if fed == "branch" else leaf)
        other = shortcut_of(block, h if fed == "shortcut" else leaf)
        out = one + other
        loss = cross_entropy(after(out.relu() if isinstance(block, Scattered) else out), y)
        (expected,) = torch.autograd.grad(loss, leaf)
        assert_close(getattr(flow.split["1"], part), expected)


def test_a_block_within_a_block() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), Nested())
    x, _ = batch()
    with GradientFlow(model, blocks=["1", "1.inner"]) as flow:
        model(x).square().sum().backward()
    outer, inner = flow.split["1"], flow.split["1.inner"]
    assert_close(
        outer.residual, inner.total
    )  # what the outer branch gives back is the inner block's input gradient
    assert_close(inner.identity, -outer.identity)  # inner adds x, outer subtracts it


def test_a_block_that_drops_its_branch() -> None:
    class Dropped(PreActivation):
        def forward(self, x: Tensor) -> Tensor:
            return x

    model = nn.Sequential(nn.Conv2d(1, 4, 3), Dropped(), nn.ReLU(inplace=True))
    with GradientFlow(model, blocks=["1"]) as flow:
        model(batch()[0]).sum().backward()
    assert not flow.split["1"].residual.any()
    assert flow.split["1"].identity.any()


def test_the_split_does_not_share_memory_with_the_gradient_of_a_leaf() -> None:
    """In a plain block the residual part alone reaches x; autograd may hand that tensor on as `x.grad`."""
    block = BasicBlock(2, 2, residual=False)
    x = torch.randn(3, 2, 4, 4, requires_grad=True)
    with GradientFlow(block) as flow:
        block(x).square().sum().backward()
    assert x.grad is not None
    before = flow.split[""].residual.clone()
    assert torch.equal(x.grad, before)
    x.grad.mul_(5)
    assert torch.equal(flow.split[""].residual, before)


def test_a_split_alone_makes_a_step() -> None:
    class Normalised(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(3)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.norm(x)

    model = nn.Sequential(Normalised())
    with GradientFlow(model, blocks=["0"]) as flow:  # no weight matrix, so no row
        (2 * model(torch.randn(4, 3))).sum().backward()
    assert flow.rows == []
    assert torch.equal(flow.split["0"].identity, torch.full((4, 3), 2.0))


class Functional(PreActivation):
    def forward(self, x: Tensor) -> Tensor:
        return x + functional.conv2d(x, self.body[2].weight, padding=1)


class FunctionalActivation(PreActivation):
    def forward(self, x: Tensor) -> Tensor:
        return x + self.body[2](functional.relu(x))


class SharedStart(PreActivation):
    """The shortcut starts after the normalisation, as in the first block of a pre-activation stage."""

    def __init__(self) -> None:
        super().__init__()
        self.shortcut = nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        out = self.body[0](x)
        return self.shortcut(out) + self.body[2](out)


class Overwriting(PreActivation):
    def forward(self, x: Tensor) -> Tensor:
        return self.body[2](x.relu_()) + x


class OverwritingModule(PreActivation):
    """The same by a submodule, which sees the branch's alias."""

    def forward(self, x: Tensor) -> Tensor:
        return self.body[2](self.body[1](x)) + x


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (Functional(), "'1'.*Convolution.*make that operation a submodule"),
        (FunctionalActivation(), "'1'.*Relu.*make that operation a submodule"),
        (SharedStart(), "'1'.*does not start at the block's input"),
        (Overwriting(), "'1'.*overwrites its input"),
        (OverwritingModule(), "'1'.*overwrites its input"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_told_apart_is_refused(block: nn.Module, message: str) -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), block)
    with pytest.raises(RuntimeError, match=message), GradientFlow(model, blocks=["1"]):
        model(batch()[0]).sum().backward()
    assert_no_trace(model)


# ---- errors, and no trace


def hooks_of(model: nn.Module) -> int:
    return sum(
        len(m._forward_hooks)
        + len(m._forward_pre_hooks)
        + len(m._backward_hooks)
        + len(m._backward_pre_hooks)
        for m in model.modules()
    ) + sum(len(p._backward_hooks or {}) for p in model.parameters())


def assert_no_trace(model: nn.Module) -> None:
    assert hooks_of(model) == 0


@pytest.mark.parametrize("kind", ["A", "resnet18"])
def test_no_hook_remains(kind: str) -> None:
    model, channels, size = model_of(kind)
    x, y = batch(channels, size)
    with GradientFlow(model) as flow:
        # The model's own, two for each layer (its output, its weight), three at least for each block.
        assert hooks_of(model) >= 1 + 2 * len(flow.layers) + 3 * len(flow.blocks)
        step(model, x, y)
    assert_no_trace(model)
    before = flow.rows
    step(model, x, y)
    assert flow.rows == before

    def interrupted() -> None:
        with GradientFlow(model):
            model(x)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        interrupted()
    assert_no_trace(model)


def test_the_graph_is_let_go() -> None:
    """What the recorder holds after a step are gradients, which carry no graph."""
    model, _, _ = model_of("A")
    with GradientFlow(model) as flow:
        step(model, *batch())
        held: list[Tensor] = []
        seen = {id(model)}
        todo: list[Any] = [vars(flow)]
        while todo:
            for item in gc.get_referents(todo.pop()):
                if (
                    id(item) in seen
                    or isinstance(item, type)
                    or (callable(item) and not hasattr(item, "func"))
                ):
                    continue
                seen.add(id(item))
                held += [item] if isinstance(item, Tensor) else []
                todo += [] if isinstance(item, nn.Module | nn.Parameter) else [item]
        assert len(held) == 2 * len(flow.blocks)
        assert all(t.grad_fn is None for t in held)


def test_no_grad_is_refused() -> None:
    model, _, _ = model_of("A")
    with pytest.raises(RuntimeError, match="no_grad"), GradientFlow(model), torch.no_grad():
        model(batch()[0])
    assert_no_trace(model)


def test_leaving_before_the_backward_pass_is_an_error() -> None:
    model, _, _ = model_of("A")
    with pytest.raises(RuntimeError, match="backward"), GradientFlow(model):
        model(batch()[0])
    assert_no_trace(model)
    flow = GradientFlow(model)
    for what in ("rows", "split"):
        with pytest.raises(RuntimeError, match="no backward pass"):
            getattr(flow, what)


def test_bad_arguments_are_named() -> None:
    model, _, _ = model_of("A")
    with pytest.raises(ValueError, match=r"'layer9'.*not a module of TwinNet"):
        GradientFlow(model, blocks=["layer9"])
    with pytest.raises(ValueError, match="no block of this package or of torchvision"):
        GradientFlow(nn.Sequential(nn.Linear(2, 2)))
    with pytest.raises(ValueError, match="model=ReLU: expected at least one parameter"):
        GradientFlow(nn.ReLU(), blocks=[])
    with pytest.raises(ValueError, match="requires a gradient"):
        GradientFlow(TwinNet(8).requires_grad_(False))
    with GradientFlow(model) as flow:
        step(model, *batch())
        with pytest.raises(RuntimeError, match="active already"), flow:
            pass
    with pytest.raises(ValueError, match=r"field='weights'.*weight_gradient"):
        flow.table("weights")


def test_can_be_entered_again() -> None:
    model, _, _ = model_of("A")
    flow = GradientFlow(model)
    for _ in range(2):
        with flow:
            step(model, *batch())
        assert {row.step for row in flow.rows} == {0}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_cuda() -> None:
    model, channels, size = model_of("A")
    x, y = batch(channels, size)
    with GradientFlow(model) as on_cpu:
        step(model, x, y)
    with GradientFlow(model.cuda()) as flow:
        step(model, x.cuda(), y.cuda())
    assert flow.split["layer1.0"].total.is_cuda
    np.testing.assert_allclose(flow.table()[1], on_cpu.table()[1], rtol=1e-2)


def test_a_block_derived_from_ours_may_use_its_layers_in_another_order() -> None:
    """Known blocks get one hook on conv1 alone; a subclass that reads x elsewhere must still be split exactly."""

    class NormFirst(BasicBlock):
        def branch(self, x: Tensor) -> Tensor:
            return self.conv2(torch.relu(self.bn2(self.conv1(self.bn1(x)))))

    assert is_block(NormFirst(4, 4))
    assert not is_block(NormFirst(4, 4), exactly=True)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), NormFirst(4, 4))
    x = torch.randn(8, 1, 6, 6)
    with GradientFlow(model) as flow:
        model(x).square().mean().backward()
    h = model[0](x).detach()
    apart = [h.clone().requires_grad_() for _ in range(2)]
    torch.relu(model[1].branch(apart[1]) + apart[0]).square().mean().backward()
    torch.testing.assert_close(flow.split["1"].identity, apart[0].grad)
    torch.testing.assert_close(flow.split["1"].residual, apart[1].grad)
