"""Blocks equal torchvision's; type A is a frozen projection; the plain twin lacks the sum and nothing else."""

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torchvision.models import resnet as torchvision_resnet

from resnetbook.principle.block import BasicBlock, Bottleneck, ShortcutA, conv1x1, conv3x3, is_block, shortcut

OURS = {"BasicBlock": BasicBlock, "Bottleneck": Bottleneck}


def assert_equal(ours: Tensor, theirs: Tensor) -> None:
    """Relative equality as DESIGN section 7 has it."""
    ours, theirs = ours.detach(), theirs.detach()
    error = (ours - theirs).abs().max()
    assert error <= 1e-5 * max(1.0, float(theirs.abs().max())), f"differs by {error:.2e}"


def scramble(module: nn.Module) -> None:
    """Give every parameter and running statistic a value that no initialisation has."""
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                tensor.normal_(0, 0.3)
                if "running_var" in name:
                    tensor.abs_().add_(0.5)


def oracle(kind: str, in_channels: int, channels: int, stride: int) -> nn.Module:
    theirs = getattr(torchvision_resnet, kind)
    out_channels = channels * theirs.expansion
    downsample = None
    if stride != 1 or in_channels != out_channels:
        convolution = nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False)
        downsample = nn.Sequential(convolution, nn.BatchNorm2d(out_channels))
    return theirs(in_channels, channels, stride, downsample)


@pytest.mark.parametrize("kind", list(OURS))
@pytest.mark.parametrize("training", [True, False])
@settings(max_examples=12, deadline=None)
@given(
    in_channels=st.sampled_from([3, 4, 8, 16]),
    channels=st.sampled_from([1, 2, 4, 8]),
    stride=st.sampled_from([1, 2, 3]),
    size=st.integers(5, 11),
    seed=st.integers(0, 2**16),
)
def test_equals_torchvision(
    kind: str, training: bool, in_channels: int, channels: int, stride: int, size: int, seed: int
) -> None:
    torch.manual_seed(seed)
    theirs = oracle(kind, in_channels, channels, stride)
    scramble(theirs)
    ours = OURS[kind](in_channels, channels, stride=stride)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    ours.train(training)
    theirs.train(training)
    x_ours = torch.randn(3, in_channels, size, size + 1, requires_grad=True)
    x_theirs = x_ours.detach().clone().requires_grad_()
    out_ours, out_theirs = ours(x_ours), theirs(x_theirs)
    assert_equal(out_ours, out_theirs)
    out_ours.square().sum().backward()
    out_theirs.square().sum().backward()
    assert x_ours.grad is not None
    assert_equal(x_ours.grad, x_theirs.grad)
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert p.grad is not None, name
        assert_equal(p.grad, q.grad)


@settings(max_examples=30, deadline=None)
@given(
    in_channels=st.integers(1, 9),
    more=st.integers(0, 9),
    stride=st.integers(1, 4),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
)
def test_type_a_is_the_projection_with_a_frozen_unit_matrix(
    in_channels: int, more: int, stride: int, height: int, width: int
) -> None:
    out_channels = in_channels + more
    ours = shortcut("A", in_channels, out_channels, stride=stride)
    projection = conv1x1(in_channels, out_channels, stride=stride)
    with torch.no_grad():
        projection.weight.zero_()
        projection.weight[:in_channels, :, 0, 0] = torch.eye(in_channels)
    x = torch.randn(2, in_channels, height, width)
    assert torch.equal(ours(x), projection(x))
    assert not list(ours.parameters())


@pytest.mark.parametrize(
    ("kind", "keeps", "expected"),
    [("A", True, nn.Identity), ("B", True, nn.Identity), ("C", True, nn.Sequential), ("A", False, ShortcutA)],
)
def test_types_of_shortcut(kind: str, keeps: bool, expected: type[nn.Module]) -> None:
    assert isinstance(shortcut(kind, 4, 4 if keeps else 8, stride=1), expected)  # type: ignore[arg-type]


