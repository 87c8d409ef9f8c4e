"""Plain and residual twins: equal but for the addition, and what is read of their trainings."""

import dataclasses

import pytest
import torch

from resnetbook import survey
from resnetbook.experiments.principle import degradation
from resnetbook.lab import fitting
from resnetbook.lab.data import load
from resnetbook.lab.running import Context

SETTINGS = dataclasses.replace(
    degradation.EXPERIMENT.scales["live"], depths=(8,), widths=(2, 4, 8), epochs=2, batch_size=250
)
KNOWN = degradation.EXPERIMENT.variants["quick"]


@pytest.mark.parametrize("depth", [8, 20])
def test_twins_differ_in_the_addition_alone(depth):
    settings, data = degradation.Settings(), load("digits")
    nets = []
    for kind in ("plain", "residual"):
        torch.manual_seed(3)
        nets.append(degradation.network(settings, f"{kind}-{depth}", data).eval())
    first, second = (net.state_dict() for net in nets)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    x = data.train.images[:4]
    assert not torch.allclose(nets[0](x), nets[1](x))


@pytest.mark.parametrize("arm", ["plain-8", "residual-8"])
def test_an_arm_gives_the_same_numbers_twice_and_all_that_the_decisions_read(arm, tmp_path):
    found = []
    for name in ("first", "again"):
        (tmp_path / name).mkdir()
        context = Context("cpu", tmp_path / name / "fit.pt", tuned={"learning_rate": 0.05})
        values = degradation.run(SETTINGS, arm, 0, context)
        asked = {decision.metric for decision in decisions()}
        assert asked <= set(values)
        assert len(values["outcomes"]["test_accuracy"]) == len(fitting.images_of(SETTINGS, 0).test)
        values.pop("outcomes")
        found.append({key: value for key, value in values.items() if "second" not in key})
        score = degradation.EXPERIMENT.score(SETTINGS, arm, 0, context)
        # The rate is chosen by what the record holds.
        assert score["train_loss"] == pytest.approx(values["train_loss"], rel=1e-5)
    assert found[0] == found[1]


def decisions():
    return [
        decision
        for claim in survey.claims()
        for decision in claim.decisions
        if decision.experiment == "degradation"
    ]


@pytest.mark.parametrize("settings", [degradation.EXPERIMENT.scales["quick"], *KNOWN])
def test_every_depth_of_every_set_is_decided_by_all_three_claims(settings):
    arms = set(degradation.arms(settings))
    for claim in degradation.EXPERIMENT.claims:
        read = set()
        for decision in survey.claim(claim).decisions:
            if decision.variant == settings.data and decision.scale == "quick":
                read |= {decision.a, decision.b, *dict(decision.contrast or ())} - {None}
        assert read <= arms
        assert claim == "C08" or read == arms  # a net of 8 layers is not deep
