import base64
import json
import math

import numpy as np
import pytest

from resnetbook.survey import records

GOOD = {"a": {"m": [1.0, 2, None]}}
RIGHT = np.array([[1, 0, 1, 1], [0, 0, 1, 1], [1, 1, 1, 1]])


def read(folder):
    return records.read("demo", None, "quick", folder)


def test_a_record_gives_values_seeds_and_provenance(write):
    record = read(write(GOOD))
    assert record.values("a", "m")[:2] == (1.0, 2.0)
    assert math.isnan(record.values("a", "m")[2])
    assert record.seeds == (100, 101, 102)
    assert record.provenance == "3 seeds, digits, cpu, quick scale, 2026-11-23"
    assert record.minutes == 1.5
    assert record.schema == 2


def test_a_record_of_version_1_stays_readable(write):
    record = read(write(GOOD, schema=1, registration=None, seconds=None))
    assert record.schema == 1
    assert record.values("a", "m")[0] == 1.0
    assert record.registration == {}
    assert record.outcomes("a", "m") is None
    assert math.isnan(record.minutes)


def test_infinity_counts_as_missing(write):
    record = read(write({"a": {"m": [math.inf, 1.0]}}))
    assert math.isnan(record.values("a", "m")[0])


def test_no_file_means_not_run(tmp_path):
    assert read(tmp_path) is None


def test_the_variant_is_part_of_the_name(write):
    folder = write(GOOD, name="demo-wbc.full.json", variant="wbc", scale="full")
    assert records.read("demo", "wbc", "full", folder).path.name == "demo-wbc.full.json"
    assert records.read("demo", "wbc", "quick", folder) is None


def test_a_record_that_changes_is_read_again(write):
    assert read(write(GOOD)).values("a", "m")[0] == 1.0
    assert read(write({"a": {"m": [5.0, 2, None]}})).values("a", "m")[0] == 5.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 3}, r"schema 3, expected one of \(1, 2\)"),
        ({"experiment": "other"}, "experiment 'other', expected 'demo'"),
        ({"scale": "full"}, "scale 'full', expected 'quick'"),
        ({"seeds": []}, "seeds must be whole numbers"),
        ({"seeds": [0, 0, 1]}, "a seed appears twice"),
        ({"seeds": [0, "1", 2]}, "seeds must be whole numbers"),
        ({"seeds": 3}, "'seeds' must be a list"),
        ({"registration": None}, "'registration' must be a dict, found None"),
        ({"registration": {"decisions": "x", "commit": "y"}}, "registration 'seeds' must be a int"),
        ({"registration": {"commit": "y", "seeds": 3}}, "registration 'decisions' must be a str"),
        ({"tuned": [1]}, "'tuned' must be a dict"),
        ({"outcomes": [1]}, "'outcomes' must be a dict"),
        ({"outcomes": {"a": 1}}, "outcomes of 'a' must be a dict"),
        ({"outcomes": {"a": {"m": {"bits": ""}}}}, "'images' is missing beside 'outcomes'"),
        ({"images": {"count": 0}}, "images 'count' must be a whole number of 1 or more, found 0"),
        ({"images": {"count": 2, "groups": [1]}}, "images 'groups' must be null or a list of 2"),
        ({"images": {"count": 2, "groups": [1, "2"]}}, "images 'groups' must be null or a list of 2"),
    ],
)
def test_a_malformed_record_is_named(write, change, message):
    folder = write(GOOD, **change)
    with pytest.raises(ValueError, match=f"demo.quick.json: {message}"):
        read(folder)


def test_results_that_are_no_object_are_named(write, tmp_path):
    path = write(GOOD) / "demo.quick.json"
    path.write_text(
        path.read_text().replace('"results": {"a"', '"results": [], "old": {"a"'), encoding="utf-8"
    )
    with pytest.raises(ValueError, match=r"demo\.quick\.json: 'results' must be a dict, found \[\]"):
        read(tmp_path)


def test_a_record_under_another_variants_name_is_refused(write):
    folder = write(GOOD, name="demo-wbc.quick.json", variant="digits")
    with pytest.raises(ValueError, match=r"demo-wbc.quick.json: variant 'digits', expected 'wbc'"):
        records.read("demo", "wbc", "quick", folder)


