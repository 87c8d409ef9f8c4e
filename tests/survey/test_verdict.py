"""From constructed records to words: independent formulas, each rule, adjustment, readings, totals."""

import importlib
import json
import math
import os
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from resnetbook import survey
from resnetbook.survey import part
from resnetbook.survey.model import Claim, Decision
from resnetbook.survey.outcome import Names
from resnetbook.survey.records import Record
from resnetbook.survey.registration import decisions_hash
from resnetbook.survey.sample import sample
from resnetbook.survey.verdict import decide, family, interval, question, stamp

RNG = np.random.default_rng(0)
LOW = RNG.normal(0.9, 0.004, 12)
GAIN = np.array([0.031, 0.028, 0.035, 0.030, 0.027, 0.033, 0.029, 0.034, 0.026, 0.032, 0.030, 0.031])
HIGH = LOW + GAIN


def decision(rule="better", **changes):
    row = {"label": "a better than b", "experiment": "demo", "rule": rule, "metric": "m", "a": "a", "b": "b"}
    if rule == "exact":
        row["b"] = None
    else:
        row |= {"unit": "difference", "margin": 0.01, "why_margin": "a test"}
    return Decision(**{**row, **changes})


def claim(*decisions, **changes):
    return Claim("C00", ("1",), "demo", ("train",), decisions=decisions, **changes)


def outcome(write, a, b, rule="better", record=None, **changes):
    results = {"a": {"m": list(a)}, "b": {"m": list(b)}}
    return decide(decision(rule, **changes), "quick", write(results, **(record or {})))


def test_the_interval_and_p_are_those_of_the_paired_t_test(write):
    found = outcome(write, HIGH, LOW)
    theirs = stats.ttest_rel(HIGH, LOW)
    ends = theirs.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high), rel=1e-12)
    assert found.mean == pytest.approx(GAIN.mean())
    assert found.p == pytest.approx(theirs.pvalue)
    assert found.adjusted == found.p
    assert found.status == "supported"
    assert (found.seeds, found.images, found.margin) == (12, 0, 0.01)
    assert found.values == pytest.approx(GAIN)
    assert found.record == "demo.quick.json"
    assert found.minutes == 1.5
    assert (found.experiment, found.scale, found.a, found.b, found.better) == (
        "demo",
        "quick",
        "a",
        "b",
        "higher",
    )


@pytest.mark.parametrize("count", [2, 5, 12])
def test_the_interval_is_that_of_the_one_sample_t_test(count):
    values = list(np.random.default_rng(count).normal(1, 2, count))
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert interval(values) == pytest.approx((np.mean(values), theirs.low, theirs.high), rel=1e-12)


def test_the_ratio_is_the_paired_t_test_on_logarithms(write):
    rng = np.random.default_rng(1)
    slow = rng.uniform(10, 13, 12)
    fast = slow / rng.uniform(1.9, 2.2, 12)
    found = outcome(write, fast, slow, unit="ratio", margin="ratio", better="lower")
    theirs = stats.ttest_rel(np.log(slow), np.log(fast))
    ends = theirs.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((math.exp(ends.low), math.exp(ends.high)), rel=1e-12)
    assert found.mean == pytest.approx(stats.gmean(slow / fast))
    assert found.values == pytest.approx(slow / fast)
    assert found.margin == pytest.approx(1.1)
    assert found.unit == "ratio"
    assert found.p == pytest.approx(theirs.pvalue)
    assert found.status == "supported"


@pytest.mark.parametrize(
    ("factor", "word"),
    [
        (1.2, "supported"),
        (1.102, "supported"),
        (1.098, "no gain"),
        (1.0, "no gain"),
        (1 / 1.098, "no gain"),
        (1 / 1.102, "opposite"),
    ],
)
def test_the_margin_of_a_ratio_is_ten_percent_either_way(write, factor, word):
    noise = np.random.default_rng(2).normal(0, 0.001, 12)
    noise = np.exp(noise - noise.mean())
    found = outcome(write, 5 * factor * noise, np.full(12, 5.0), unit="ratio", margin="ratio")
    assert found.status == word


