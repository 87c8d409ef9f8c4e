"""Fully convolutional head: the classifier slid over the image, and maps summed from coarse to fine."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from resnetbook.structure.fully_connected import ConvolutionalHead, FCNHead, fc_to_conv
from resnetbook.structure.fully_connected.convolutional import enlarge, slide


def test_a_linear_layer_as_a_convolution_answers_at_every_window():
    torch.manual_seed(0)
    linear = nn.Linear(3 * 4 * 5, 7).double()
    conv = fc_to_conv(linear, 3, 4, 5)
    x = torch.randn(2, 3, 9, 11, dtype=torch.float64)
    windows = functional.unfold(x, (4, 5)).transpose(1, 2)
    torch.testing.assert_close(conv(x).flatten(2).transpose(1, 2), linear(windows), rtol=0, atol=1e-12)


def test_a_whole_classifier_slid_over_a_larger_image():
    """Trained for 12 pixels, asked for 20: the map's answers are those of all crops 4 pixels apart, in one pass."""
    torch.manual_seed(1)
    trunk = nn.Sequential(
        nn.Conv2d(1, 4, 3, 2), nn.ReLU(), nn.Conv2d(4, 6, 2, 2, bias=False), nn.ReLU()
    ).double()
    side = trunk(torch.zeros(1, 1, 12, 12, dtype=torch.float64)).shape[2]
    linear = nn.Linear(6 * side * side, 5).double()
    x = torch.randn(2, 1, 20, 24, dtype=torch.float64)
    dense = fc_to_conv(linear, 6, side, side)(trunk(x))
    crops = slide(nn.Sequential(trunk, nn.Flatten(), linear), x, 12, 4)
    assert dense.shape[2:] == (3, 4)
    torch.testing.assert_close(dense, crops[..., : dense.shape[2], : dense.shape[3]], rtol=0, atol=1e-12)


def test_scores_then_mean_is_mean_then_linear():
    torch.manual_seed(2)
    head, x = ConvolutionalHead(6, 3), torch.randn(2, 6, 5, 7)
    wanted = functional.linear(x.mean((2, 3)), head.score.weight.flatten(1), head.score.bias)
    torch.testing.assert_close(head(x), wanted)
    torch.testing.assert_close(head.dense(x).mean((2, 3)), wanted)


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_enlarging_starts_as_interpolation(scale):
    x = torch.randn(1, 3, 6, 6)
    wanted = functional.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)
    found = enlarge(3, scale)(x)
    assert found.shape == wanted.shape
    torch.testing.assert_close(
        found[..., scale:-scale, scale:-scale], wanted[..., scale:-scale, scale:-scale]
    )


def test_finer_maps_add_to_the_enlarged_coarse_one():
    torch.manual_seed(3)
    maps = [torch.randn(1, width, side, side) for width, side in ((2, 16), (3, 8), (4, 4))]
    fine = FCNHead((2, 3, 4), 5, 8)
    first, second, third = (score(x) for score, x in zip(fine.scores, maps, strict=True))
    twice = enlarge(5, 2)
    wanted = enlarge(5, 8)(twice(twice(third) + second) + first)
    torch.testing.assert_close(fine(maps), wanted)
    assert wanted.shape == FCNHead((4,), 5, 32)(maps[2:]).shape == (1, 5, 128, 128)
    with torch.no_grad():
        fine.scores[0].bias.fill_(2.0)
    shifted = fine(maps)
    with torch.no_grad():
        fine.scores[0].bias.zero_()
    torch.testing.assert_close((shifted - fine(maps))[..., 8:-8, 8:-8], torch.full((1, 5, 112, 112), 2.0))


def test_the_whole_answer_moves_with_the_image():
    torch.manual_seed(4)
    trunk, head = nn.Conv2d(1, 3, 4, 4), FCNHead((3,), 2, 4)
    x = torch.zeros(1, 1, 32, 32)
    x[..., 8:16, 8:16] = torch.randn(8, 8)
    moved = head([trunk(x.roll(4, 3))])
    torch.testing.assert_close(moved[..., 8:24, 8:24], head([trunk(x)]).roll(4, 3)[..., 8:24, 8:24])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fc_to_conv(nn.Linear(10, 2), 3, 2, 2), "it reads 10 values, expected 3 x 2 x 2 = 12"),
        (lambda: ConvolutionalHead(0, 2), "channels=0"),
        (lambda: ConvolutionalHead(2, 2)(torch.zeros(1, 3, 2, 2)), r"expected \(N, 2, H, W\)"),
        (lambda: FCNHead((), 2, 8), r"channels=\(\)"),
        (lambda: FCNHead((2,), 2, 6), "scale=6: expected a power of two"),
        (lambda: FCNHead((2, 2), 2, 8)([torch.zeros(1, 2, 4, 4)]), "maps: 1 given, expected 2"),
        (
            lambda: FCNHead((2, 2), 2, 8)([torch.zeros(1, 2, 9, 9), torch.zeros(1, 2, 4, 4)]),
            "expected halves",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
