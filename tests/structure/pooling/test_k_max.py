"""k-max pooling: which values are kept, and their order."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from resnetbook.structure.pooling import KMaxPool1d, KMaxPool2d, dynamic_k


@st.composite
def sequences(draw):
    length = draw(st.integers(1, 12))
    values = draw(st.lists(st.floats(-50, 50), min_size=length, max_size=length, unique=True))
    return torch.tensor(values, dtype=torch.float64).reshape(1, 1, -1), draw(st.integers(1, length))


@settings(max_examples=100, deadline=None)
@given(sequences())
def test_the_k_largest_stay_in_their_order(case):
    x, k = case
    threshold = sorted(x.flatten().tolist(), reverse=True)[k - 1]
    assert KMaxPool1d(k)(x).flatten().tolist() == [
        value for value in x.flatten().tolist() if value >= threshold
    ]


@settings(max_examples=50, deadline=None)
@given(sequences())
def test_what_is_not_selected_can_go(case):
    x, k = case
    kept = KMaxPool1d(k)(x)
    dropped = ~torch.isin(x, kept)
    assert torch.equal(KMaxPool1d(k)(torch.where(dropped, x - 1000, x)), kept)
    assert torch.equal(KMaxPool1d(k)(x[~dropped].reshape(1, 1, -1)), kept)


def test_limits():
    x = torch.randn(2, 3, 7, generator=torch.Generator().manual_seed(0))
    assert torch.equal(KMaxPool1d(7)(x), x)
    assert torch.equal(KMaxPool1d(1)(x), x.amax(-1, keepdim=True))
    maps = torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(1))
    assert torch.equal(KMaxPool2d(5)(maps), maps)
    assert torch.equal(KMaxPool2d(1)(maps).flatten(1), maps.amax((2, 3)))


def test_maps_keep_the_order_along_both_axes():
    x = torch.tensor([[1, 9, 2, 8], [5, 1, 7, 1], [3, 4, 1, 1.0]]).reshape(1, 1, 3, 4)
    # Along rows: 9 8 / 5 7 / 3 4; then along columns: 9 5 and 8 7.
    assert KMaxPool2d(2)(x).tolist() == [[[[9, 8], [5, 7]]]]
    assert KMaxPool2d((3, 1))(x).flatten().tolist() == [9, 7, 4]


def test_gradient_reaches_what_is_kept():
    x = torch.tensor([[[3.0, 1, 2, 5]]], requires_grad=True)
    KMaxPool1d(2)(x).sum().backward()
    assert x.grad.flatten().tolist() == [1, 0, 0, 1]
    assert torch.autograd.gradcheck(
        KMaxPool1d(2), (torch.randn(2, 2, 6, dtype=torch.float64).requires_grad_(),)
    )


def test_dynamic_k_shrinks_with_depth_to_its_last_value():
    assert [dynamic_k(layer, 3, 18, 3) for layer in (1, 2, 3)] == [12, 6, 3]
    assert dynamic_k(2, 3, 4, 3) == 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: KMaxPool1d(0), "k=0"),
        (lambda: KMaxPool1d(5)(torch.zeros(1, 1, 4)), "k=5: expected at most the length, 4"),
        (lambda: KMaxPool1d(1)(torch.zeros(1, 1, 4, 4)), r"expected floats of shape \(N, C, L\)"),
        (lambda: KMaxPool2d((2, 0)), "columns=0"),
        (lambda: dynamic_k(4, 3, 10, 1), "layer=4: expected 1 to 3"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
