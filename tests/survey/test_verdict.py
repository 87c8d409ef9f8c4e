import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from resnetbook import survey
from resnetbook.survey.model import Claim, Decision
from resnetbook.survey.verdict import combine, decide, interval, join, judge, verdict

LOW = [0.90, 0.91, 0.92, 0.90, 0.91]
HIGH = [0.95, 0.97, 0.96, 0.95, 0.96]


def decision(rule="better", **changes):
    row = {"label": "a better than b", "experiment": "demo", "rule": rule, "metric": "m", "a": "a", "b": "b"}
    if rule != "exact":
        row |= {"unit": "difference", "margin": 0.005, "why_margin": "a test"}
    return Decision(**{**row, **changes})


def claim(*decisions):
    return Claim("C00", ("1",), "demo", ("train",), decisions=decisions)


def outcome(write, a, b, rule="better", **changes):
    return decide(decision(rule, **changes), "quick", write({"a": {"m": a}, "b": {"m": b}}))


def test_the_interval_is_that_of_the_paired_t_test(write):
    found = outcome(write, HIGH, LOW)
    theirs = stats.ttest_rel(HIGH, LOW).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), rel=1e-12)
    assert found.mean == pytest.approx(np.mean(np.subtract(HIGH, LOW)))
    assert found.status == "supported"
    assert found.seeds == 5
    assert found.margin == 0.005


@pytest.mark.parametrize("count", [2, 5, 12])
def test_the_interval_is_that_of_the_one_sample_t_test(count):
    values = list(np.random.default_rng(count).normal(1, 2, count))
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert interval(values) == pytest.approx((np.mean(values), theirs.low, theirs.high), rel=1e-12)


def test_the_ratio_is_the_paired_t_test_on_logarithms(write):
    slow, fast = [10.0, 12.0, 11.0, 13.0, 12.0], [5.0, 5.5, 5.2, 6.1, 5.6]
    found = outcome(write, fast, slow, unit="ratio", margin="ratio", better="lower")
    theirs = stats.ttest_rel(np.log(slow), np.log(fast)).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((math.exp(theirs.low), math.exp(theirs.high)), rel=1e-12)
    assert found.mean == pytest.approx(stats.gmean(np.divide(slow, fast)))
    assert found.margin == pytest.approx(1.1)
    assert found.unit == "ratio"
    assert found.status == "supported"


def test_the_interval_covers_the_truth_in_95_of_100_runs_with_five_seeds():
    draws = np.random.default_rng(0).normal(0.3, 1.0, (20_000, 5))
    ends = stats.t.ppf(0.975, 4) * draws.std(axis=1, ddof=1) / math.sqrt(5)
    covered = np.abs(draws.mean(axis=1) - 0.3) <= ends
    # The first hundred by our own function, which must agree with the formula above run by run.
    for row, inside in zip(draws[:100].tolist(), covered[:100], strict=True):
        _, low, high = interval(row)
        assert (low <= 0.3 <= high) == inside
    assert covered.mean() == pytest.approx(0.95, abs=0.01)


@pytest.mark.slow
def test_our_interval_itself_covers_the_truth():
    draws = np.random.default_rng(1).normal(-2.0, 3.0, (4_000, 5)).tolist()
    found = [interval(row) for row in draws]
    assert np.mean([low <= -2.0 <= high for _, low, high in found]) == pytest.approx(0.95, abs=0.01)


def test_a_worse_arm_refutes_and_a_small_difference_refutes_too(write):
    assert outcome(write, LOW, HIGH).status == "refuted"
    # Better for certain, but by less than the margin: the claim asked for more.
    assert outcome(write, [v + 0.001 for v in LOW], LOW).status == "refuted"


def test_a_wide_interval_leaves_it_undecided(write):
    found = outcome(write, [0.99, 0.85, 0.97, 0.84, 0.98], LOW)
    assert found.status == "undecided"
    assert found.reason == "the interval allows both answers"


