"""Equal multiplications of C32 at every scale; the area under the ROC curve against scikit-learn's."""

import dataclasses

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from resnetbook.experiments.timeline import dual_path
from resnetbook.lab import measuring
from resnetbook.lab.data import ImageSet, Part
from resnetbook.principle.counting import count

QUICK, FULL = (dual_path.EXPERIMENT.scales[scale] for scale in ("quick", "full"))
XRAYS = dual_path.EXPERIMENT.variants["quick"][0]


@pytest.mark.parametrize(
    ("settings", "shape", "classes"),
    [(QUICK, (1, 8, 8), 10), (XRAYS, (1, 16, 16), 2), (FULL, (3, 32, 32), 10)],
)
def test_multiplications_are_equal_within_five_per_cent(settings, shape, classes):
    part = Part(torch.randn(4, *shape), torch.arange(4))
    data = ImageSet("noise", part, part, part, tuple(map(str, range(classes))), "", "", "", "")
    found = [
        count(dual_path.network(settings, arm, data), shape).multiplications
        for arm in dual_path.arms(settings)
    ]
    assert max(found) <= 1.05 * min(found)


def test_without_the_limits_three_arms_are_left():
    settings = dataclasses.replace(QUICK, limits=False)
    assert dual_path.arms(settings) == ("dpn", "resnet", "densenet")


def test_costs_are_ratios_to_the_rivals(tmp_path):
    from resnetbook.lab.running import Context

    part = Part(torch.randn(8, 1, 8, 8), torch.arange(8))
    data = ImageSet("noise", part, part, part, tuple(map(str, range(10))), "", "", "", "")
    settings = dataclasses.replace(QUICK, batch_size=8)
    found = {
        arm: dual_path.costs(settings, arm, data, Context("cpu", tmp_path / "x.pt"))
        for arm in ("dpn", "resnet")
    }
    assert found["resnet"]["memory_over_resnet"] == 1
    ratio = found["dpn"]["memory"] / found["resnet"]["memory"]
    assert found["dpn"]["memory_over_resnet"] == ratio


class Scores(nn.Module):
    """The first pixel is the score."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        score = x[:, 0, 0, 0]
        return torch.stack([-score, score], 1)


@pytest.mark.parametrize("levels", [3, 1000])
def test_the_area_is_scikit_learns_and_the_mean_of_its_terms(levels):
    generator = torch.Generator().manual_seed(levels)
    labels = torch.cat([torch.zeros(30), torch.ones(70)]).long()
    scores = torch.randint(levels, (100,), generator=generator).float() + labels * levels / 4
    images = scores[:, None, None, None].expand(-1, 1, 2, 2)
    found, terms = measuring.area(Scores(), Part(images, labels))
    assert found == pytest.approx(roc_auc_score(labels, scores))
    assert float(terms.mean()) == pytest.approx(found)


def test_the_terms_of_the_area_have_its_variance():
    """Over drawings of images, the variance that the terms give is the variance of the area."""
    generator, areas, estimates = torch.Generator().manual_seed(0), [], []
    labels = torch.arange(80) % 2
    for _ in range(400):
        scores = torch.randn(80, generator=generator) + labels
        found, terms = measuring.area(Scores(), Part(scores[:, None, None, None].expand(-1, 1, 2, 2), labels))
        areas.append(found)
        estimates.append(float(terms.var()) / 80)
    assert sum(estimates) / 400 == pytest.approx(float(torch.tensor(areas).var()), rel=0.2)


def test_a_network_without_numbers_ranks_as_chance():
    images = torch.full((4, 1, 2, 2), torch.nan)
    assert measuring.area(Scores(), Part(images, torch.tensor([0, 1, 0, 1])))[0] == 0.5
