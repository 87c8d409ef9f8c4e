"""Records: what is written is what is read, intervals cover, damage is named, and nothing needs torch."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from resnetbook.lab import results
from resnetbook.lab.results import Record, RecordMissing

RECORD = Record(
    experiment="toy", variant="digits", scale="quick", settings={"depths": (8, 20), "rate": 0.1}, seeds=(0, 1, 2),
    results={"plain-8": {"loss": [0.5, 0.25, math.nan], "curve": [[1.0, 0.5], [1.0], [2.0, math.inf]]}},
    tuned={"plain-8": {"learning_rate": 0.1}}, data={"name": "digits", "checksum": "ab", "split": "1000/200/597"},
    environment={"device": "a processor", "code": "c0de"}, seconds=1.5, peak_memory_mb=100.0,
    created="2026-01-02T03:04:05Z",
)  # fmt: skip


def test_a_record_comes_back_as_it_was_written(tmp_path):
    path = results.write(RECORD, tmp_path / results.file_name("toy", "digits", "quick"))
    assert path.name == "toy-digits.quick.json"
    assert os.listdir(tmp_path) == [path.name]
    read = results.read("toy", "digits", folder=tmp_path)
    assert read.seeds == (0, 1, 2)
    assert read.settings == {"depths": [8, 20], "rate": 0.1}
    for name in ("tuned", "data", "environment", "seconds", "peak_memory_mb", "created", "scale"):
        assert getattr(read, name) == getattr(RECORD, name)
    np.testing.assert_array_equal(read.values("plain-8", "loss"), [0.5, 0.25, np.nan])
    # The shorter curve and the infinite entry are NaN.
    wanted = [[1, 0.5], [1, np.nan], [2, np.nan]]
    np.testing.assert_array_equal(read.values("plain-8", "curve"), wanted)
    assert results.write(read, tmp_path / "again.json").read_bytes() == path.read_bytes()
    json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_find_lists_records_but_not_those_of_changed_settings(tmp_path):
    for record, changes in [
        (RECORD, None),
        (replace(RECORD, scale="full"), None),
        (replace(RECORD, experiment="other", variant=None), None),
        (RECORD, {"epochs": 2, "depths": (8, 20)}),
    ]:
        name = results.file_name(record.experiment, record.variant, record.scale, changes)
        results.write(record, tmp_path / name)
    assert (tmp_path / "toy-digits.quick.depths=8-20_epochs=2.json").exists()
    found = [(r.experiment, r.scale) for r in results.find(folder=tmp_path)]
    assert found == [("other", "quick"), ("toy", "full"), ("toy", "quick")]
    assert len(results.find("toy", "full", folder=tmp_path)) == 1
    assert results.read("other", folder=tmp_path).variant is None


def test_a_missing_record_says_how_to_make_it(tmp_path):
    message = r"toy on wbc, scale full: not run yet \(resnetbook run toy --scale full --set data=wbc\)"
    with pytest.raises(RecordMissing, match=message):
        results.read("toy", "wbc", "full", folder=tmp_path)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{", '{"schema": 2}', '{"schema": 1}', '{"schema": 1, "variant": null, "seeds": [0]}'],
)
def test_a_file_that_is_no_record_is_named(tmp_path, content):
    path = tmp_path / "toy.quick.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"toy\.quick\.json: no record"):
        results.load(path)


def test_a_record_with_a_seed_missing_is_refused(tmp_path):
    path = results.write(replace(RECORD, seeds=(0, 1)), tmp_path / "toy.quick.json")
    with pytest.raises(ValueError, match=r"3\D+values for 2 seeds"):
        results.load(path)


def test_unknown_arms_and_metrics_list_those_there_are():
    with pytest.raises(ValueError, match="arm='plain-9': expected one of plain-8"):
        RECORD.values("plain-9", "loss")
    with pytest.raises(ValueError, match="metric='los': expected one of loss, curve"):
        RECORD.values("plain-8", "los")


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=12), st.sampled_from([0.5, 0.95]))
@settings(max_examples=60, deadline=None)
def test_the_interval_is_the_t_interval_of_scipy(values, confidence):
    mean, low, high = results.t_interval(np.array(values), confidence)
    assert mean == pytest.approx(np.mean(values), abs=1e-9)
    if np.std(values) > 1e-6:
        wanted = stats.t.interval(confidence, len(values) - 1, np.mean(values), stats.sem(values))
        assert (low, high) == pytest.approx(wanted, rel=1e-6, abs=1e-9)


def test_five_seeds_cover_the_truth_95_times_in_100():
    drawn = np.random.default_rng(0).normal(1.0, 2.0, size=(5, 4000))
    _, low, high = results.t_interval(drawn)
    assert low.shape == (4000,)
    covered = np.mean((low < 1) & (high > 1))
    assert 0.94 < covered < 0.96


def test_one_seed_has_no_interval():
    mean, low, high = replace(RECORD, seeds=(0,), results={"a": {"m": [2.0]}}).interval("a", "m")
    assert mean == 2
    assert math.isnan(low)
    assert math.isnan(high)


def test_provenance_and_summary():
    assert results.provenance(RECORD) == "3 seeds, digits, scale quick, a processor, 2026-01-02"
    assert [(arm, metric) for arm, metric, _ in results.summary(RECORD)] == [("plain-8", "loss")]


def test_what_is_no_number_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not object"):
        results.write(replace(RECORD, tuned={"a": {"b": object()}}), tmp_path / "x.json")
    assert os.listdir(tmp_path) == []
    assert results.plain({"a": np.float32(0.5), "b": np.arange(2), "c": (True, None)}) == {
        "a": 0.5, "b": [0, 1], "c": [True, None]
    }  # fmt: skip
    with pytest.raises(ValueError, match=r"variant='\.\./x'"):
        results.file_name("toy", "../x", "quick")


def test_a_failed_write_leaves_the_old_record(tmp_path, monkeypatch):
    path = results.write(RECORD, tmp_path / "toy.quick.json")
    before = path.read_bytes()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        results.write(replace(RECORD, seconds=9.0), path)
    assert path.read_bytes() == before


def test_reading_records_imports_no_torch():
    code = "import sys; from resnetbook.lab import results; results.find(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_name_is_cut_only_where_it_is_too_long_and_stays_the_only_one():
    def suffix(changes):
        return (
            results.file_name("toy", None, "quick", changes).removeprefix("toy.quick.").removesuffix(".json")
        )

    assert results.file_name("toy", None, "quick", {}) == "toy.quick.json"
    assert suffix({"k": "x" * 78}) == "k=" + "x" * 78  # 80 letters
    cut = suffix({"k": "x" * 79})
    assert cut.startswith("k=" + "x" * 58 + "_")
    assert len(cut) == 60 + 1 + 12
    assert cut != suffix({"k": "x" * 78 + "y"})
    assert suffix({"b": 1, "a": (2, 3)}) == "a=2-3_b=1"
    assert suffix({"a": "x/../y z"}) == "a=x-y-z"


def test_the_interval_is_of_95_percent_unless_it_is_said_otherwise():
    values = [1.0, 2.0, 4.0]
    assert results.t_interval(values) == results.t_interval(values, 0.95)
    record = replace(RECORD, results={"a": {"m": values}})
    assert record.interval("a", "m") == results.t_interval(values, 0.95)
    assert record.interval("a", "m", 0.5) == results.t_interval(values, 0.5)
    assert all(isinstance(bound, float) for bound in results.t_interval(values))


def test_what_is_missing_is_left_out_only_when_it_is_asked_for():
    values = [[1.0, math.nan], [3.0, 5.0], [2.0, 7.0]]
    mean, low, _ = results.t_interval(values)
    assert mean[0] == 2
    assert np.isnan([mean[1], low[1]]).all()
    mean, low, high = results.t_interval(values, ignore_nan=True)
    assert mean.tolist() == [2, 6]
    expected = stats.t.interval(0.95, 1, 6, stats.sem([5.0, 7.0]))
    assert (low[1], high[1]) == pytest.approx(expected)


def test_a_record_is_text_with_one_metric_a_line(tmp_path):
    path = results.write(RECORD, tmp_path / "toy.quick.json")
    lines = path.read_text().splitlines()
    assert lines[:4] == ["{", ' "schema": 1,', ' "experiment": "toy",', ' "variant": "digits",']
    assert '   "loss": [0.5, 0.25, null],' in lines
    assert lines[-1] == "}"
    assert path.read_text().endswith("}\n")
    registered = results.write(replace(RECORD, registration={"seeds": 3}), tmp_path / "other.quick.json")
    assert json.loads(registered.read_text())["schema"] == 2
    assert "outcomes" not in json.loads(registered.read_text())


def test_provenance_leaves_out_what_is_not_known():
    bare = replace(RECORD, seeds=(0,), data={}, environment={}, created="", variant=None)
    assert results.provenance(bare) == "1 seed, scale quick, unknown device"


def test_outcomes_are_bits_where_they_can_be():
    import base64

    assert base64.b64decode(results.pack([[1, 0, 1], [0, 0, 1]])["bits"]) == bytes([0b10100100])
    halves = base64.b64decode(results.pack([[1, 0.5], [0, 2]])["halves"])
    assert np.frombuffer(halves, "<f2").tolist() == [1.0, 0.5, 0.0, 2.0]
    assert list(results.pack([[1, 2]])) == ["halves"]


def test_a_record_cannot_be_changed():
    with pytest.raises(AttributeError):
        RECORD.seeds = ()  # type: ignore[misc]