def test_a_mean_above_zero_but_below_the_margin_is_not_support():
    assert judge("better", mean=0.004, low=0.001, high=0.007, margin=0.005) == "undecided"
    assert judge("better", mean=0.006, low=0.001, high=0.011, margin=0.005) == "supported"
    assert judge("better", mean=0.006, low=-0.001, high=0.013, margin=0.005) == "undecided"
    assert judge("better", mean=0.001, low=-0.002, high=0.004, margin=0.005) == "refuted"


@pytest.mark.parametrize(
    ("low", "high", "equal", "not_worse"),
    [
        (-0.004, 0.004, "supported", "supported"),
        (-0.006, 0.004, "undecided", "undecided"),
        (-0.004, 0.006, "undecided", "supported"),
        (0.006, 0.008, "refuted", "supported"),
        (-0.008, -0.006, "refuted", "refuted"),
        (-0.008, 0.008, "undecided", "undecided"),
    ],
)
def test_equality_needs_both_ends_inside_and_not_worse_one(low, high, equal, not_worse):
    assert judge("equal", (low + high) / 2, low, high, 0.005) == equal
    assert judge("not_worse", (low + high) / 2, low, high, 0.005) == not_worse


def test_equality_is_two_one_sided_t_tests_at_two_and_a_half_percent(write):
    rng = np.random.default_rng(3)
    for spread in (0.001, 0.004, 0.02):
        a = rng.normal(0.9, spread, 6)
        b = rng.normal(0.9, spread, 6)
        above = stats.ttest_rel(a + 0.005, b, alternative="greater").pvalue
        below = stats.ttest_rel(a - 0.005, b, alternative="less").pvalue
        found = outcome(write, list(a), list(b), "equal")
        assert (found.status == "supported") == (max(above, below) < 0.025)


def test_a_bound_compares_one_arm_with_a_number(write):
    slopes = [-0.05, -0.06, -0.05, -0.055, -0.045]
    folder = write({"a": {"m": slopes}})
    below = decision(b=None, bound=0.0, margin=0.0, better="lower")
    theirs = stats.ttest_1samp([-slope for slope in slopes], 0).confidence_interval(0.95)
    found = decide(below, "quick", folder)
    assert found.status == "supported"
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high))
    assert found.margin == 0.0
    assert (
        decide(decision(b=None, bound=0.0, margin=0.0, better="higher"), "quick", folder).status == "refuted"
    )


def test_exact_needs_every_seed_and_no_number_of_seeds(write):
    rule = decision("exact", b=None, op="==", value=0.0)
    assert decide(rule, "quick", write({"a": {"m": [0]}})).status == "supported"
    assert decide(rule, "quick", write({"a": {"m": [0, 0, 1e-12]}})).status == "refuted"
    assert decide(rule, "quick", write({"a": {"m": [0, None]}})).status == "undecided"
    assert decide(rule, "quick", write({"a": {"m": [1, None]}})).status == "refuted"
    assert (
        decide(decision("exact", b=None, op=">=", value=10), "quick", write({"a": {"m": [9.99]}})).status
        == "refuted"
    )
    assert (
        decide(decision("exact", b=None, op="<=", value=1e-6), "quick", write({"a": {"m": [0.0]}})).status
        == "supported"
    )


@pytest.mark.parametrize("rule", ["better", "equal", "not_worse"])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_fewer_than_five_seeds_decide_nothing(write, rule, count):
    found = outcome(write, HIGH[:count], LOW[:count], rule)
    assert found.status == "undecided"
    assert found.reason == "fewer than 5 seeds"


def test_one_seed_has_no_interval(write):
    found = outcome(write, HIGH[:1], LOW[:1])
    assert (found.low, found.high) == (-math.inf, math.inf)


def test_a_seed_without_a_value_is_counted_and_decides_nothing(write):
    found = outcome(write, [*HIGH, None, 0.95], [*LOW, 0.9, 0.9])
    assert found.status == "undecided"
    assert found.missing == 1
    assert found.seeds == 7
    assert found.reason == "1 of 7 seeds without a value"
    assert sum(math.isnan(value) for value in found.values) == 1
    # The seed is left out in pairs, so that the mean is over the six others.
    assert found.mean == pytest.approx(np.mean([*np.subtract(HIGH, LOW), 0.05]))


