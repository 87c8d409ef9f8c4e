"""Equal sizes of the arms of C30, and what differs between them."""

import pytest
import torch

from resnetbook.experiments.timeline import dense_overfitting
from resnetbook.lab.data import ImageSet, Part

QUICK, FULL = (dense_overfitting.EXPERIMENT.scales[scale] for scale in ("quick", "full"))


def noise(channels: int = 1) -> ImageSet:
    part = Part(torch.randn(12, channels, 8, 8), torch.arange(12) % 10)
    return ImageSet("noise", part, part, part, tuple(map(str, range(10))), "", "", "", "")


@pytest.mark.parametrize(("settings", "channels"), [(QUICK, 1), (FULL, 3)])
def test_parameters_are_equal_within_two_per_cent(settings, channels):
    data = noise(channels)
    sizes = [
        sum(p.numel() for p in dense_overfitting.network(settings, arm, data).parameters())
        for arm in dense_overfitting.arms(settings)
    ]
    assert max(sizes) <= 1.02 * min(sizes)


def test_arms_differ_in_the_number_of_images():
    sizes = [dense_overfitting.with_images(QUICK, arm).train_size for arm in dense_overfitting.arms(QUICK)]
    assert sizes == [100] * 3 + [300] * 3
