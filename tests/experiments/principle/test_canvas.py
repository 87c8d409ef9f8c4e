"""Networks on a canvas: what is equal between arms, where the images lie, and what is kept of accuracy."""

import pytest
import torch
from torch import nn

from resnetbook.experiments import experiment
from resnetbook.experiments.principle import _canvas, pooling_robustness, position, robustness
from resnetbook.lab import measuring
from resnetbook.lab.data import Part


def built(module, settings):
    data, nets = _canvas.images_of(settings, 0), []
    for arm in module.arms(settings):
        torch.manual_seed(3)
        nets.append(module.network(settings, arm, data).eval())
    return data, nets


def test_pooling_arms_have_the_same_parameters_and_initial_weights():
    data, nets = built(pooling_robustness, pooling_robustness.Settings(widths=(2, 4, 4)))
    outputs = [net(data.test.images[:3]) for net in nets]
    first = list(nets[0].state_dict().values())
    for net, output in zip(nets[1:], outputs[1:], strict=True):
        assert all(torch.equal(a, b) for a, b in zip(first, net.state_dict().values(), strict=True))
        assert not torch.allclose(output, outputs[0])


def test_a_stride_is_the_first_pixel_of_each_window():
    """The strided arm is the pooled one with a pooling that takes the first pixel: nothing else differs."""
    settings = pooling_robustness.Settings(widths=(2, 4, 4))
    data, (pooled, _, strided, _) = built(pooling_robustness, settings)
    first = nn.Sequential(
        *(pooling_robustness.Subsample(2) if isinstance(m, nn.MaxPool2d) else m for m in pooled)
    )
    x = data.test.images[:3]
    torch.testing.assert_close(first(x), strided(x))


def test_robustness_arms_have_equal_parameters_within_two_percent():
    for scale in ("quick", "full"):
        settings = experiment("robustness").scales[scale]
        counts = [
            sum(weight.numel() for weight in build(settings, 1, 10).parameters())
            for build in (robustness.cnn, robustness.mlp)
        ]
        assert counts[1] == pytest.approx(counts[0], rel=0.02)


def test_the_sizes_of_changes_are_among_the_levels():
    settings = experiment("robustness").scales["quick"]
    levels = {"translation": settings.shifts, "rotation": settings.turns, "scaling": settings.scales}
    for name, sizes in robustness.SIZES.items():
        assert all(set(chosen) <= set(levels[name]) for chosen in sizes.values())


def test_position_heads_share_the_trunk_and_begin_as_one_function():
    data, (flat, pooled) = built(position, position.Settings(widths=(2, 4, 4)))
    assert all(
        torch.equal(a, b)
        for a, b in zip(flat[0].state_dict().values(), pooled[0].state_dict().values(), strict=True)
    )
    x = data.test.images[:5]
    torch.testing.assert_close(flat(x), pooled(x), atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        flat[-1].weight[:, 0] += 1  # one place alone: the pooled head cannot do that
    assert not torch.allclose(flat(x), pooled(x))


def test_the_picture_stays_on_the_canvas_under_every_shift():
    for scale in ("quick", "full"):
        found = experiment("position")
        for settings in (found.scales[scale], *found.variants.get(scale, ())):
            assert (settings.canvas - settings.picture) // 2 >= max(settings.shifts)
            assert settings.canvas % 4 == 0


def test_images_lie_in_the_middle_and_the_seed_draws_those_of_training():
    settings = _canvas.Settings(picture=12, canvas=20, train_size=100)
    data, other = (_canvas.images_of(settings, seed) for seed in (0, 1))
    raw = data.unnormalise(data.test.images)
    assert raw.shape[1:] == (1, 20, 20)
    for edge in (raw[:, :, :4], raw[:, :, 16:], raw[..., :4], raw[..., 16:]):
        assert edge.abs().max() < 1e-5
    assert raw[:, :, 4:16, 4:16].max() > 0.9
    assert len(data.train) == 100
    assert not torch.equal(data.train.labels, other.train.labels)
    assert torch.equal(data.test.labels, other.test.labels)


class Centre(nn.Module):
    """Right (class 1) while the pixel in the middle is lit."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        lit = x[:, 0, 4, 4]
        return torch.stack([0.5 - lit, lit - 0.5], 1)


def test_what_is_kept_is_read_under_the_levels_that_are_named():
    images = torch.zeros(2, 1, 9, 9)
    images[:, :, 3:6, 3:6] = 1
    images[1, :, 2:7, 2:7] = 1  # the second picture is larger: it bears two pixels
    part = Part(images, torch.ones(2, dtype=torch.long))
    levels = {by: measuring.shifts(by) for by in (1, 2, 3)}
    clean = measuring.right(Centre(), part.images, part.labels)
    metrics, outcomes = _canvas.under(
        Centre(), part, clean, "shift", levels, {"": (1, 2, 3), "small": (1,), "large": (2, 3)}
    )
    assert metrics["shift_curve"] == [1.0, 0.5, 0.0]
    assert metrics["shift_small_kept"] == 1.0
    assert metrics["shift_large_kept"] == 0.25
    assert metrics["shift_kept"] == pytest.approx(0.5)
    assert outcomes.keys() == {"shift_kept", "shift_small_kept", "shift_large_kept"}
    assert outcomes["shift_large_kept"].tolist() == pytest.approx([0.0, 0.5])
