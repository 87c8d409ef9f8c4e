"""Every experiment: its arms give the same numbers twice, and those that its decisions read; its docstring names its claims."""

from __future__ import annotations

import dataclasses
import importlib
import math
import re
import tomllib
from pathlib import Path

import pytest
import torch

from resnetbook import survey
from resnetbook.experiments import experiment, experiments
from resnetbook.lab import results
from resnetbook.lab.running import Context

TINY = tomllib.loads(Path(__file__).with_name("tiny.toml").read_text(encoding="utf-8"))
DECISIONS = [decision for claim in survey.claims() for decision in claim.decisions]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tiny(name):
    changes = {key: tuple(value) if isinstance(value, list) else value for key, value in TINY[name].items()}
    return dataclasses.replace(experiment(name).scales["live"], **changes)


def tuned(found, settings, arm):
    """What the runner hands on: one rate for every score."""
    to_tune = found.tuned_arms(settings) if found.tuned_arms else found.arms(settings)
    return {"learning_rate": settings.rates[0]} if found.score and arm in to_tune else {}


def job(name, arm, folder, seed=3):
    found, settings = experiment(name), tiny(name)
    context = Context("cpu", folder / f"{arm}.pt", tuned=tuned(found, settings, arm))
    values = found.run(settings, arm, seed, context)
    return results.plain(
        {m: v for m, v in values.items() if not any(part in m for part in found.timed)}
    ), set(values)


def kind_of(arm):
    """An arm's name without its numbers: sizes differ at the tiny setting, the metrics of a kind do not."""
    return re.sub(r"\d+(\.\d+)?", "N", arm)


def test_each_experiment_has_a_tiny_setting_and_its_docstring_names_its_claims():
    assert {each.name for each in experiments()} == set(TINY)
    decided = {claim for each in experiments() for claim in each.claims}
    assert decided >= {f"C{number:02}" for number in range(1, 39)} | {"C87", "C88"}
    for each in experiments():
        doc = importlib.import_module(each.module).__doc__ or ""
        assert [claim for claim in each.claims if claim not in doc] == [], each.name


@pytest.mark.parametrize("name", TINY)
def test_every_arm_gives_the_same_numbers_twice_and_what_the_decisions_read(name, tmp_path):
    arms = experiment(name).arms(tiny(name))
    (tmp_path / "again").mkdir()
    metrics = {}
    for arm in arms:
        first, metrics[arm] = job(name, arm, tmp_path)
        assert first == job(name, arm, tmp_path / "again")[0], arm
        for metric, shares in first.pop("outcomes", {}).items():
            if first[metric] is not None:
                assert math.fsum(shares) / len(shares) == pytest.approx(first[metric], abs=1e-6), (
                    arm,
                    metric,
                )
    asked = {
        (kind_of(arm), decision.metric)
        for decision in DECISIONS
        if decision.experiment == name and decision.metric != "test_auc"  # the tiny setting has ten classes
        for arm in decision.weights
    }
    there = {(kind_of(arm), metric) for arm, found in metrics.items() for metric in found}
    assert asked - there == set()


@pytest.mark.parametrize("name", [each.name for each in experiments() if each.score])
def test_scores_are_numbers_of_the_rate_that_is_tried(name, tmp_path):
    found, settings = experiment(name), tiny(name)
    arm = (found.tuned_arms or found.arms)(settings)[0]

    def score(rate, seed=90):
        context = Context("cpu", tmp_path / f"{rate}-{seed}.pt", tuned={"learning_rate": rate})
        return found.score(settings, arm, seed, context)

    first = score(settings.rates[0])
    assert first
    assert first != score(3 * settings.rates[0])
    assert first != score(settings.rates[0], seed=91)  # the seed draws images and weights


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda d: f"{d.experiment}-{d.variant}-{d.metric}-{d.a}")
def test_each_decision_names_arms_and_sets_that_exist(decision):
    found = experiment(decision.experiment)
    for scale in [decision.scale] if decision.scale else [s for s in ("quick", "full") if s in found.scales]:
        settings = found.standard(scale, decision.variant_at(scale))
        assert getattr(settings, "data", None) == decision.variant_at(scale)
        assert set(decision.weights) <= set(found.arms(settings))
