"""The small forms of section 3's families meet their budgets, at the size, channels and classes of every set."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from resnetbook import timeline
from resnetbook.experiments import experiment
from resnetbook.experiments.timeline import comparison
from resnetbook.lab.data import ImageSet, Part
from resnetbook.lab.running import Context
from resnetbook.principle.counting import count

# Pixels, channels, classes.
SETS = {"digits": (8, 1, 10), "pneumoniamnist": (16, 1, 2), "wbc": (32, 3, 4), "cifar10_jpeg": (32, 3, 10)}


def images(name: str) -> ImageSet:
    pixels, channels, classes = SETS[name]
    part = Part(torch.randn(8, channels, pixels, pixels), torch.arange(8) % classes)
    return ImageSet(name, part, part, part, tuple(map(str, range(classes))), "", "", "", "")


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("budget", comparison.BUDGETS)
def test_the_arms_of_a_budget_are_within_five_per_cent_of_its_middle(name, budget):
    settings, data = comparison.Settings(), images(name)
    found = [
        getattr(count(comparison.network(settings, arm, data), data.train.images.shape[1:]), budget)
        for arm in comparison.arms(settings)
        if comparison.meets(arm, budget)
    ]
    middle = (min(found) + max(found)) / 2
    assert max(found) <= 1.05 * middle
    assert min(found) >= 0.95 * middle


def test_every_family_meets_each_budget_once():
    families = {arm.split("-")[0] for arm in comparison.FORMS}
    for budget in comparison.BUDGETS:
        met = [arm.split("-")[0] for arm in comparison.FORMS if comparison.meets(arm, budget)]
        assert sorted(met) == sorted(families)


def test_the_forms_cover_the_timeline_but_for_the_networks_before_resnet():
    modules = {timeline.module_of(name) for name in timeline.list_models()}
    # Inception-v3 and v4 are Inception-ResNet without the sums, which has a form of its own.
    assert modules - {kind.__module__.rpartition(".")[2] for kind, _ in comparison.FORMS.values()} == {
        "lenet",
        "alexnet",
        "googlenet",
        "inception",
    }


def test_sizes_and_channels_of_the_sets_are_those_of_the_scales():
    found = experiment("comparison")
    for settings in (found.scales["quick"], found.scales["full"], *found.variants["quick"]):
        assert settings.size in (0, SETS[settings.data][0])


def test_the_plain_arm_is_resnet_without_the_sums():
    torch.manual_seed(0)
    plain = comparison.network(comparison.Settings(), "plain", images("digits"))
    torch.manual_seed(0)
    residual = comparison.network(comparison.Settings(), "resnet", images("digits"))
    assert all(
        torch.equal(a, b)
        for a, b in zip(plain.state_dict().values(), residual.state_dict().values(), strict=True)
    )


def test_costs_of_resnet_over_itself(monkeypatch):
    context = Context("cpu", Path("unused"))
    settings = dataclasses.replace(comparison.Settings(), steps=1, batch_size=8)
    monkeypatch.setattr(comparison, "seconds_per_step", lambda models, *rest: [2.0] * len(models))
    costs = comparison.costs(settings, "resnet", images("digits"), context)
    assert costs["seconds_over_resnet"] == 1
    assert costs["multiplications"] == 410_432
    plain = comparison.costs(settings, "plain", images("digits"), context)
    assert plain["memory"] == costs["memory"]  # the sum keeps nothing for the backward pass
