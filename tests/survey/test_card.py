"""Cards of verdicts: the numbers that the rules computed, in words, as a picture, and folded beyond three parts."""

from __future__ import annotations

import dataclasses
import math
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnetbook import survey
from resnetbook.survey import card, phrases
from resnetbook.survey.outcome import Names, Outcome, Verdict
from resnetbook.survey.picture import LEFT, RIGHT, picture, span

SHARE = {
    "label": "a is more accurate than b", "status": "supported", "experiment": "demo", "variant": "digits", "scale": "quick",
    "rule": "better", "metric": "test_accuracy", "a": "a", "b": "b", "seeds": 3, "images": 597, "mean": 0.05, "low": 0.031,
    "high": 0.069, "margin": 0.01, "p": 0.0004, "adjusted": 0.0012, "values": (0.04, 0.05, 0.06), "registered": "before",
    "minutes": 5.6, "record": "demo-digits.quick.json", "provenance": "3 seeds, digits",
}  # fmt: skip
RATIO = {**SHARE, "unit": "ratio", "metric": "train_loss", "mean": 1.74, "low": 1.59, "high": 1.89, "margin": 1.1,
         "values": (1.6, 1.7, 1.9)}  # fmt: skip
EXACT = {**SHARE, "unit": "value", "rule": "exact", "metric": "parameters", "mean": 4.0, "low": 4.0, "high": 4.0, "margin": 4.0,
         "values": (4.0, 4.0, 4.0), "adjusted": math.nan}  # fmt: skip


def outcome(base=SHARE, **changes):
    return Outcome(**{**base, **changes})


def found(*outcomes, status="supported", **more):
    return Verdict("C03", "quick", status, outcomes, **more)


def test_shares_are_told_in_points_and_ratios_as_times():
    assert phrases.effect(outcome()) == "+5 points (+3.1 to +6.9; margin 1)"
    assert (
        phrases.effect(outcome(mean=-0.05, low=-0.069, high=-0.031)) == "−5 points (−6.9 to −3.1; margin 1)"
    )
    assert phrases.effect(outcome(RATIO)) == "ratio 1.74, in favour (1.59 to 1.89; margin 1.1)"
    worse = outcome(RATIO, mean=0.7, low=0.6, high=0.8)
    assert phrases.effect(worse) == "ratio 0.7, below 1: against (0.6 to 0.8; margin 1.1)"
    assert phrases.effect(outcome(margin=0.3, mean=0.5)) == "+0.5 (+0.031 to +0.069; margin 0.3)"
    assert phrases.effect(outcome(EXACT)) == "value 4, asked for: 4"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (math.nan, "–"),
        (math.inf, "∞"),
        (-0.01234, "−0.0123"),
        (269722, "269,722"),
        (5.0, "5"),
        (1.5e-9, "1.50e−09"),
    ],
)
def test_numbers_are_readable(value, text):
    assert phrases.number(value) == text


def test_the_line_for_terminals_names_each_number():
    line = phrases.plain(outcome(flags=("fragile",), reading="on digits"))
    for piece in ("on digits: a is more accurate than b: supported", "+5 points", "+3.1 to +6.9", "margin 1",
                  "3 seeds and 597 test images", "p = 0.0012", "registered before the run", "beware: fragile"):  # fmt: skip
        assert piece in line
    assert "p below 0.0001" in phrases.plain(outcome(adjusted=1e-7))


def test_the_command_is_that_of_the_record():
    assert phrases.command(outcome()) == "resnetbook run demo --scale quick --set data=digits"
    assert phrases.command(outcome(variant=None, scale="full")) == "resnetbook run demo --scale full"