@pytest.mark.parametrize("text", ["", "{", "[1]", "null"])
def test_what_is_no_object_is_named(tmp_path, text):
    (tmp_path / "demo.quick.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"demo\.quick\.json: "):
        read(tmp_path)


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
    record = read(write(results, seeds=seeds))
    with pytest.raises(ValueError, match=f"demo.quick.json: {message}"):
        record.values("a", "m")


def with_outcomes(write, table, metric=None, **changes):
    table = np.asarray(table)
    means = list(map(float, table.mean(axis=1))) if metric is None else metric
    return read(write({"a": {"m": means, "n": means}}, tables={"a": {"m": table}}, **changes))


def test_bits_are_unpacked_by_seed_and_image(write):
    record = with_outcomes(write, RIGHT)
    assert np.array_equal(record.outcomes("a", "m"), RIGHT)
    assert record.outcomes("a", "n") is None
    assert record.outcomes("b", "m") is None
    assert record.images == 4
    assert record.groups is None


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (5, 8), (12, 597)])
def test_bits_of_any_shape_come_back(write, shape):
    table = np.random.default_rng(0).integers(0, 2, shape)
    table[0, 0] = 1
    assert np.array_equal(with_outcomes(write, table).outcomes("a", "m"), table)


def test_halves_come_back_to_three_digits(write):
    table = np.random.default_rng(1).normal(0.9, 0.5, (4, 30))
    found = with_outcomes(write, table).outcomes("a", "m")
    assert found == pytest.approx(table, rel=1e-3)
    assert found.dtype == float


def test_groups_are_read(write):
    assert with_outcomes(write, RIGHT, groups=[1, 1, 2, 2]).groups == (1, 1, 2, 2)


def test_a_seed_without_a_value_has_no_outcomes(write):
    found = with_outcomes(write, RIGHT, [0.75, None, 1.0]).outcomes("a", "m")
    assert np.isnan(found[1]).all()
    assert np.array_equal(found[[0, 2]], RIGHT[[0, 2]])


def test_outcomes_with_another_mean_name_file_and_seed(write):
    record = with_outcomes(write, RIGHT, [0.75, 0.5, 0.995])
    with pytest.raises(ValueError, match=r"demo\.quick\.json: outcomes of a/m .* mean \(seed 102\)"):
        record.outcomes("a", "m")
    assert with_outcomes(write, RIGHT, [0.7505, 0.5, 0.9995]).outcomes("a", "m") is not None


def test_halves_that_are_not_finite_are_refused(write):
    with pytest.raises(ValueError, match=r"demo\.quick\.json: outcomes of a/m"):
        with_outcomes(write, [[0.5, np.inf], [0.5, 0.6]], [0.5, 0.55]).outcomes("a", "m")


@pytest.mark.parametrize(
    ("packed", "message"),
    [
        ({"bits": "AA=="}, "have 1 bytes, expected 2 for 3 seeds and 4 images"),
        ({"halves": "AA=="}, "have 1 bytes, expected 24"),
        ({"bits": "?"}, "are not base64"),
        ({"bits": 3}, "are not base64"),
        ({"bytes": "AA=="}, "must be an object with 'bits' or 'halves'"),
        ({"bits": "AA==", "halves": "AA=="}, "must be an object with 'bits' or 'halves'"),
        ("AA==", "must be an object with 'bits' or 'halves'"),
    ],
)
def test_outcomes_of_another_form_are_named(write, packed, message):
    record = read(write({"a": {"m": [1.0, 1, 1]}}, tables={"a": {"m": RIGHT}}))
    record.content["outcomes"]["a"]["m"] = packed
    with pytest.raises(ValueError, match=f"demo.quick.json: outcomes of a/m {message}"):
        record.outcomes("a", "m")


def test_the_form_is_numpys_own(write):
    # What the format says in words, made without the helpers of these tests.
    text = base64.b64encode(np.packbits(RIGHT.astype(bool))).decode()
    folder = write({"a": {"m": [0.75, 0.5, 1.0]}}, images={"count": 4, "groups": None})
    path = folder / "demo.quick.json"
    content = json.loads(path.read_text()) | {"outcomes": {"a": {"m": {"bits": text}}}}
    path.write_text(json.dumps(content), encoding="utf-8")
    assert np.array_equal(read(folder).outcomes("a", "m"), RIGHT)


def test_the_edge_of_a_grid_is_read(write):
    record = read(write(GOOD, tuned={"a": {"edge": True}, "b": {"edge": False}}))
    assert [record.edge(arm) for arm in "abc"] == [True, False, False]
