import subprocess
import sys
from collections import Counter

import pytest

from resnetbook import survey
from resnetbook.survey import load
from resnetbook.survey.model import Method, Proof, Term


def test_methods_are_as_many_as_the_survey_says_section_by_section():
    # The survey's own counts: 8 ways to change convolution, 10 poolings, 6 units, 4 heads, 11 networks, 6 + 6 + 7 medical.
    counts = Counter(method.section.split("(")[0] for method in survey.methods())
    assert counts == {
        "2": 4, "3": 16, "4.1": 8, "4.2": 10, "4.3": 6, "4.4": 4, "4.5": 11, "5.1.1": 6, "5.1.2": 6, "5.2": 7, "6": 3,
    }  # fmt: skip
    assert len(survey.methods()) == 81


def test_methods_follow_the_survey_and_name_their_section():
    order = [method.section for method in survey.methods()]
    assert order == sorted(order)
    assert all(method.id.startswith(method.section.split("(")[0] + ".") for method in survey.methods())
    assert all(
        (method.english and method.chinese and method.says) or method.id == "6.cloud"
        for method in survey.methods()
    )


def test_every_reference_of_a_method_exists():
    known = {reference.id for reference in survey.references()}
    for method in survey.methods():
        assert set(method.references) | set(method.corrected) <= known, method.id


def test_claims_are_c01_to_c89_and_a1_to_a8():
    wanted = [f"C{number:02d}" for number in range(1, 90)] + [f"A{number}" for number in range(1, 9)]
    assert [claim.id for claim in survey.claims()] == wanted


def test_every_claim_of_sections_1_to_3_is_decided_by_an_experiment_and_these_later_ones():
    decided = {claim.id for claim in survey.claims() if claim.decisions}
    late = {"C87", "C88", "C89"}  # of sections 1 to 3 too, found after the others were numbered
    section_4 = {"C39", "C46", "C47", "C48", "C49", "C57", "C60"}
    assert decided - late == {f"C{number:02d}" for number in range(1, 39)} | section_4


def test_a_claim_stands_in_the_file_of_its_chapter():
    for name, wanted in {
        "2_principle": {"C01", "C14"},
        "3_timeline": {"C15", "C38", "C87", "C88"},
        "4_structure": {"C39", "C57", "C59", "C65", "C82", "C86", "C89"},
        "5_medical": {"C58", "C66", "C81"},
        "readings": {"A1", "A8"},
    }.items():
        assert wanted <= {row["id"] for row in load.read_toml(f"claims/{name}")["claims"]}


def test_narrowed_words_and_exempt_records_are_read(monkeypatch):
    row = {
        "id": "C01",
        "sections": ["1"],
        "text": "x",
        "kind": ["train"],
        "narrowed": "for every network",
        "exempt": [{"experiment": "e", "variant": "wbc", "scale": "quick", "reason": "59 test images"}],
    }
    monkeypatch.setattr(load, "read_toml", lambda name: {"claims": [dict(row)] if "2_" in name else []})
    load.claims.cache_clear()
    (claim,) = load.claims()
    load.claims.cache_clear()
    assert claim.narrowed == "for every network"
    assert claim.exempt == (survey.Exemption("e", "quick", "59 test images", "wbc"),)
    row["exempt"] = [{"experiment": "e", "scale": "quick"}]
    with pytest.raises(ValueError, match=r"2_principle.toml, C01: .*reason"):
        load.claims()


def test_version_1_is_kept_as_it_was():
    former = {each.claim: each for each in survey.version1()}
    assert list(former) == [f"C{number:02d}" for number in range(1, 39)]
    statuses = Counter(each.status for each in former.values())
    assert statuses == {"supported": 13, "refuted": 4, "undecided": 3, "depends on the reading": 18}
    parts = [part for each in former.values() for part in each.parts]
    assert len(parts) == 166
    assert Counter(part.status for part in parts) == {"supported": 102, "refuted": 33, "undecided": 31}
    assert all(part.low <= part.mean <= part.high and part.seeds >= 1 for part in parts)