@pytest.mark.parametrize(("in_channels", "stride", "extra"), [(8, 1, (0, 0, 80)), (4, 2, (0, 48, 48))])
def test_parameters_of_the_types(in_channels: int, stride: int, extra: tuple[int, int, int]) -> None:
    plain = sum(p.numel() for p in BasicBlock(in_channels, 8, stride=stride, residual=False).parameters())
    for kind, more in zip("ABC", extra, strict=True):
        block = BasicBlock(in_channels, 8, stride=stride, shortcut=kind)  # type: ignore[arg-type]
        # A projection has in x out weights and two numbers a channel for its batch normalisation.
        assert sum(p.numel() for p in block.parameters()) == plain + more


@pytest.mark.parametrize(
    ("cls", "norm", "bias"), list(product([BasicBlock, Bottleneck], [True, False], [True, False]))
)
def test_twins_differ_in_the_sum_alone(cls: type[BasicBlock | Bottleneck], norm: bool, bias: bool) -> None:
    torch.manual_seed(1)
    residual = cls(8, 8, stride=2, shortcut="A", norm=norm, bias=bias)
    plain = cls(8, 8, stride=2, shortcut="A", residual=False, norm=norm, bias=bias)
    plain.load_state_dict(residual.state_dict(), strict=True)
    x = torch.randn(2, 8, 6, 6)
    assert_equal(plain(x), residual.branch(x).relu())
    assert_equal(residual(x), (residual.branch(x) + residual.identity(x)).relu())
    assert (plain(x) - residual(x)).abs().max() > 0.1


def test_a_branch_of_zeros_leaves_the_identity() -> None:
    block = BasicBlock(4, 4)
    nn.init.zeros_(block.bn2.weight)
    x = torch.rand(2, 4, 5, 5)
    assert torch.equal(block(x), x)
    assert torch.equal(
        block(x - 1), torch.zeros_like(x)
    )  # v1: the ReLU after the sum clips what is below zero


def test_without_norm_a_block_is_homogeneous() -> None:
    block = BasicBlock(4, 4, norm=False)
    x = torch.randn(2, 4, 5, 5)
    assert_equal(block(3 * x), 3 * block(x))
    assert not torch.allclose(BasicBlock(4, 4)(3 * x), 3 * BasicBlock(4, 4)(x))


@pytest.mark.parametrize("cls", [BasicBlock, Bottleneck])
def test_channels_last_and_compiled_code_give_the_same(cls: type[BasicBlock | Bottleneck]) -> None:
    block = cls(8, 4, stride=2).eval()
    x = torch.randn(2, 8, 6, 6)
    expected = block(x)
    assert_equal(
        block.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last)), expected
    )
    traced = torch.compile(block, backend="eager", fullgraph=True)  # one graph: no break in the block
    assert_equal(traced(x), expected)


def test_recognises_blocks() -> None:
    assert is_block(BasicBlock(4, 4, residual=False))
    assert is_block(torchvision_resnet.Bottleneck(16, 4))
    assert not is_block(nn.Sequential(BasicBlock(4, 4)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BasicBlock(0, 4), "in_channels=0"),
        (lambda: BasicBlock(4, 4, stride=0), "stride=0"),
        (lambda: Bottleneck(4, -1), "channels=-1"),
        (lambda: BasicBlock(4, 4, shortcut="D"), "shortcut='D': expected 'A', 'B' or 'C'"),
        (lambda: BasicBlock(8, 4, shortcut="A"), "out_channels=4: expected at least in_channels=8"),
        (lambda: conv3x3(4, 6, groups=4), "groups=4"),
        (lambda: conv1x1(4, 1.5), "out_channels=1.5"),
    ],
)
def test_bad_arguments_are_named(make, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message.replace("[", r"\[")):
        make()