@pytest.mark.parametrize(
    ("shift", "spread", "words"),
    [
        (0.030, 0.004, ("supported", "supported", "opposite")),
        (0.006, 0.002, ("no gain", "supported", "supported")),
        (0.000, 0.002, ("no gain", "supported", "supported")),
        (-0.006, 0.002, ("no gain", "supported", "supported")),
        (-0.030, 0.004, ("opposite", "opposite", "opposite")),
        (0.010, 0.030, ("undecided", "undecided", "undecided")),
    ],
)
def test_each_word_of_each_rule_from_a_record(write, shift, spread, words):
    noise = np.random.default_rng(3).normal(0, 1, 12)
    d = shift + spread * (noise - noise.mean())
    found = tuple(outcome(write, LOW + d, LOW, rule).status for rule in ("better", "not_worse", "equal"))
    assert found == words


def test_not_worse_and_equal_have_the_p_value_of_their_margin(write):
    rng = np.random.default_rng(4)
    for spread in (0.005, 0.02):
        d = rng.normal(0.002, spread, 12)
        above = stats.ttest_1samp(d, -0.01).pvalue
        below = stats.ttest_1samp(d, 0.01).pvalue
        assert outcome(write, LOW + d, LOW, "not_worse").p == pytest.approx(above)
        assert outcome(write, LOW + d, LOW, "equal").p == pytest.approx(max(above, below))


def test_with_a_margin_of_zero_the_sign_alone_counts(write):
    d = np.random.default_rng(8).normal(0.002, 0.001, 12)
    for rule in ("better", "not_worse"):
        found = outcome(write, LOW + d, LOW, rule, margin=0.0)
        assert (found.status, found.margin) == ("supported", 0.0)
        assert found.p == pytest.approx(stats.ttest_1samp(d, 0).pvalue)
        assert outcome(write, LOW, LOW + d, rule, margin=0.0).status == "opposite"


def test_equality_is_two_one_sided_t_tests_at_two_and_a_half_percent(write):
    rng = np.random.default_rng(5)
    words = set()
    for spread in (0.002, 0.013, 0.016, 0.04):
        d = rng.normal(0, spread, 12)
        above = stats.ttest_1samp(d, -0.01, alternative="greater").pvalue
        below = stats.ttest_1samp(d, 0.01, alternative="less").pvalue
        found = outcome(write, LOW + d, LOW, "equal")
        assert (found.status == "supported") == (max(above, below) < 0.025)
        words.add(found.status)
    assert words == {"supported", "undecided"}


def test_a_bound_compares_one_arm_with_a_number(write):
    slopes = np.random.default_rng(6).normal(-0.05, 0.005, 12)
    folder = write({"a": {"m": list(slopes)}})
    below = decision(b=None, bound=0.0, better="lower")
    theirs = stats.ttest_1samp(-slopes, 0)
    found = decide(below, "quick", folder)
    assert found.status == "supported"
    assert (found.low, found.high) == pytest.approx(tuple(theirs.confidence_interval(0.95)))
    assert found.bound == 0.0
    assert decide(decision(b=None, bound=0.0, better="higher"), "quick", folder).status == "opposite"
    limit = decision("not_worse", b=None, bound=-0.052, better="higher")
    assert decide(limit, "quick", folder).status == "supported"
    times = write({"a": {"m": list(np.exp(slopes))}})
    ratio = {"b": None, "unit": "ratio", "margin": "ratio", "better": "lower"}
    found = decide(decision("equal", bound=1.0, **ratio), "quick", times)
    assert found.status == "supported"
    assert found.mean == pytest.approx(math.exp(-slopes.mean()))
    assert decide(decision(bound=0.9, **ratio), "quick", times).status == "no gain"