def test_no_value_at_all_is_undecided(write):
    found = outcome(write, [None] * 5, LOW)
    assert found.status == "undecided"
    assert found.missing == 5
    assert math.isnan(found.mean)


def test_equal_values_have_an_interval_without_width(write):
    found = outcome(write, [1.0] * 5, [0.5] * 5)
    assert (found.mean, found.low, found.high) == (0.5, 0.5, 0.5)
    assert found.status == "supported"
    assert outcome(write, [1.0] * 5, [1.0] * 5).status == "refuted"
    assert outcome(write, [1.0] * 5, [1.0] * 5, "equal").status == "supported"


def test_a_ratio_needs_positive_numbers(write):
    with pytest.raises(ValueError, match=r"demo\.quick\.json: m must be positive for a ratio"):
        outcome(write, [0.0, 1, 1, 1, 1], LOW, unit="ratio", margin="ratio")


def test_the_margin_of_full_scale_is_smaller(write):
    folder = write(
        {"a": {"m": [v + 0.007 for v in LOW]}, "b": {"m": LOW}}, scale="full", name="demo.full.json"
    )
    found = decide(decision(margin="share"), "full", folder)
    assert found.margin == 0.005
    assert found.status == "supported"


def test_an_unknown_scale_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"scale must be one of .*, found 'huge'"):
        verdict("C03", "huge", tmp_path)
    with pytest.raises(ValueError, match=r"found 'huge'"):
        decide(decision(), "huge", tmp_path)


def test_without_a_record_nothing_was_run(tmp_path):
    found = verdict("C03", "quick", tmp_path)
    assert found.status == "not run yet"
    assert {each.status for each in found.outcomes} == {"not run yet"}
    assert found.comparisons == 0
    assert verdict("C50", "quick", tmp_path).outcomes == ()
    assert verdict("C50", "quick", tmp_path).status == "not run yet"
    assert survey.totals("quick", tmp_path)["not run yet"] == 89