def places(svg: str) -> dict[str, list[float]]:
    """Return where dots, bars and lines stand, in pixels."""
    tree = ElementTree.fromstring(svg)
    lines = tree.findall("line")
    return {
        "dots": [float(dot.get("cx")) for dot in tree.findall("circle")],
        "bar": [float(line.get(end)) for line in lines if line.get("y1") == "50" for end in ("x1", "x2")],
        "margins": [float(line.get("x1")) for line in lines if line.get("stroke-dasharray")],
        "none": [float(line.get("x1")) for line in lines if line.get("stroke-width") == "1.4"],
        "mean": [float(re.match(r"M([\d.]+) 43", tree.find("path").get("d"))[1])],
    }


@pytest.mark.parametrize("base", [SHARE, RATIO])
def test_the_picture_shows_every_seed_the_interval_and_the_margin_in_their_order(base):
    one = outcome(base)
    drawn = places(picture(one))
    assert len(drawn["dots"]) == 3
    assert drawn["none"][0] < drawn["margins"][0] < drawn["bar"][0] < drawn["mean"][0] < drawn["bar"][1]
    assert drawn["dots"] == sorted(drawn["dots"])
    everything = [x for each in drawn.values() for x in each]
    assert LEFT <= min(everything) <= max(everything) <= RIGHT


def test_a_ratio_is_drawn_on_a_logarithmic_axis():
    one = outcome(RATIO, values=(0.5, 1.0, 2.0), mean=1.0, low=0.8, high=1.25)
    left, middle, right = places(picture(one))["dots"]
    assert right - middle == pytest.approx(middle - left, abs=0.2)


@pytest.mark.parametrize(("rule", "count"), [("better", 1), ("not_worse", 1), ("equal", 2)])
def test_each_rule_draws_the_margins_that_it_tests(rule, count):
    drawn = places(picture(outcome(rule=rule)))
    assert len(drawn["margins"]) == count
    if rule != "better":
        assert min(drawn["margins"]) < drawn["none"][0]


def test_nothing_is_drawn_where_there_is_nothing_to_draw():
    assert picture(outcome(EXACT)) == ""
    assert picture(outcome(status="not run yet")) == ""


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=24), st.sampled_from(["difference", "ratio"]))
def test_any_values_give_a_picture_within_its_frame(values, unit):
    turned = [math.exp(v / 200) for v in values] if unit == "ratio" else values
    mean = math.exp(sum(values) / len(values) / 200) if unit == "ratio" else sum(values) / len(values)
    margin = 1.1 if unit == "ratio" else 0.3
    one = outcome(
        unit=unit, values=tuple(turned), mean=mean, low=min(turned), high=max(turned), margin=margin
    )
    everything = [x for each in places(picture(one)).values() for x in each]
    assert LEFT - 0.1 <= min(everything) <= max(everything) <= RIGHT + 0.1
    tree = ElementTree.fromstring(picture(one))
    assert 2 <= len(tree.findall("text")) <= 9


def test_parts_of_one_metric_share_their_axis():
    small, large = (
        outcome(),
        outcome(label="c more than d", values=(0.4, 0.5, 0.6), mean=0.5, low=0.45, high=0.55),
    )
    both = "".join(card.parts([small, large]))
    drawn = [places(svg) for svg in re.findall(r"<svg.*?</svg>", both)]
    assert drawn[0]["none"] == drawn[1]["none"]
    assert drawn[0]["mean"][0] < drawn[1]["mean"][0]
    assert span([small, large])[1] > span([small])[1]


def test_a_chapter_shows_three_parts_and_folds_the_rest():
    claim = survey.claim("C03")
    several = [outcome(label=f"part {number}") for number in range(5)]
    markup = card.short(claim, found(*several))
    shown, folded = markup.split("<details", 1)
    assert [f"part {n}" in shown for n in range(5)] == [True] * 3 + [False] * 2
    assert "2 more parts" in folded
    assert markup.count("<svg") == 5
    text = card.text(claim, found(*several))
    assert all(f"part {n}: supported" in text for n in range(5))


