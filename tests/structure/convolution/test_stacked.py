"""Small kernels: what a stack equals, sees and costs."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from resnetbook.principle.counting import count
from resnetbook.structure.convolution import StackedConv, composed_kernel
from resnetbook.structure.convolution.stacked import field_of


def weights(module):
    return sum(p.numel() for p in module.parameters())


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
def test_two_layers_without_relu_are_one_larger_kernel(seed, a, b, c):
    random = torch.Generator().manual_seed(seed)
    first, second, x = (
        torch.randn(shape, dtype=torch.float64, generator=random)
        for shape in ((b, a, 3, 3), (c, b, 3, 3), (2, a, 9, 9))
    )
    kernel = composed_kernel(first, second)
    assert kernel.shape == (c, a, 5, 5)
    wanted = functional.conv2d(functional.conv2d(x, first), second)
    torch.testing.assert_close(functional.conv2d(x, kernel), wanted, rtol=0, atol=1e-11)


def test_a_stack_without_relu_equals_its_kernel_inside_the_border_alone():
    torch.manual_seed(0)
    stack = StackedConv(2, 3, 3, relu=False, bias=False).double()
    first, second, third = (conv.weight for conv in stack.convs)
    kernel = composed_kernel(composed_kernel(first, second), third)
    x = torch.randn(1, 2, 12, 12, dtype=torch.float64)
    one, many = functional.conv2d(x, kernel, padding=3), stack(x)
    torch.testing.assert_close(one[..., 3:-3, 3:-3], many[..., 3:-3, 3:-3])
    # At the border the stack pads its own maps with zeros, and the one kernel would have computed them.
    assert (one - many)[..., 0, :].abs().max() > 1e-3


@pytest.mark.parametrize("count_", [1, 2, 3, 4])
def test_what_it_sees_is_read_from_its_gradient(count_):
    stack = StackedConv(1, 1, count_)
    for parameter in stack.parameters():
        nn.init.constant_(parameter, 0.1)
    assert field_of(stack, torch.zeros(1, 1, 21, 21)) == (stack.receptive_field,) * 2 == (1 + 2 * count_,) * 2


def test_a_field_that_fills_the_image_is_refused():
    with pytest.raises(ValueError, match="expected more pixels"):
        field_of(StackedConv(1, 1, 2), torch.zeros(1, 1, 5, 5))


@pytest.mark.parametrize(("count_", "side", "small", "large"), [(2, 5, 18, 25), (3, 7, 27, 49)])
def test_weights_multiplications_and_activations(count_, side, small, large):
    """Claim C39: both shrink, and activations grow with the number of layers."""
    stack = StackedConv(8, 8, count_, bias=False)
    single = nn.Conv2d(8, 8, side, padding=side // 2, bias=False)
    assert (weights(stack), weights(single)) == (small * 64, large * 64)
    few, many = count(stack, (8, 10, 10)), count(single, (8, 10, 10))
    assert (few.multiplications, many.multiplications) == (small * 6400, large * 6400)
    assert (few.activations, many.activations) == (count_ * 800, 800)


def test_relus_stand_between_and_not_behind():
    torch.manual_seed(1)
    stack = StackedConv(1, 2, 2)
    x = torch.randn(1, 1, 6, 6)
    assert torch.equal(stack(x), stack.convs[1](stack.convs[0](x).relu()))
    assert (stack(x) < 0).any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: StackedConv(1, 1, 0), "count=0"),
        (lambda: StackedConv(1, 1, kernel_size=4), "kernel_size=4: expected an odd side"),
        (lambda: StackedConv(2, 1)(torch.zeros(1, 1, 4, 4)), r"expected \(N, 2, H, W\)"),
        (
            lambda: composed_kernel(torch.zeros(2, 1, 3, 3), torch.zeros(1, 3, 3, 3)),
            r"expected \(C, 2, h, w\)",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