def test_every_testable_claim_says_how_it_would_be_refuted():
    for claim in survey.claims():
        if claim.by_reading is None:
            assert claim.metric, claim.id
            assert claim.refuted_if, claim.id
            assert claim.quick, claim.id
        else:
            assert claim.evidence, claim.id


def test_errata_are_e1_to_e25_and_their_links_exist():
    assert [erratum.id for erratum in survey.errata()] == [f"E{number}" for number in range(1, 26)]
    methods = {method.id for method in survey.methods()}
    claims = {claim.id for claim in survey.claims()}
    for erratum in survey.errata():
        assert set(erratum.methods) <= methods, erratum.id
        assert set(erratum.claims) <= claims, erratum.id


def test_glossary_has_both_languages_each_once():
    terms = survey.glossary()
    assert len(terms) >= 100
    assert len({term.chinese for term in terms}) == len(terms)
    assert {"残差", "梯度", "残差块", "恒等映射", "退化问题", "残差映射", "跨层连接"} <= {
        term.chinese for term in terms
    }
    assert all(any("\u4e00" <= sign <= "\u9fff" for sign in term.chinese) for term in terms)
    assert [term.english.lower() for term in terms] == sorted(term.english.lower() for term in terms)


@pytest.mark.parametrize("missing", ["object", "notebook", "proof"])
def test_a_method_is_built_once_all_three_are_named(missing):
    row = {
        "object": "resnetbook.principle.block.BasicBlock",
        "notebook": "2_principle/residual_block#the-block",
        "proof": Proof("parity", "tests/principle/test_block.py::test_parity"),
    }
    base = {"id": "2.x", "section": "2", "english": "x", "chinese": "x"}
    assert Method(**base, **row).status == "built"
    assert Method(**base, **{**row, missing: None}).status == "planned"


def test_a_notebook_without_a_heading_is_not_built():
    method = Method(
        "2.x", "2", "x", "x", object="a.b", notebook="2_principle/x", proof=Proof("limit", "t::t")
    )
    assert method.status == "planned"


def test_find_names_what_is_known():
    assert survey.method("2.residual-block").chinese == "残差块"
    assert survey.claim("C06").sections == ("1", "2")
    with pytest.raises(ValueError, match=r"'C99' is unknown, expected one of C01"):
        survey.claim("C99")


def test_build_names_file_row_and_key():
    with pytest.raises(ValueError, match=r"glossary.toml, x: unknown key 'chinees'"):
        load.build(Term, {"id": "x", "chinees": "x"}, "glossary.toml, x")
    with pytest.raises(ValueError, match=r"glossary.toml, x: .*definition"):
        load.build(Term, {"id": "x", "english": "x", "chinese": "x"}, "glossary.toml, x")


def test_unique_refuses_a_repeated_id():
    term = Term("x", "x", "x", "x")
    with pytest.raises(ValueError, match=r"id 'x' appears twice"):
        load.unique([term, term], "glossary.toml")


DECISION = {
    "label": "x",
    "record": {"experiment": "e"},
    "rule": "better",
    "unit": "difference",
    "metric": "m",
    "a": "a",
    "b": "b",
    "margin": "share",
}
EXACT = {"rule": "exact", "unit": None, "b": None, "margin": None, "op": "==", "value": 0.0}
NUMBER = {"margin": 0.1, "why_margin": "because"}


def changed(change):
    row = {**DECISION, **change}
    return load.decision({key: value for key, value in row.items() if value is not None}, "here")