def test_a_card_says_what_was_left_out_what_waits_and_which_parts_disagree():
    claim = survey.claim("C17")
    verdict = found(
        outcome(reading="on digits", part_of="data"),
        outcome(status="no gain", reading="on X-rays", part_of="data"),
        outcome(status="not run yet"),
        status="mixed", narrowed="optimal", supported=Names(data=("digits",)), refuted=Names(data=("X-rays",)),
    )  # fmt: skip
    markup = card.short(claim, verdict)
    for piece in (
        "Holds: digits.",
        "Does not hold: X-rays.",
        "1 of 3 parts not run yet",
        'data-status="mixed"',
    ):
        assert piece in markup


def test_text_from_the_map_cannot_break_the_page():
    bad = outcome(label='<script>alert(1)</script> "quoted"', reading="<b>")
    for markup in (card.part(bad), picture(bad)):
        assert "<script" not in markup
        assert "<b>" not in markup
    ElementTree.fromstring(picture(bad))


def test_every_flag_that_the_rules_raise_has_words():
    from resnetbook.survey import flags

    assert set(flags.FLAGS) <= set(phrases.FLAGS)
    note = card.part(outcome(flags=("censored",), underpowered=True, reached=(1.0, 0.25)))
    assert phrases.FLAGS["censored"] in note
    assert phrases.FLAGS["underpowered"] in note
    assert "100 % and 25 %" in note


def plain_text(markup: str) -> str:
    """The words of HTML, without its marks and pictures."""
    return re.sub(r"\s+", " ", re.sub(r"<svg.*?</svg>|<style.*?</style>|<[^>]+>", " ", markup)).strip()


def test_a_part_says_its_numbers_and_what_to_beware_of_once_each():
    said = plain_text(card.part(outcome(reading="on digits")))
    assert said == (
        "on digits: a is more accurate than b supported +5 points (+3.1 to +6.9; margin 1); 3 seeds and 597 test images; p = 0.0012"
    )
    bare = plain_text(card.part(outcome(adjusted=math.nan, images=0, registered="after", reason="too few")))
    assert bare == (
        "a is more accurate than b supported +5 points (+3.1 to +6.9; margin 1); 3 seeds too few registered after the run"
    )
    full = plain_text(card.part(outcome(flags=("edge", "flat"), underpowered=True, reached=(0.996, 0.0))))
    for words in (f"edge: {phrases.FLAGS['edge']}", f"flat: {phrases.FLAGS['flat']}", "underpowered: twice the margin",
                  "target reached in 100 % and 0 % of the seeds"):  # fmt: skip
        assert full.count(words) == 1


@pytest.mark.parametrize(
    ("count", "shown", "words"),
    [(3, 3, None), (4, 3, "1 more part"), (5, 3, "2 more parts"), (2, 0, "2 more parts")],
)
def test_a_fold_says_how_many_parts_are_in_it(count, shown, words):
    markup = card.folded([outcome(label=f"part {n}") for n in range(count)], shown)
    before, _, fold = markup.partition("<details")
    assert [f"part {n}" in before for n in range(count)] == [n < shown for n in range(count)]
    assert [f"part {n}" in fold for n in range(count)] == [n >= shown for n in range(count)]
    if words is None:
        assert not fold
    else:
        assert f"<summary>{words}</summary>" in fold
    assert card.folded([outcome(status="not run yet")], shown) == ""


def test_parts_of_other_metrics_and_exact_ones_keep_axes_of_their_own():
    near, far = (
        outcome(),
        outcome(metric="val_accuracy", values=(0.4, 0.5, 0.6), mean=0.5, low=0.45, high=0.55),
    )
    assert card.parts([near, far])[0] == card.part(near)
    assert card.parts([near, far])[1] == card.part(far)
    ratio = outcome(RATIO, metric="test_accuracy")
    assert card.parts([near, ratio]) == [card.part(near), card.part(ratio)]
    exact = outcome(EXACT)
    assert card.parts([exact, outcome(EXACT, label="another")])[0] == card.part(exact)
    assert card.parts([near, outcome(status="not run yet")]) == [card.part(near)]


