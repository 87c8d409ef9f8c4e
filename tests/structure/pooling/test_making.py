"""Every pooling layer in the place of every other: one output size, gradients, both devices."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from resnetbook import survey
from resnetbook.structure import pooling
from resnetbook.structure.pooling import NAMES, make_pool

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")),
]


def build(name, **place):
    return make_pool(name, **place, **({"in_channels": 3, "join": "add"} if name == "parallel" else {}))


def test_names_are_those_of_the_surveys_map():
    assert [f"4.2.{name}" for name in NAMES] == [m.id for m in survey.methods() if m.id.startswith("4.2.")]


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(NAMES), st.integers(5, 13), st.integers(5, 13),
    st.sampled_from([(2, 2, 0), (3, 2, 1), (3, 2, 0), (3, 3, 0), (3, 1, 1), (4, 4, 2)]),
)  # fmt: skip
def test_all_give_the_size_of_max_pooling(name, height, width, place):
    kernel, stride, padding = place
    x = torch.rand(2, 3, height, width)
    y = build(name, kernel_size=kernel, stride=stride, padding=padding)(x)
    assert y.shape == functional.max_pool2d(x, kernel, stride, padding).shape


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", NAMES)
def test_gradients_by_finite_differences(name, device):
    torch.manual_seed(0)
    layer = build(name, kernel_size=2).double().to(device).eval()
    x = torch.rand(1, 3, 4, 6, dtype=torch.float64, device=device, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))


@pytest.mark.parametrize("name", ["spp", "roi", "chunk-max"])
def test_a_grid_in_an_even_place_is_max_pooling(name):
    x = torch.randn(2, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    assert torch.equal(make_pool(name, kernel_size=2)(x), functional.max_pool2d(x, 2))


def test_k_max_in_a_place_keeps_as_many_as_fit():
    x = torch.randn(2, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    assert torch.equal(make_pool("k-max", kernel_size=2)(x), pooling.KMaxPool2d((4, 6))(x))


def test_overlapping_is_widened_where_windows_only_touch():
    x = torch.randn(2, 3, 8, 9, generator=torch.Generator().manual_seed(0))
    wide = make_pool("overlapping", kernel_size=2)(x)
    padded = functional.pad(x, (0, 1, 0, 1), value=-torch.inf)
    assert torch.equal(wide, functional.max_pool2d(padded, 3, 2))
    assert torch.equal(make_pool("overlapping", kernel_size=3, stride=2)(x), functional.max_pool2d(x, 3, 2))


@pytest.mark.parametrize(
    ("name", "settings_", "kind"),
    [
        ("spp", {"levels": (1, 2)}, pooling.SpatialPyramidPool2d),
        ("roi", {"output_size": 2}, pooling.RoIPool2d),
        ("k-max", {"k": 3}, pooling.KMaxPool2d),
        ("chunk-max", {"chunks": 3}, pooling.ChunkMaxPool2d),
    ],
)
def test_with_a_setting_of_its_own_the_layer_itself_is_returned(name, settings_, kind):
    assert type(make_pool(name, **settings_)) is kind


@pytest.mark.parametrize(
    ("name", "settings_", "message"),
    [
        ("median", {}, "name='median': expected one of average, max"),
        ("max", {"p": 0.5}, "'max' has no such setting"),
        ("spp", {"p": 0.5}, "'spp' has no such setting"),
        ("mixed", {"p": 2}, "p=2"),
        ("parallel", {}, "in_channels=None"),
        ("k-max", {"kernel_size": 0}, "kernel_size=0"),
        ("roi", {"stride": 0}, "stride=0"),
    ],
)
def test_bad_input_is_refused(name, settings_, message):
    with pytest.raises(ValueError, match=message):
        make_pool(name, **settings_)


@pytest.mark.parametrize("name", NAMES)
def test_a_map_smaller_than_a_window_is_refused(name):
    with pytest.raises(ValueError, match=r"a side of 2: expected at least 3|expected \(N, 3, H, W\)"):
        build(name, kernel_size=3)(torch.zeros(1, 3, 2, 8))
