"""Every decision can be made: its experiment, arms and variants exist, and committed records hold its metric."""

import pytest

from resnetbook import experiments, survey
from resnetbook.survey import records
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
        if records.read(decision.experiment, decision.variant_at(scale), scale) is not None:
            assert decide(decision, scale).seeds >= 1
            found += 1
    if not found:
        pytest.skip(f"{decision.experiment}: no record yet")


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
