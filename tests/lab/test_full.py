"""Records at full scale against the clock: order, what fits, parts that are gone on with, and a copy without git."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from resnetbook.lab import results
from resnetbook.lab.running import Experiment, environment, full, prepared

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Settings:
    data: str = "noise"
    folder: str = ""
    fail: bool = False


def arms(settings):
    return ("a", "b")


def job(settings, arm, seed, context):
    """Count the call; a file called `late` moves the clock past the end after two calls."""
    place = Path(settings.folder)
    with open(place / "calls", "a") as file:
        file.write(f"{settings.data} {arm} {seed}\n")
    if settings.fail:
        raise OSError("the set is not here")
    return {"value": float(seed)}


def toy(name: str, folder: Path, *, minutes: float = 1.0, **settings) -> Experiment:
    made = Settings(folder=str(folder), **settings)
    return Experiment(name, name, (), {"full": made}, arms, job, minutes={"full": minutes},
                      seeds={"full": 2}, variants={"full": (dataclasses.replace(made, data="other"),)})  # fmt: skip


@pytest.fixture(autouse=True)
def committed(monkeypatch):
    monkeypatch.setattr("resnetbook.lab.running.registration.commit", lambda: "0123456789ab")


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().splitlines() if (folder / "calls").exists() else []


def go(records, folder: Path, minutes: float = 5.0) -> dict[str, str]:
    outcomes = full.full(records, minutes=minutes, output=folder / "out", device="cpu", workers=1)
    return {outcome.record: outcome.state for outcome in outcomes}


def test_the_order_is_that_of_worth_and_each_set_has_its_record(tmp_path):
    found = [toy(name, tmp_path) for name in ("alpha", "beta", "gamma")]
    found.append(Experiment("small", "no full scale", (), {"quick": Settings()}, arms, job))
    names = [(each.name, changes.get("data")) for each, changes in full.plan(found, ("gamma", "alpha"))]
    assert names == [(n, d) for n in ("gamma", "alpha", "beta") for d in (None, "other")]


def test_records_are_made_once_and_stand_under_their_names(tmp_path):
    records = full.plan([toy("alpha", tmp_path)])
    assert go(records, tmp_path) == {"alpha-noise.full.json": "made", "alpha-other.full.json": "made"}
    record = results.load(tmp_path / "out" / "results" / "alpha-other.full.json")
    assert record.seeds == (100, 101)
    assert record.registration["commit"] == "0123456789ab"
    assert len(calls(tmp_path)) == 8
    assert set(go(records, tmp_path).values()) == {"there already"}
    assert len(calls(tmp_path)) == 8


def test_what_does_not_fit_waits_for_what_does(tmp_path):
    records = full.plan([toy("alpha", tmp_path, minutes=99.0), toy("beta", tmp_path, minutes=0.1)])
    states = go(records, tmp_path)
    assert calls(tmp_path)[:4] == ["noise a 100", "noise b 100", "noise a 101", "noise b 101"]
    assert list(states)[:2] == ["beta-noise.full.json", "beta-other.full.json"]
    assert set(states.values()) == {"made"}  # when nothing fits, the first is begun all the same


def test_at_the_end_of_the_time_the_finished_jobs_are_kept(tmp_path, monkeypatch):
    records = full.plan([toy("alpha", tmp_path)])
    clock = full.time.monotonic
    late = {"by": 0.0}
    monkeypatch.setattr(
        "time.monotonic", lambda: clock() + (late["by"] if len(calls(tmp_path)) >= 3 else 0.0)
    )
    late["by"] = 3600.0
    assert go(records, tmp_path) == {
        "alpha-noise.full.json": "in parts",
        "alpha-other.full.json": "not begun",
    }
    assert len(calls(tmp_path)) == 3
    assert not list((tmp_path / "out" / "results").glob("*.json"))
    late["by"] = 0.0
    assert set(go(records, tmp_path).values()) == {"made"}
    assert len(calls(tmp_path)) == 8  # three were there, five were to do


def test_a_set_that_is_missing_costs_its_own_record(tmp_path):
    records = full.plan([toy("alpha", tmp_path, fail=True), toy("beta", tmp_path)])
    states = go(records, tmp_path)
    assert {name: states[name] for name in states if name.startswith("alpha")} == {
        "alpha-noise.full.json": "failed", "alpha-other.full.json": "failed",
    }  # fmt: skip
    assert states["beta-noise.full.json"] == "made"


def test_the_time_of_finished_jobs_tells_what_is_left(tmp_path):
    found = toy("alpha", tmp_path, minutes=7.0)
    assert full.expected(found, tmp_path / "runs", 1) == 7.0
    jobs = tmp_path / "runs" / "alpha-noise.full-0123" / "jobs"
    jobs.mkdir(parents=True)
    (jobs / "a.json").write_text(json.dumps({"seed": 100, "seconds": 30.0}))
    (jobs / "trial.json").write_text(json.dumps({"seed": 90, "seconds": 900.0}))  # trials are not compared
    assert full.expected(found, tmp_path / "runs", 1) == pytest.approx(3 * 30 / 60)
    assert full.expected(found, tmp_path / "runs", 3) == pytest.approx(30 / 60)


def test_minutes_must_be_positive(tmp_path):
    with pytest.raises(ValueError, match="minutes=0: expected a positive number"):
        full.full([], minutes=0, output=tmp_path)


def test_prepare_refuses_code_that_is_not_committed(tmp_path, monkeypatch):
    (tmp_path / "src").mkdir()
    for head in ("0123456789ab-dirty", "unknown"):
        monkeypatch.setattr(environment, "commit", lambda head=head: head)
        with pytest.raises(ValueError, match=f"commit='{head}'"):
            prepared.prepare(tmp_path)
    monkeypatch.setattr(environment, "commit", lambda: "0123456789ab")
    assert prepared.prepare(tmp_path).name == "prepared.json"


def test_a_copy_without_git_makes_records_of_the_commit_that_it_was_copied_from(tmp_path, monkeypatch):
    for folder in ("src", "data"):
        ignore = shutil.ignore_patterns("__pycache__", "results")
        shutil.copytree(ROOT / folder, tmp_path / "copy" / folder, ignore=ignore)
    copy = tmp_path / "copy"
    (copy / "data" / "results").mkdir()
    environ = {**os.environ, "PYTHONPATH": str(copy / "src")}
    command = [
        sys.executable,
        "-m",
        "resnetbook.cli",
        "full",
        "sharing",
        "--minutes",
        "3",
        "-o",
        "out",
        "--device",
        "cpu",
    ]

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=copy, env=environ, capture_output=True, text=True, check=False)

    refused = run()
    assert refused.returncode == 2
    assert "this is no checkout" in refused.stderr
    monkeypatch.setattr(environment, "commit", lambda: "0123456789ab")
    prepared.prepare(copy)
    made = run()
    assert made.returncode == 0, made.stderr
    (path,) = (copy / "out" / "results").glob("*.json")
    record = results.load(path)
    assert (record.experiment, record.scale) == ("sharing", "full")
    assert record.registration["commit"] == record.environment["commit"] == "0123456789ab"
    assert str(tmp_path) not in path.read_text()
    (copy / "src" / "resnetbook" / "cli.py").write_text(
        (copy / "src" / "resnetbook" / "cli.py").read_text() + "#\n"
    )
    path.unlink()
    changed = run()
    assert changed.returncode == 2
    assert "changes that are not committed" in changed.stderr
