"""RoI pooling with bins of our own against torchvision's kernel, and what its rounding costs."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import roi_align, roi_pool

from resnetbook.structure.pooling import RoIPool2d

CORNER = st.floats(-6, 30, allow_nan=False, width=32)


def maps(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), CORNER, CORNER, CORNER, CORNER), min_size=1, max_size=4),
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.sampled_from([1.0, 0.5, 0.25, 0.125]),
)
def test_equals_torchvision_for_any_box(rows, size, scale):
    """Also for boxes that leave the map, are turned round, or lie between two pixels."""
    x, boxes = maps(2, 3, 9, 12), torch.tensor(rows, dtype=torch.float32)
    assert torch.equal(RoIPool2d(size, spatial_scale=scale)(x, boxes), roi_pool(x, boxes, size, scale))


@pytest.mark.parametrize("fast", [False, True])
def test_gradient_equals_torchvisions(fast):
    boxes = torch.tensor([[0, 1, 2, 9, 7.0], [1, 0, 0, 11, 8], [0, 3, 3, 3, 3]])
    ours, theirs = maps(2, 3, 9, 12).requires_grad_(), maps(2, 3, 9, 12).requires_grad_()
    RoIPool2d(3, fast=fast)(ours, boxes).square().sum().backward()
    roi_pool(theirs, boxes, 3).square().sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_the_whole_map_is_adaptive_pooling_and_a_box_is_its_crop():
    x = maps(1, 3, 9, 12)
    whole = RoIPool2d(4)(x, torch.tensor([[0, 0, 0, 11, 8.0]]))
    assert torch.equal(whole, torch.nn.functional.adaptive_max_pool2d(x, 4))
    part = RoIPool2d((2, 3))(x, torch.tensor([[0, 2, 1, 7, 5.0]]))
    crop = x[:, :, 1:6, 2:8]  # both ends included
    assert torch.equal(part, torch.nn.functional.adaptive_max_pool2d(crop, (2, 3)))


def test_rounding_as_a_number():
    """On a ramp the true bins' centres lie at 2.05 and 4.55; RoIAlign finds them, rounded bins do not."""
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    box = torch.tensor([[0, 1.3, 1.3, 6.3, 6.3]])
    aligned = roi_align(ramp, box, 2, sampling_ratio=2, aligned=True)[0, 0, 0]
    torch.testing.assert_close(aligned, torch.tensor([2.05, 4.55]))
    assert RoIPool2d(2)(ramp, box)[0, 0, 0].tolist() == [3, 6]


@pytest.mark.parametrize("fast", [False, True])
def test_no_box_gives_no_map(fast):
    assert RoIPool2d(2, fast=fast)(maps(1, 3, 4, 4), torch.zeros(0, 5)).shape == (0, 3, 2, 2)


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        (torch.zeros(2, 4), r"\(2, 4\): expected \(K, 5\)"),
        (torch.tensor([[2, 0, 0, 1, 1.0]]), r"images \[2.0\]"),
    ],
)
def test_bad_boxes_are_refused(boxes, message):
    with pytest.raises(ValueError, match=message):
        RoIPool2d(2)(maps(2, 1, 4, 4), boxes)


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="columns=0"):
        RoIPool2d((2, 0))
    with pytest.raises(ValueError, match="spatial_scale=0"):
        RoIPool2d(2, spatial_scale=0)
