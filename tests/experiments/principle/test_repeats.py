"""Every arm gives the same numbers twice, and those that its decisions read."""

import dataclasses
import importlib
import math
import runpy
from pathlib import Path

import pytest
import torch

from resnetbook import survey
from resnetbook.experiments import experiment
from resnetbook.lab import results
from resnetbook.lab.running import Context

TINY = runpy.run_path(str(Path(__file__).with_name("tiny_e1.py")))["TINY"]


def tiny(name):
    return dataclasses.replace(experiment(name).scales["live"], **TINY[name])


def tuned(found, settings, arm):
    """What the runner hands on: one rate for every score."""
    to_tune = found.tuned_arms(settings) if found.tuned_arms else found.arms(settings)
    return {"learning_rate": settings.rates[0]} if found.score and arm in to_tune else {}


def job(name, arm, folder, seed=3):
    found, settings = experiment(name), tiny(name)
    context = Context("cpu", folder / f"{arm}.pt", tuned=tuned(found, settings, arm))
    return results.plain(found.run(settings, arm, seed, context))


def asked(name, arms):
    """The metrics that decisions read of each arm; sizes in names differ at the tiny setting."""
    for claim in survey.claims():
        for decision in claim.decisions:
            for arm in filter(None, (decision.a, decision.b)):
                if decision.experiment == name:
                    kind = arm.replace("-20", "-8")
                    yield (kind if kind in arms else arm), decision.metric


@pytest.mark.parametrize("name", TINY)
def test_every_arm_gives_the_same_numbers_twice_and_what_the_decisions_read(name, tmp_path):
    arms = experiment(name).arms(tiny(name))
    (tmp_path / "again").mkdir()
    found = {arm: job(name, arm, tmp_path) for arm in arms}
    for arm, metric in asked(name, arms):
        assert isinstance(found[arm][metric], float), (arm, metric)
    for arm, values in found.items():
        assert values == job(name, arm, tmp_path / "again"), arm
        for metric, shares in values.pop("outcomes", {}).items():
            if values[metric] is not None:
                assert math.fsum(shares) / len(shares) == pytest.approx(values[metric], abs=1e-6), (
                    arm,
                    metric,
                )


@pytest.mark.parametrize("name", [name for name in TINY if experiment(name).score])
def test_scores_are_numbers_of_the_rate_that_is_tried(name, tmp_path):
    found, settings = experiment(name), tiny(name)
    arm = (found.tuned_arms or found.arms)(settings)[0]

    def score(rate, seed=90):
        context = Context("cpu", tmp_path / f"{rate}-{seed}.pt", tuned={"learning_rate": rate})
        return found.score(settings, arm, seed, context)

    first = score(settings.rates[0])
    assert first
    assert all(math.isfinite(value) for value in first.values())
    assert first != score(3 * settings.rates[0])
    assert first != score(settings.rates[0], seed=91)  # the seed draws images and weights


@pytest.mark.parametrize("name", TINY)
def test_the_docstring_names_the_claims(name):
    module = importlib.import_module(experiment(name).module)
    assert all(claim in module.__doc__ for claim in experiment(name).claims)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