@pytest.mark.parametrize(
    "change",
    [
        {},
        EXACT,
        NUMBER,
        {"margin": 0.0, "why_margin": "because"},
        {"b": None, "bound": 0.0},
        {"unit": "ratio", "margin": "ratio", "rule": "equal"},
        {"unit": "ratio", "rule": "not_worse", **NUMBER},
        {"reading": "digits", "part_of": "data"},
    ],
)
def test_a_decision_of_every_form_is_read(change):
    assert changed(change).experiment == "e"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rule": "difference"}, "rule 'difference', expected one of"),
        ({"b": None}, "expected one of 'b'"),
        ({"bound": 0.0}, "expected one of 'b'"),
        ({"unit": None}, "unit None, expected one of"),
        ({"unit": "log"}, "unit 'log', expected one of"),
        ({"margin": None}, "margin None, expected"),
        ({"margin": "ratio"}, "margin 'ratio' does not belong to unit 'difference'"),
        ({"margin": "shares"}, "margin 'shares' does not belong"),
        ({"unit": "ratio"}, "margin 'share' does not belong to unit 'ratio'"),
        ({"margin": 0.1}, "'why_margin' is needed"),
        ({"why_margin": "because"}, "'why_margin' belongs to a margin that is a number"),
        ({**NUMBER, "margin": -0.1}, "margin -0.1, expected"),
        ({**NUMBER, "margin": True}, "margin True, expected"),
        ({**NUMBER, "margin": float("nan")}, "margin nan, expected"),
        ({**NUMBER, "margin": 0.0, "rule": "equal"}, "margin 0, expected more for rule 'equal'"),
        ({**NUMBER, "unit": "ratio", "b": None, "bound": 0.0}, "bound 0.0, expected a positive number"),
        ({**EXACT, "op": None}, "op None, expected"),
        ({**EXACT, "op": "<"}, "op '<', expected"),
        ({**EXACT, "value": None}, "rule 'exact' needs 'value'"),
        ({**EXACT, "margin": "share"}, "rule 'exact' has no 'margin'"),
        ({**EXACT, "unit": "ratio"}, "rule 'exact' has no 'unit'"),
        ({"op": "=="}, "'op' and 'value' belong to rule 'exact'"),
        ({"better": "larger"}, "better 'larger', expected one of"),
        ({"part_of": "set"}, "part_of 'set', expected one of"),
        ({"scale": "live"}, "scale 'live', expected one of"),
        ({"metrik": "x"}, "unknown key 'metrik'"),
    ],
)
def test_a_decision_that_cannot_be_applied_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        changed(change)


def test_a_margin_has_its_number_at_each_scale():
    assert [changed({}).margin_at(scale) for scale in ("quick", "full")] == [0.01, 0.005]
    ratio = changed({"unit": "ratio", "margin": "ratio"})
    assert [ratio.margin_at(scale) for scale in ("quick", "full")] == [0.1, 0.1]
    assert changed(NUMBER).margin_at("full") == 0.1
    assert changed(EXACT).margin_at("quick") is None


def test_the_map_imports_neither_torch_nor_scipy():
    code = (
        "import sys; from resnetbook import survey; "
        "survey.methods(); survey.claims(); survey.references(); survey.errata(); survey.glossary(); "
        "assert survey.verdict('A1').status == 'refuted'; "
        "heavy = {'torch', 'scipy', 'numpy'} & set(sys.modules); assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


CONTRAST = {
    "label": "the loss does not rise",
    "record": {"experiment": "degradation", "variant": "digits"},
    "rule": "not_worse",
    "unit": "ratio",
    "metric": "train_loss",
    "a": "residual-56",
    "contrast": {"residual-20": 1.0, "residual-56": -1.0},
    "margin": "ratio",
}


def test_a_contrast_stands_in_place_of_b():
    assert load.decision(CONTRAST, "x").contrast == (("residual-20", 1.0), ("residual-56", -1.0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"b": "residual-20"}, "expected one of 'b'"),
        ({"bound": 1.0}, "expected one of 'b'"),
        ({"contrast": {"residual-20": 1.0, "residual-56": -0.9}}, "contrast sums to 0.1"),
        ({"contrast": {"residual-20": 1.0, "plain-20": -1.0}}, "weights of 'a' and other arms"),
        ({"contrast": {"residual-56": 0.0}}, "weights of 'a' and other arms"),
        ({"contrast": {"residual-20": "1", "residual-56": -1.0}}, "a number for each arm"),
        ({"better": "lower"}, "carries its sign"),
    ],
)
def test_a_bad_contrast_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        load.decision({**CONTRAST, **change}, "x")
