"""Every decision can be made: its experiment, arms and variants exist, and committed records hold its metric."""

import json

import pytest

from resnetbook import experiments, survey
from resnetbook.survey import records, registration
from resnetbook.survey.verdict import decide

DECISIONS = [(claim.id, decision) for claim in survey.claims() for decision in claim.decisions]
NAMES = [f"{claim}-{index}" for index, (claim, _) in enumerate(DECISIONS)]


def scales_of(decision):
    return [decision.scale] if decision.scale else ["quick", "full"]


@pytest.mark.parametrize(("claim", "decision"), DECISIONS, ids=NAMES)
def test_the_experiment_has_the_arms_and_names_the_claim(claim, decision):
    experiment = experiments.experiment(decision.experiment)
    assert claim in experiment.claims
    for scale in scales_of(decision):
        arms = experiment.arms(experiment.scales[scale])
        assert {decision.a, decision.b or decision.a} <= set(arms), scale


@pytest.mark.parametrize(("claim", "decision"), DECISIONS, ids=NAMES)
def test_a_committed_record_holds_what_the_decision_reads(claim, decision):
    found = 0
    for scale in scales_of(decision):
        record = records.read(decision.experiment, decision.variant_at(scale), scale)
        if record is not None and record.schema == 2:
            assert decide(decision, scale).seeds >= 1
            found += 1
    if not found:
        pytest.skip(f"{decision.experiment}: no record of version 2 yet")


@pytest.mark.parametrize("scale", ["quick", "full"])
@pytest.mark.parametrize(
    "claim", [claim for claim in survey.claims() if claim.decisions], ids=lambda each: each.id
)
def test_every_record_of_a_claims_experiments_decides_or_is_exempt(claim, scale):
    for name in registration.silent(claim, scale):
        content = json.loads((records.place(None) / name).read_text(encoding="utf-8"))
        assert content["schema"] == 1, name


def test_each_experiment_decides_what_it_says_it_does():
    decided = {}
    for claim, decision in DECISIONS:
        decided.setdefault(decision.experiment, set()).add(claim)
    for name, claims in decided.items():
        experiment = experiments.experiment(name)
        assert set(experiment.claims) == claims, name


@pytest.mark.parametrize(("claim", "decision"), DECISIONS, ids=NAMES)
def test_the_default_variant_is_the_one_that_is_read(claim, decision):
    experiment = experiments.experiment(decision.experiment)
    named = {getattr(settings, "data", None) for settings in experiment.scales.values()}
    others = {settings.data for many in experiment.variants.values() for settings in many}
    for scale in scales_of(decision):
        assert decision.variant_at(scale) in named | others, scale
        if decision.variant_at(scale) not in others:
            assert decision.variant_at(scale) == getattr(experiment.scales[scale], "data", None), scale
