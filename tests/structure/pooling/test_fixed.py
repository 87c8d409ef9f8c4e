"""Average, max and overlapping pooling against torch's own kernels, values and gradients."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from resnetbook.structure.pooling import AveragePool2d, MaxPool2d, OverlappingPool2d

PLACES = [(2, 2, 0), (3, 2, 1), (3, 1, 1), (2, 3, 0), (5, 2, 2)]
THEIRS = {AveragePool2d: functional.avg_pool2d, MaxPool2d: functional.max_pool2d}


@pytest.mark.parametrize("kind", THEIRS)
@pytest.mark.parametrize("place", PLACES)
def test_equals_torch_with_its_gradient(kind, place):
    x = torch.randn(2, 3, 9, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    got, wanted = kind(*place)(ours), THEIRS[kind](theirs, *place)
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-14)
    got.square().sum().backward()
    wanted.square().sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=0, atol=1e-13)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(0.1, 5), shift=st.floats(-3, 3))
def test_max_follows_what_rises_and_average_what_is_affine(seed, scale, shift):
    x = torch.randn(1, 2, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    largest, mean = MaxPool2d(2), AveragePool2d(2)
    torch.testing.assert_close(largest(x.exp() * scale + shift), largest(x).exp() * scale + shift)
    torch.testing.assert_close(mean(x * scale + shift), mean(x) * scale + shift)
    assert not torch.allclose(mean(x.exp()), mean(x).exp())


def test_among_equal_values_one_place_gets_the_gradient():
    x = torch.ones(1, 1, 2, 2, requires_grad=True)
    MaxPool2d(2)(x).sum().backward()
    assert sorted(x.grad.flatten().tolist()) == [0, 0, 0, 1]


def test_overlapping_windows_hold_the_narrower_ones():
    x = torch.randn(2, 3, 9, 9, generator=torch.Generator().manual_seed(1))
    overlapping = OverlappingPool2d(3, 2)(x)
    torch.testing.assert_close(overlapping, functional.max_pool2d(x, 3, 2), rtol=0, atol=0)
    assert (overlapping >= functional.max_pool2d(x[..., :8, :8], 2, 2)).all()


@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (1, 2)])
def test_overlapping_refuses_windows_that_do_not_overlap(kernel, stride):
    with pytest.raises(ValueError, match=rf"kernel_size={kernel}: expected more than stride={stride}"):
        OverlappingPool2d(kernel, stride)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), "kernel_size=0"),
        ((2, 0), "stride=0"),
        ((2, 2, 2), "padding=2: expected 0 to 1"),
        ((2, 2, -1), "padding=-1"),
        ((True,), "kernel_size=True"),
    ],
)
def test_bad_windows_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        MaxPool2d(*arguments)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(3, 4, 4), r"\(3, 4, 4\)"),
        (torch.zeros(1, 1, 4, 4, dtype=torch.int64), "int64"),
        (torch.zeros(1, 1, 1, 4), "a side of 1: expected at least 2"),
    ],
)
def test_bad_batches_are_refused(x, message):
    with pytest.raises(ValueError, match=message):
        AveragePool2d(2)(x)