def test_exact_needs_every_seed_and_no_number_of_seeds(write):
    rule = decision("exact", op="==", value=0.0)
    assert decide(rule, "quick", write({"a": {"m": [0]}})).status == "supported"
    assert decide(rule, "quick", write({"a": {"m": [0, 0, 1e-12]}})).status == "opposite"
    assert decide(rule, "quick", write({"a": {"m": [0, None]}})).status == "undecided"
    assert decide(rule, "quick", write({"a": {"m": [1, None]}})).status == "opposite"
    at_least, at_most = decision("exact", op=">=", value=10), decision("exact", op="<=", value=1e-6)
    assert decide(at_least, "quick", write({"a": {"m": [9.99]}})).status == "opposite"
    found = decide(at_most, "quick", write({"a": {"m": [0.0, 1e-7]}}))
    assert found.status == "supported"
    assert (found.low, found.high, found.margin, found.unit) == (0.0, 1e-7, 1e-6, "value")
    assert math.isnan(found.p)
    assert found.flags == ()


@pytest.mark.parametrize("rule", ["better", "equal", "not_worse"])
@pytest.mark.parametrize("count", [1, 2, 11])
def test_fewer_than_twelve_seeds_decide_nothing_at_quick_scale(write, rule, count):
    found = outcome(write, HIGH[:count], LOW[:count], rule)
    assert found.status == "undecided"
    assert found.reason == "fewer than 12 seeds"


@pytest.mark.parametrize(("count", "word"), [(4, "undecided"), (5, "supported")])
def test_five_seeds_decide_at_full_scale(write, count, word):
    results = {"a": {"m": list(HIGH[:count])}, "b": {"m": list(LOW[:count])}}
    folder = write(results, scale="full", name="demo.full.json")
    assert decide(decision(), "full", folder).status == word


def test_one_seed_has_no_interval(write):
    found = outcome(write, HIGH[:1], LOW[:1])
    assert (found.low, found.high) == (-math.inf, math.inf)
    assert found.p == 1.0


def test_a_seed_without_a_value_is_counted_and_decides_nothing(write):
    found = outcome(write, [*HIGH, None, 0.95], [*LOW, 0.9, 0.9])
    assert found.status == "undecided"
    assert found.missing == 1
    assert found.seeds == 14
    assert found.reason == "1 of 14 seeds without a value"
    assert sum(math.isnan(value) for value in found.values) == 1
    # The seed is left out in pairs, so that the mean is over the others.
    assert found.mean == pytest.approx(np.mean([*GAIN, 0.05]))


def test_no_value_at_all_is_undecided(write):
    found = outcome(write, [None] * 12, LOW)
    assert found.status == "undecided"
    assert found.missing == 12
    assert math.isnan(found.mean)
    assert found.flags == ()


def test_equal_values_have_an_interval_without_width(write):
    found = outcome(write, [1.0] * 12, [0.5] * 12)
    assert (found.mean, found.low, found.high, found.p) == (0.5, 0.5, 0.5, 0.0)
    assert found.status == "supported"
    assert "flat" in found.flags
    assert outcome(write, [1.0] * 12, [1.0] * 12).status == "no gain"
    assert outcome(write, [1.0] * 12, [1.0] * 12, "equal").status == "supported"
    assert outcome(write, [0.5] * 12, [1.0] * 12).status == "opposite"


def test_a_ratio_needs_positive_numbers(write):
    with pytest.raises(ValueError, match=r"demo\.quick\.json: m must be positive for a ratio"):
        outcome(write, [0.0, *HIGH[1:]], LOW, unit="ratio", margin="ratio")


def test_the_margin_of_a_share_is_smaller_at_full_scale(write):
    results = {"a": {"m": list(LOW + GAIN / 4)}, "b": {"m": list(LOW)}}
    folder = write(results, scale="full", name="demo.full.json")
    shared = decision(margin="share", why_margin="")
    found = decide(shared, "full", folder)
    assert found.margin == 0.005
    assert found.status == "supported"
    assert decide(shared, "quick", write(results)).status == "no gain"


