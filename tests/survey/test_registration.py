"""Registered before or after the run: hashes of the decisions, as they stand in the ledger."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from resnetbook import survey
from resnetbook.survey import records, registration
from resnetbook.survey.model import Claim, Decision, Exemption

DECISION = Decision("a over b", "demo", "better", "m", "a", "difference", "share", "", "b", variant="digits")


def claim(*decisions, **changes):
    return Claim("C90", ("1",), "demo", ("train",), decisions=decisions, **changes)


@pytest.fixture
def hash_of(monkeypatch):
    """Return a function from decisions to the hash of demo's record on digits."""

    def compute(*decisions, scale="quick", variant="digits"):
        monkeypatch.setattr(registration, "claims", lambda: (claim(*decisions),))
        registration.decisions_hash.cache_clear()
        return registration.decisions_hash("demo", variant, scale)

    yield compute
    registration.decisions_hash.cache_clear()


def test_the_hash_is_that_of_canonical_json(hash_of):
    fields = {
        "a": "a", "b": "b", "better": "higher", "experiment": "demo", "margin": 0.01, "metric": "m", "rule": "better",
        "unit": "difference", "variant": "digits",
    }  # fmt: skip
    text = json.dumps([["C90", fields]], separators=(",", ":"))
    assert hash_of(DECISION) == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    "change",
    [
        {"label": "other words"},
        {"reading": "a reading"},
        {"reading": "a set", "part_of": "data"},
        {"margin": 0.01, "why_margin": "the same number"},
        {"full": "cifar"},
        {"scale": "quick"},
    ],
)
def test_words_and_the_other_scale_do_not_count(hash_of, change):
    assert hash_of(replace(DECISION, **change)) == hash_of(DECISION)


@pytest.mark.parametrize(
    "change",
    [
        {"rule": "not_worse"},
        {"unit": "ratio", "margin": "ratio"},
        {"metric": "n"},
        {"a": "c"},
        {"b": "c"},
        {"b": None, "bound": 1.0},
        {"better": "lower"},
        {"margin": 0.02, "why_margin": "more"},
        {"variant": "wbc"},
        {"scale": "full"},
        {"experiment": "other"},
    ],
)
def test_what_is_compared_counts(hash_of, change):
    assert hash_of(replace(DECISION, **change)) != hash_of(DECISION)


def test_the_order_and_the_number_of_decisions_count(hash_of):
    other = replace(DECISION, metric="n")
    assert len({hash_of(DECISION, other), hash_of(other, DECISION), hash_of(DECISION), hash_of()}) == 4


def test_a_margin_counts_as_its_number_at_the_scale(hash_of):
    both = replace(DECISION, full="digits")
    assert hash_of(both, scale="full") != hash_of(both)
    fixed = replace(both, margin=0.005, why_margin="the number at full scale")
    assert hash_of(both, scale="full") == hash_of(fixed, scale="full")


def test_a_whole_number_and_a_decimal_are_one(hash_of):
    assert hash_of(replace(DECISION, b=None, bound=1)) == hash_of(replace(DECISION, b=None, bound=1.0))


def test_each_record_of_the_ledger_has_its_own_hash():
    asked = {
        (decision.experiment, decision.variant_at("quick"))
        for each in survey.claims()
        for decision in each.decisions
        if decision.scale in (None, "quick")
    }
    assert len(asked) > 30
    assert len({registration.decisions_hash(*each, "quick") for each in asked}) == len(asked)


def record(decisions, commit="0123456789ab", count=12, seeds=12):
    content = {"seeds": list(range(seeds))}
    if decisions is not None:
        content["registration"] = {"decisions": decisions, "commit": commit, "seeds": count}
    return records.Record(Path("demo.quick.json"), content)


def test_before_needs_the_hash_the_seeds_and_a_clean_commit(hash_of):
    right = hash_of(DECISION)
    ask = ("demo", "digits", "quick")
    assert registration.registered(record(right), *ask) == "before"
    assert registration.registered(record("x"), *ask) == "after"
    assert registration.registered(record(right, count=10), *ask) == "after"
    assert registration.registered(record(right, commit="0123456789ab-dirty"), *ask) == "after"
    assert registration.registered(record(None), *ask) == ""


def test_a_record_that_no_decision_reads_is_named_unless_exempt(tmp_path):
    for name in ("demo-digits.quick.json", "demo-wbc.quick.json", "other.quick.json", "demo-wbc.full.json"):
        (tmp_path / name).write_text("{}", encoding="utf-8")
    assert registration.silent(claim(DECISION), "quick", tmp_path) == ("demo-wbc.quick.json",)
    exempt = (Exemption("demo", "quick", "too few images", "wbc"),)
    assert registration.silent(claim(DECISION, exempt=exempt), "quick", tmp_path) == ()
    assert registration.silent(claim(DECISION, exempt=exempt), "full", tmp_path) == ("demo-wbc.full.json",)
    assert registration.silent(claim(DECISION, replace(DECISION, variant="wbc")), "quick", tmp_path) == ()