def test_each_record_is_repeated_by_one_command():
    same, other = (
        outcome(label="again"),
        outcome(variant=None, minutes=0.5, record="demo.quick.json", provenance=""),
    )
    rows = card.repeat([outcome(), same, other, outcome(experiment="")])
    assert rows == [
        ("resnetbook run demo --scale quick --set data=digits", "about 6 min", "demo-digits.quick.json", "3 seeds, digits"),
        ("resnetbook run demo --scale quick", "under a minute", "demo.quick.json", ""),
    ]  # fmt: skip
    markup = card.short(survey.claim("C03"), found(outcome(), other))
    assert "about 6 min on 2 cores; 3 seeds, digits</li>" in markup
    assert "under a minute on 2 cores</li>" in markup
    assert "Repeat it" not in card.short(survey.claim("C03"), found(outcome(experiment="")))


def test_the_stamp_says_when_the_decisions_were_registered():
    claim = survey.claim("C03")
    both = [outcome(), outcome(registered="after"), outcome(registered="")]
    assert "C03 · quick scale · registered before the run<" in card.short(claim, found(both[0]))
    assert "quick scale · registered after and before the run<" in card.short(claim, found(*both))
    assert "quick scale</span>" in card.short(claim, found(both[2]))


def test_of_many_parts_that_hold_three_are_named():
    claim = survey.claim("C03")
    names = tuple("abcde")
    said = plain_text(
        card.summary(
            claim, found(outcome(), supported=Names(readings=names[:3]), refuted=Names(names[:2], names[2:]))
        )
    )
    assert "Holds: a; b; c." in said
    assert "Does not hold: a; b; c; and 2 more." in said
    assert "Narrowed" not in plain_text(
        card.summary(dataclasses.replace(claim, narrowed=""), found(outcome()))
    )
    narrowed = dataclasses.replace(claim, narrowed="always")
    assert "Narrowed: the test leaves out always." in plain_text(card.summary(narrowed, found(outcome())))
    assert "narrowed: the test leaves out always" in card.text(narrowed, found(outcome())).splitlines()


def test_a_claim_that_waits_names_its_former_word_and_no_other_does():
    former = next(each for each in survey.version1())
    claim, waits = survey.claim(former.claim), outcome(status="not run yet")
    words = f"Under version 1 of the rules it was called: {former.status}."
    assert card.waiting(claim, found(waits, status="not run yet")) == ["1 of 1 parts not run yet.", words]
    assert card.waiting(claim, found(waits, outcome(), status="partly supported")) == [
        "1 of 2 parts not run yet."
    ]
    assert card.waiting(claim, found(outcome())) == []
    full = dataclasses.replace(found(waits, status="not run yet"), scale="full")
    assert card.waiting(claim, full) == ["1 of 1 parts not run yet."]
    unknown = dataclasses.replace(claim, id="C99")
    assert card.waiting(unknown, found(waits, status="not run yet")) == ["1 of 1 parts not run yet."]


def test_the_text_for_terminals_has_each_part_and_each_source_once():
    claim = survey.claim("C03")
    lines = card.text(
        claim, found(outcome(), outcome(label="other"), outcome(status="not run yet"))
    ).splitlines()
    assert lines[:2] == ["C03: supported (quick scale)", claim.text]
    assert sum(line.startswith(("a is more accurate", "other:")) for line in lines) == 2
    assert lines[-2:] == ["1 of 3 parts not run yet.", "3 seeds, digits"]


def test_code_within_words_is_marked_up():
    assert card.inline("a `b` c `<d>`") == "a <code>b</code> c <code>&lt;d&gt;</code>"
    assert card.badge("no gain") == '<span class="rb-word rb-verdict rb-no-gain">no gain</span>'