@pytest.mark.parametrize(
    ("spread", "weak"),
    [(0.016, False), (0.030, True), (0.060, True)],
)
def test_undecided_says_whether_twice_the_margin_could_have_been_found(write, spread, weak):
    noise = np.random.default_rng(7).normal(0, 1, 12)
    d = 0.008 + spread * (noise - noise.mean()) / noise.std(ddof=1)
    found = outcome(write, LOW + d, LOW)
    assert found.status == "undecided"
    # The chance that a t interval excludes 0, by simulation, if the truth is twice the margin.
    error = spread / math.sqrt(12)
    rng = np.random.default_rng(8)
    normal, chi = rng.normal(0.02, error, 20_000), rng.chisquare(11, 20_000)
    chance = np.mean(normal > stats.t.ppf(0.975, 11) * error * np.sqrt(chi / 11))
    assert found.underpowered == weak == bool(chance < 0.8)


@pytest.mark.parametrize(("spread", "weak"), [(0.008, False), (0.012, True)])
def test_the_margin_itself_is_what_not_worse_has_to_find(write, spread, weak):
    noise = np.random.default_rng(7).normal(0, 1, 12)
    d = -0.0075 + spread * (noise - noise.mean()) / noise.std(ddof=1)
    found = outcome(write, LOW + d, LOW, "not_worse")
    assert found.status == "undecided"
    error = spread / math.sqrt(12)
    chance = stats.nct.sf(stats.t.ppf(0.975, 11), 11, 0.01 / error)
    assert found.underpowered == weak == bool(chance < 0.8)


def test_a_decided_part_is_not_called_underpowered(write):
    d = 0.08 + 0.05 * np.linspace(-1, 1, 12)
    found = outcome(write, LOW + d, LOW)
    assert found.status == "supported"
    assert not found.underpowered


def test_an_interval_over_seeds_and_images_is_wider(write):
    rng = np.random.default_rng(9)
    ease, help_of_a = rng.normal(1.0, 1.0, 59), rng.normal(0.5, 2.0, 59)
    a = (rng.normal(0.0, 0.5, (12, 59)) + ease + help_of_a > 0).astype(int)
    b = (rng.normal(0.0, 0.5, (12, 59)) + ease > 0).astype(int)
    results = {"a": {"m": list(a.mean(1))}, "b": {"m": list(b.mean(1))}}
    seeds_only = decide(decision(), "quick", write(results))
    folder = write(results, tables={"a": {"m": a}, "b": {"m": b}})
    both = decide(decision(), "quick", folder)
    assert (seeds_only.images, both.images) == (0, 59)
    assert both.mean == pytest.approx(seeds_only.mean)
    assert both.high - both.low > 1.5 * (seeds_only.high - seeds_only.low)
    assert both.values == pytest.approx(seeds_only.values)
    groups = np.repeat(np.arange(20), 3)[:59].tolist()
    folder = write(results, tables={"a": {"m": a}, "b": {"m": b}}, groups=groups)
    by_patient = decide(decision(), "quick", folder)
    assert by_patient.images == 59
    assert by_patient.mean == pytest.approx(both.mean)
    assert by_patient.high != pytest.approx(both.high)


def test_the_ratio_of_error_rates_is_covered_by_its_linear_part(write):
    # By simulation of both sources: seeds and images drawn anew each time, and the spread of the log ratio.
    rng = np.random.default_rng(10)

    def draw():
        # Images on which one arm errs and the other does not, at every seed: their choice matters most.
        return [(rng.normal(up, 0.3, (12, 80)) < rng.normal(-0.7, 1.0, 80)).astype(int) for up in (0.2, 0.0)]

    logs = [np.log(a.mean(1)).mean() - np.log(b.mean(1)).mean() for a, b in (draw() for _ in range(3000))]
    errors = []
    for _ in range(30):
        a, b = draw()
        results = {"a": {"m": list(a.mean(1))}, "b": {"m": list(b.mean(1))}}
        folder = write(results, tables={"a": {"m": a}, "b": {"m": b}})
        asked = decision(unit="ratio", margin="ratio", why_margin="")
        estimate = part.measure(asked, "quick", folder).estimate
        assert estimate.mean == pytest.approx(np.log(a.mean(1) / b.mean(1)).mean())
        errors.append(float(estimate.error))
    assert np.mean(errors) == pytest.approx(np.std(logs), rel=0.15)