def test_a_malformed_record_is_an_error_and_not_a_verdict(tmp_path):
    (tmp_path / "identity_cost.quick.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"identity_cost\.quick\.json"):
        verdict("C05", "quick", tmp_path)


def test_all_decisions_must_hold():
    assert combine(["supported", "supported"]) == "supported"
    assert combine(["supported", "not run yet"]) == "undecided"
    assert combine(["supported", "undecided"]) == "undecided"
    assert combine(["supported", "refuted", "not run yet"]) == "refuted"
    assert combine(["not run yet", "not run yet"]) == "not run yet"


def test_readings_that_differ_are_told_apart():
    assert join(["supported", "supported"]) == "supported"
    assert join(["supported", "refuted"]) == "depends on the reading"
    assert join(["supported", "undecided"]) == "depends on the reading"
    assert join(["supported", "not run yet"]) == "undecided"
    assert join(["refuted", "not run yet"]) == "undecided"


def test_each_reading_has_its_own_verdict(write):
    folder = write({"a": {"m": HIGH}, "b": {"m": LOW}})
    found = verdict(
        claim(decision(reading="one way"), decision(reading="other way", a="b", b="a")), "quick", folder
    )
    assert found.readings == (("one way", "supported"), ("other way", "refuted"))
    assert found.status == "depends on the reading"
    assert found.comparisons == 2
    assert found.outcomes[0].provenance == "5 seeds, digits, cpu, quick scale, 2026-11-23"


def test_a_decision_for_one_scale_is_left_out_at_the_other(write):
    folder = write({"a": {"m": HIGH}, "b": {"m": LOW}})
    quick_only = claim(decision(scale="quick"))
    assert verdict(quick_only, "quick", folder).status == "supported"
    assert verdict(quick_only, "full", folder).outcomes == ()


def test_full_scale_may_read_another_variant(write):
    folder = write(
        {"a": {"m": HIGH}, "b": {"m": LOW}}, scale="full", variant="cifar", name="demo-cifar.full.json"
    )
    assert decide(decision(variant="digits", full="cifar"), "full", folder).status == "supported"
    assert decide(decision(variant="digits", full="cifar"), "quick", folder).status == "not run yet"


def test_what_a_reading_decides_needs_no_record(tmp_path):
    assert verdict("A1", "quick", tmp_path).status == "refuted"
    assert verdict("A7", "quick", tmp_path).status == "undecided"


def test_cost_of_the_identity_depends_on_the_reading(write):
    # The counts that the literature gives for depth 20: none with type A, 2,752 with type B, 86,016 additions.
    costs = {"parameters_added": [0], "multiplications_added": [0], "additions": [86016]}
    results = {"type-A": costs, "type-B": {**costs, "parameters_added": [2752]}}
    folder = write(results, experiment="identity_cost", name="identity_cost.quick.json")
    found = verdict("C05", "quick", folder)
    assert found.status == "depends on the reading"
    assert dict(found.readings) == {
        "parameters, type A": "supported",
        "parameters, type B": "refuted",
        "computation": "refuted",
    }


def test_totals_count_every_claim_and_every_comparison(write):
    slopes = {"slope": [-0.1, -0.11, -0.1, -0.09, -0.1], "change": [0.1, 0.2, -0.1, 0.0, 0.1]}
    up = {**slopes, "slope": [0.1, 0.11, 0.1, 0.09, 0.1]}
    kinds = ("nobn", "nobn-nobias", "bn")
    results = {f"plain-{kind}": up if kind == "bn" else slopes for kind in kinds}
    results |= {f"residual-{kind}": slopes for kind in kinds}
    folder = write(
        results, experiment="gradient_ratio", variant="digits", name="gradient_ratio-digits.quick.json"
    )
    found = survey.totals("quick", folder)
    assert found["depends on the reading"] == 1
    assert found["supported"] == 1
    assert found["comparisons"] == 9
    assert sum(count for name, count in found.items() if name != "comparisons") == 89


numbers = st.floats(-100, 100, allow_nan=False).map(lambda value: round(value, 3))
pairs = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(pairs)
def test_swapping_the_arms_turns_the_sign(found):
    from pathlib import Path

    from resnetbook.survey.records import Record
    from resnetbook.survey.verdict import differences

    results = {"a": {"m": [x for x, _ in found]}, "b": {"m": [y for _, y in found]}}
    record = Record(Path("demo.quick.json"), {"seeds": list(range(len(found))), "results": results})
    forth = differences(decision(), record)
    back = differences(decision(a="b", b="a"), record)
    lower = differences(decision(better="lower"), record)
    assert forth == [-value for value in back]
    assert lower == back
    mean, low, high = interval(forth)
    assert interval(back) == pytest.approx((-mean, -high, -low), abs=1e-9)


ends = st.floats(-1, 1, allow_nan=False)


@given(ends, ends, st.floats(0.0, 0.5))
def test_a_claim_and_its_opposite_are_never_both_supported(first, second, margin):
    low, high = min(first, second), max(first, second)
    mean = (low + high) / 2
    forth = judge("better", mean, low, high, margin)
    back = judge("better", -mean, -high, -low, margin)
    assert {forth, back} != {"supported"}
    if forth == "supported":
        assert back == "refuted"
        assert judge("not_worse", mean, low, high, margin) == "supported"
    if judge("equal", mean, low, high, margin) == "supported":
        assert forth == "refuted"
        assert back == "refuted"


@given(st.lists(numbers, min_size=2, max_size=8), st.floats(0.5, 0.99))
def test_the_interval_holds_its_mean_and_widens_with_confidence(values, confidence):
    mean, low, high = interval(values, confidence)
    assert low <= mean <= high
    _, wider_low, wider_high = interval(values, confidence + 0.005)
    assert wider_low <= low
    assert wider_high >= high


@pytest.mark.parametrize("confidence", [0, 1, -1, 95])
def test_a_confidence_out_of_range_is_refused(confidence):
    with pytest.raises(ValueError, match="confidence must lie between 0 and 1"):
        interval([1.0, 2.0], confidence)
