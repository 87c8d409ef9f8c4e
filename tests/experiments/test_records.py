"""The committed records: their form, their seeds, and that none hides what it owes to running statistics."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

import pytest

from resnetbook import survey
from resnetbook.experiments import experiment
from resnetbook.lab import results
from resnetbook.lab.running.runner import FIRST_SEED
from resnetbook.survey.verdict import decide

DECISIONS = [decision for claim in survey.claims() for decision in claim.decisions]


def records() -> list[Any]:
    return [pytest.param(path, id=path.name) for path in sorted(results.folder().glob("*.json"))]


@pytest.mark.parametrize("path", records())
def test_a_record_conforms(path):
    record, text = results.load(path), path.read_text(encoding="utf-8")
    assert not re.search(r"/(home|root|work|tmp|usr|Users)/", text)
    for arm, metrics in record.results.items():
        for metric, values in metrics.items():
            assert len(values) == len(record.seeds), (arm, metric)
    found = experiment(record.experiment)
    if json.loads(text)["schema"] < 2:
        return  # of version 1: it shows what was, and decides nothing
    settings = found.standard(record.scale, record.variant)
    assert results.plain(dataclasses.asdict(settings)) == results.plain(record.settings)
    assert set(record.results) == set(found.arms(settings))
    assert record.seeds == tuple(range(FIRST_SEED, FIRST_SEED + found.seeds[record.scale]))
    assert record.registration["seeds"] == len(record.seeds)
    assert re.fullmatch(r"[0-9a-f]{12}", record.registration["commit"])
    assert record.environment["commit"] == record.registration["commit"]
    if found.data is not None:
        assert re.fullmatch(r"[0-9a-f]{64}", record.data["checksum"])


@pytest.mark.parametrize("path", records())
def test_no_arm_of_a_record_owes_its_result_to_batch_norm_in_silence(path):
    """The sanity check of the claims: accuracy in eval mode and with batch statistics agree on the training set."""
    record = results.load(path)
    parts = [
        decision
        for decision in DECISIONS
        if (decision.experiment, decision.variant) == (record.experiment, record.variant)
        and re.search("loss|accuracy|auc|epochs|seconds", decision.metric)
    ]
    read = {arm for decision in parts for arm in decision.weights}
    for arm, metrics in record.results.items():
        if arm not in read and record.registration:
            continue  # what decides is not read from the trained network
        # A network that learned nothing has nothing to agree on.
        learned = record.values(arm, "train_accuracy") > 0.5 if "train_accuracy" in metrics else None
        if "mode_gap" in metrics:
            gaps = record.values(arm, "mode_gap")
            gaps = gaps if learned is None else gaps[learned]
            if record.registration and len(gaps) and gaps.mean() >= 0.05:
                # It is shown none the less, and every part that reads it says so.
                for decision in parts:
                    if arm in decision.weights and decision.rule != "exact":
                        assert "modes disagree" in decide(decision, record.scale).flags, decision.label
                continue
            assert len(gaps) == 0 or gaps.mean() < 0.05, (arm, gaps)


def test_all_records_together_stay_small():
    assert (
        sum(path.stat().st_size for path in results.folder().parent.rglob("*") if path.is_file()) < 15_000_000
    )