def test_an_unknown_scale_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"scale must be one of .*, found 'huge'"):
        survey.verdict("C03", "huge", tmp_path)
    with pytest.raises(ValueError, match=r"found 'huge'"):
        decide(decision(), "huge", tmp_path)


def test_without_a_record_nothing_was_run(tmp_path):
    found = survey.verdict("C03", "quick", tmp_path)
    assert found.status == "not run yet"
    assert {each.status for each in found.outcomes} == {"not run yet"}
    assert found.comparisons == 0
    assert survey.totals("quick", tmp_path / "absent")["not run yet"] == 89


def test_a_record_of_version_1_decides_nothing(write):
    found = outcome(write, HIGH, LOW, record={"schema": 1})
    assert found.status == "not run yet"
    assert found.seeds == 0
    assert "version 1" in found.reason
    assert (
        decide(decision("exact", op="==", value=1.0), "quick", write({"a": {"m": [1]}}, schema=1)).seeds == 0
    )


def test_a_malformed_record_is_an_error_and_not_a_verdict(tmp_path):
    (tmp_path / "identity_cost.quick.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"identity_cost\.quick\.json"):
        survey.verdict("C05", "quick", tmp_path)


UP = decision(label="up")
DOWN = decision(label="down", a="b", b="a")
LEVEL = decision(label="level", a="a", b="a")
OPEN = decision(label="open", experiment="not_run")


@pytest.mark.parametrize(
    ("decisions", "status"),
    [
        ((UP, UP), "supported"),
        ((DOWN, LEVEL), "refuted"),
        ((UP, DOWN), "mixed"),
        ((UP, LEVEL, OPEN), "mixed"),
        ((UP, OPEN), "partly supported"),
        ((LEVEL, OPEN), "partly refuted"),
        ((OPEN,), "not run yet"),
        ((), "not run yet"),
    ],
)
def test_each_word_of_a_claim_from_a_record(write, decisions, status):
    folder = write({"a": {"m": list(HIGH)}, "b": {"m": list(LOW)}})
    found = survey.verdict(claim(*decisions), "quick", folder)
    assert found.status == status
    assert all(each.claim == "C00" for each in found.outcomes)
    assert bool(found.supported) == bool(found.refuted) == (status == "mixed")


def test_undecided_parts_make_an_undecided_claim(write):
    wide = LOW + 0.008 + 0.06 * np.linspace(-1, 1, 12)
    folder = write({"a": {"m": list(wide)}, "b": {"m": list(LOW)}})
    assert survey.verdict(claim(UP, OPEN), "quick", folder).status == "undecided"


def test_a_mixed_claim_names_readings_and_data_sets_apart(write):
    folder = write({"a": {"m": list(HIGH)}, "b": {"m": list(LOW)}})
    found = survey.verdict(
        claim(
            decision(reading="one way"),
            decision(reading="other way", a="b", b="a"),
            decision(reading="digits", part_of="data"),
            decision(reading="cells", part_of="data", label="up"),
            decision(reading="cells", part_of="data", label="down", a="b", b="a"),
            decision(label="by itself"),
            narrowed="for every network",
        ),
        "quick",
        folder,
    )
    assert found.status == "mixed"
    assert found.supported == Names(("one way", "by itself"), ("digits", "cells: up"))
    assert found.refuted == Names(("other way",), ("cells: down",))
    assert dict(found.readings)["cells"] == "mixed"
    assert found.narrowed == "for every network"


def test_each_reading_has_its_own_verdict(write):
    folder = write({"a": {"m": list(HIGH)}, "b": {"m": list(LOW)}})
    readings = (decision(reading="one way"), decision(reading="other way", a="b", b="a"))
    found = survey.verdict(claim(*readings), "quick", folder)
    assert found.readings == (("one way", "supported"), ("other way", "refuted"))
    assert found.comparisons == 2
    assert found.outcomes[0].provenance == "12 seeds, digits, cpu, quick scale, 2026-11-23"
    assert survey.verdict(claim(readings[0]), "quick", folder).readings == ()


def test_a_decision_for_one_scale_is_left_out_at_the_other(write):
    folder = write({"a": {"m": list(HIGH)}, "b": {"m": list(LOW)}})
    quick_only = claim(decision(scale="quick"))
    assert survey.verdict(quick_only, "quick", folder).status == "supported"
    assert survey.verdict(quick_only, "full", folder).outcomes == ()


def test_full_scale_may_read_another_variant(write):
    results = {"a": {"m": list(HIGH)}, "b": {"m": list(LOW)}}
    folder = write(results, scale="full", variant="cifar", name="demo-cifar.full.json")
    found = decide(decision(variant="digits", full="cifar"), "full", folder)
    assert (found.status, found.variant) == ("supported", "cifar")
    assert decide(decision(variant="digits", full="cifar"), "quick", folder).status == "not run yet"


def test_what_a_reading_decides_needs_no_record(tmp_path):
    assert survey.verdict("A1", "quick", tmp_path).status == "refuted"
    assert survey.verdict("A7", "quick", tmp_path).status == "undecided"


def test_shares_reached_stand_by_arm(write):
    results = {
        "a": {"steps": list(np.linspace(5, 9, 12)), "steps_reached": [1] * 12},
        "b": {"steps": [20.0] * 12, "steps_reached": [0] * 9 + [1] * 3},
    }
    asked = decision(metric="steps", unit="ratio", margin="ratio", better="lower")
    assert decide(asked, "quick", write(results)).reached == (1.0, 0.25)
    assert outcome(write, HIGH, LOW).reached == ()


LEDGER = survey.claims()


@pytest.fixture
def ledger(monkeypatch):
    """Return a function that makes these decisions the whole ledger."""

    module = importlib.import_module("resnetbook.survey.verdict")  # the package's own name is the function

    def replace_ledger(*decisions):
        monkeypatch.setattr(module, "claims", lambda: (claim(*decisions),))
        module.family.cache_clear()
        module.decided.cache_clear()

    yield replace_ledger
    module.family.cache_clear()
    module.decided.cache_clear()


def many(write, count=20):
    """A record with `count` metrics, of which the first has a clear effect and the last ones none."""
    rng = np.random.default_rng(11)
    shift = np.linspace(0.02, 0.0, count)
    a = {f"m{k}": list(LOW + shift[k] + rng.normal(0, 0.02, 12)) for k in range(count)}
    b = {f"m{k}": list(LOW) for k in range(count)}
    return write({"a": a, "b": b}), [decision(metric=f"m{k}") for k in range(count)]


def test_p_values_of_a_scale_are_adjusted_together(write, ledger):
    folder, asked = many(write)
    ledger(*asked)
    found = [decide(each, "quick", folder) for each in asked]
    theirs = stats.false_discovery_control([each.p for each in found])
    assert [each.adjusted for each in found] == pytest.approx(list(theirs))
    assert any(each.p < 0.05 < each.adjusted for each in found)
    assert all(each.status != "supported" for each in found if each.adjusted >= 0.05)
    assert any(each.status == "supported" for each in found)


def test_benjamini_and_hochberg_by_hand(write, ledger):
    folder, asked = many(write, 6)
    ledger(*asked)
    found = sorted((decide(each, "quick", folder) for each in asked), key=lambda each: each.p)
    by_hand, least = [], 1.0
    for rank in range(6, 0, -1):
        least = min(least, found[rank - 1].p * 6 / rank)
        by_hand.insert(0, least)
    assert [each.adjusted for each in found] == pytest.approx(by_hand)


def test_a_question_that_is_asked_twice_counts_once(write, ledger):
    folder, asked = many(write, 5)
    ledger(
        *asked,
        decision(metric="m0", reading="again", label="the same"),
        decision("exact", op="==", value=1.0),
    )
    assert len(family("quick", folder, stamp(folder))) == 5
    assert question(asked[0]) == question(decision(metric="m0", reading="again", label="the same"))


def test_flat_parts_do_not_make_the_adjustment_milder(write, ledger):
    results = {"a": {"m": list(HIGH), "n": [1.0] * 12}, "b": {"m": list(LOW), "n": [0.5] * 12}}
    folder = write(results)
    ledger(decision(), decision(metric="n"))
    assert list(family("quick", folder, stamp(folder))) == [question(decision())]
    assert decide(decision(metric="n"), "quick", folder).adjusted == 0.0


def test_records_that_are_renewed_change_the_verdict(write):
    assert outcome(write, HIGH, LOW).status == "supported"
    assert outcome(write, LOW, HIGH).status == "opposite"


def test_cost_of_the_identity_is_mixed(write):
    # The counts that the literature gives for depth 20: none with type A, 2,752 with type B, 86,016 additions.
    asked = {each.metric for each in survey.claim("C05").decisions}
    assert {each.rule for each in survey.claim("C05").decisions} == {"exact"}
    costs = {metric: [0] for metric in asked} | {"additions": [86016]}
    results = {"type-A": costs, "type-B": {**costs, "parameters_added": [2752]}}
    folder = write(results, experiment="identity_cost", name="identity_cost.quick.json")
    assert survey.verdict("C05", "quick", folder).status == "mixed"


def test_totals_count_every_claim_and_every_comparison(write):
    results = {"a": {"m": list(HIGH)}, "b": {"m": list(LOW)}}
    folder = write(results)
    found = survey.totals("quick", folder)
    names = [
        "supported",
        "refuted",
        "mixed",
        "partly supported",
        "partly refuted",
        "undecided",
        "not run yet",
    ]
    assert list(found) == [*names, "comparisons"]
    assert found["not run yet"] == sum(found.values()) == 89
    experiment = next(each.experiments[0] for each in LEDGER if each.kind == ("count",) and each.decisions)
    shutil.copy(folder / "demo.quick.json", folder / f"{experiment}.quick.json")
    path = folder / f"{experiment}.quick.json"
    reads = [d for each in LEDGER for d in each.decisions if d.experiment == experiment]
    values = {arm: {} for d in reads for arm in (d.a, d.b) if arm}
    for each in reads:
        for arm in filter(None, (each.a, each.b)):
            values[arm][each.metric] = [float(each.value or 1.0)]
    content = json.loads(path.read_text()) | {"experiment": experiment, "results": values, "seeds": [100]}
    path.write_text(json.dumps(content), encoding="utf-8")
    os.utime(path, ns=(1, 1))
    found = survey.totals("quick", folder)
    assert found["comparisons"] == sum(d.scale in (None, "quick") for d in reads)
    assert found["not run yet"] < 89
    assert sum(count for name, count in found.items() if name != "comparisons") == 89


def test_a_ledger_of_records_says_whether_they_were_registered_before(write):
    asked = next(each for each in survey.claim("C05").decisions)
    right = decisions_hash("identity_cost", None, "quick")
    results = {arm: {asked.metric: [0]} for arm in ("type-A", "type-B")}
    for written, word in ((right, "before"), ("x", "after")):
        registration = {"decisions": written, "commit": "0123456789ab", "seeds": 1}
        folder = write(
            results,
            experiment="identity_cost",
            name="identity_cost.quick.json",
            registration=registration,
        )
        assert decide(asked, "quick", folder).registered == word


numbers = st.floats(-100, 100, allow_nan=False).map(lambda value: round(value, 3))
pairs = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(pairs)
def test_swapping_the_arms_turns_the_sign(found):
    from pathlib import Path

    results = {"a": {"m": [x for x, _ in found]}, "b": {"m": [y for _, y in found]}}
    content = {"seeds": list(range(len(found))), "results": results, "schema": 2}
    record = Record(Path("demo.quick.json"), content)
    forth = sample(decision(), record).values
    back = sample(decision(a="b", b="a"), record).values
    lower = sample(decision(better="lower"), record).values
    assert list(forth) == [-value for value in back]
    assert list(lower) == list(back)
    mean, low, high = interval(list(forth))
    assert interval(list(back)) == pytest.approx((-mean, -high, -low), abs=1e-9)


@given(st.lists(numbers, min_size=2, max_size=8), st.floats(0.5, 0.99))
def test_the_interval_holds_its_mean_and_widens_with_confidence(values, confidence):
    mean, low, high = interval(values, confidence)
    assert low <= mean <= high
    _, wider_low, wider_high = interval(values, confidence + 0.005)
    assert wider_low <= low
    assert wider_high >= high


def test_the_interval_of_no_value_is_unknown():
    assert all(math.isnan(number) for number in interval([]))
    assert interval([2.0]) == (2.0, -math.inf, math.inf)


@pytest.mark.parametrize("confidence", [0, 1, -1, 95])
def test_a_confidence_out_of_range_is_refused(confidence):
    with pytest.raises(ValueError, match="confidence must lie between 0 and 1"):
        interval([1.0, 2.0], confidence)


def test_a_contrast_is_the_weighted_sum_over_arms(write):
    depth = np.array([8, 20, 56])
    slopes = RNG.normal(0.3, 0.01, 12)
    losses = np.exp(slopes[:, None] * np.log(depth) + RNG.normal(0, 1e-3, (12, 3)))
    centred = np.log(depth) - np.log(depth).mean()
    weights = centred / (centred**2).sum()
    arms = {f"net-{d}": {"m": list(losses[:, i])} for i, d in enumerate(depth)}
    trend = decision(
        "better",
        a="net-56",
        b=None,
        unit="ratio",
        margin=0.1,
        contrast=tuple(zip(arms, weights, strict=True)),
    )
    found = decide(trend, "quick", write(arms))
    # The independent reference: a least-squares line through each seed's logarithms.
    fitted = [np.polyfit(np.log(depth), np.log(row), 1)[0] for row in losses]
    assert found.values == pytest.approx(np.exp(fitted))
    assert found.mean == pytest.approx(np.exp(np.mean(fitted)))
    assert found.status == "supported"
    turned = decision(
        "better", a="net-56", b=None, unit="ratio", margin=0.1,
        contrast=tuple((arm, -w) for arm, w in zip(arms, weights, strict=True)),
    )  # fmt: skip
    assert decide(turned, "quick", write(arms)).status == "opposite"


def test_a_contrast_of_scores_covers_the_images_of_all_its_arms(write):
    tables = {
        arm: {"m": RNG.random((12, 200)) < share} for arm, share in (("a", 0.9), ("b", 0.8), ("c", 0.7))
    }
    results = {arm: {"m": list(found["m"].mean(axis=1))} for arm, found in tables.items()}
    weights = (("a", 1.0), ("b", -0.5), ("c", -0.5))
    folder = write(results, tables=tables)
    found = decide(decision("better", b=None, contrast=weights), "quick", folder)
    assert found.images == 200
    assert found.mean == pytest.approx(
        np.mean([np.dot([1, -0.5, -0.5], [results[n]["m"][i] for n in "abc"]) for i in range(12)])
    )
    plain = decide(decision("better", contrast=(("a", 1.0), ("b", -1.0)), b=None), "quick", folder)
    paired = decide(decision("better"), "quick", folder)
    assert (plain.low, plain.high) == pytest.approx((paired.low, paired.high))
