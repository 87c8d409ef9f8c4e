import math

import pytest

from resnetbook.survey import records

GOOD = {"a": {"m": [1.0, 2, None]}}


def test_a_record_gives_values_seeds_and_provenance(write):
    record = records.read("demo", None, "quick", write(GOOD))
    assert record.values("a", "m")[:2] == (1.0, 2.0)
    assert math.isnan(record.values("a", "m")[2])
    assert record.seeds == (0, 1, 2)
    assert record.provenance == "3 seeds, digits, cpu, quick scale, 2026-11-23"


def test_infinity_counts_as_missing(write):
    record = records.read("demo", None, "quick", write({"a": {"m": [math.inf, 1.0]}}))
    assert math.isnan(record.values("a", "m")[0])


def test_no_file_means_not_run(tmp_path):
    assert records.read("demo", None, "quick", tmp_path) is None


def test_the_variant_is_part_of_the_name(write):
    folder = write(GOOD, name="demo-wbc.full.json", variant="wbc", scale="full")
    assert records.read("demo", "wbc", "full", folder).path.name == "demo-wbc.full.json"
    assert records.read("demo", "wbc", "quick", folder) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 2}, "schema 2, expected 1"),
        ({"experiment": "other"}, "experiment 'other', expected 'demo'"),
        ({"scale": "full"}, "scale 'full', expected 'quick'"),
        ({"seeds": []}, "seeds must be whole numbers"),
        ({"seeds": [0, 0, 1]}, "a seed appears twice"),
        ({"seeds": [0, "1", 2]}, "seeds must be whole numbers"),
        ({"seeds": 3}, "'seeds' must be a list"),
    ],
)
def test_a_malformed_record_is_named(write, change, message):
    folder = write(GOOD, **change)
    with pytest.raises(ValueError, match=f"demo.quick.json: {message}"):
        records.read("demo", None, "quick", folder)


def test_results_that_are_no_object_are_named(write, tmp_path):
    path = write(GOOD) / "demo.quick.json"
    path.write_text(
        path.read_text().replace('"results": {"a"', '"results": [], "old": {"a"'), encoding="utf-8"
    )
    with pytest.raises(ValueError, match=r"demo\.quick\.json: 'results' must be a dict, found \[\]"):
        records.read("demo", None, "quick", tmp_path)


def test_a_record_under_another_variants_name_is_refused(write):
    folder = write(GOOD, name="demo-wbc.quick.json", variant="digits")
    with pytest.raises(ValueError, match=r"demo-wbc.quick.json: variant 'digits', expected 'wbc'"):
        records.read("demo", "wbc", "quick", folder)


@pytest.mark.parametrize("text", ["", "{", "[1]", "null"])
def test_what_is_no_object_is_named(tmp_path, text):
    (tmp_path / "demo.quick.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"demo\.quick\.json: "):
        records.read("demo", None, "quick", tmp_path)


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ({"b": {"m": [1, 2, 3]}}, "arm 'a' is missing, the record has"),
        ({"a": {"n": [1, 2, 3]}}, "metric 'm' of arm 'a' is missing"),
        ({"a": {"m": [1, 2, 3]}, "b": {"m": [1, 2]}}, "a/m must be a list of 2 values"),
        ({"a": {"m": [1, [2], 3]}}, "a/m holds \\[2\\], expected one number"),
        ({"a": {"m": [1, "2", 3]}}, "a/m holds '2'"),
        ({"a": {"m": [1, True, 3]}}, "a/m holds True"),
    ],
)
def test_values_that_cannot_be_used_are_named(write, results, message):
    seeds = [0, 1] if "b" in results and "a" in results else [0, 1, 2]
    record = records.read("demo", None, "quick", write(results, seeds=seeds))
    with pytest.raises(ValueError, match=f"demo.quick.json: {message}"):
        record.values("a", "m")
