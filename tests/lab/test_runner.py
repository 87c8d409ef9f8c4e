"""Runs of a toy experiment: over processes, through failures, kills and repeats, and with changed settings.

Covers `lab.running.jobs`, which runs the processes, through `run`.
"""

from __future__ import annotations

import base64
import dataclasses
import importlib
import json
import math
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from resnetbook.lab import results
from resnetbook.lab.running import Experiment, ExperimentFailed, _folder, run, verify

# A real training (so that checkpoints are real), steered from outside by files in the folder `marks`.
TOY = '''
"""A toy."""
import os, signal, time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Literal
from resnetbook.lab.running import Experiment

@dataclass(frozen=True)
class Settings:
    data: str = "noise"
    depths: tuple[int, ...] = (1, 2)
    epochs: int = 4
    rate: float = 0.1
    rates: tuple[float, ...] = (0.01, 0.03)
    wide: bool = False
    clip: float | None = None
    kind: Literal["a", "b"] = "a"
    marks: str = ""

def arms(settings):
    return [f"net-{depth}" for depth in settings.depths]

def run(settings, arm, seed, context):
    """Train a line."""
    marks = Path(settings.marks)
    with open(marks / f"{arm}.{seed}.started", "a") as file:
        file.write(f"{os.getpid()}\\n")
    if (marks / f"{arm}.{seed}.fail").exists():
        raise ArithmeticError("asked to\\nfail")
    if (marks / f"{arm}.{seed}.die").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    if settings.epochs == 0:
        return {"loss": float(seed)}
    import torch
    from resnetbook.lab.training import Settings as Training, fit

    class Slow:
        def on_epoch_end(self, epoch, model, row):
            with open(marks / f"{arm}.{seed}.epochs", "a") as file:
                file.write(f"{epoch}\\n")

        def on_step_end(self, step, model, loss):
            while step == 2 and (marks / f"{arm}.{seed}.hang").exists():
                time.sleep(0.05)

    torch.manual_seed(seed)
    images = torch.randn(8, 3)
    part = SimpleNamespace(images=images, labels=(images[:, 0] > 0).long())
    training = Training(epochs=settings.epochs, batch_size=8, learning_rate=context.tuned.get("learning_rate", settings.rate),
                        seed=seed, device=context.device)
    history = fit(torch.nn.Linear(3, 2), part, settings=training, checkpoint=context.checkpoint, callbacks=[Slow()])
    return {"loss": history.last["train_loss"], "curve": list(history["train_loss"]), "odd": float("nan"),
            "threads": torch.get_num_threads()}

def score(settings, arm, seed, context):
    if (Path(settings.marks) / f"{arm}.tune.fail").exists():
        raise ArithmeticError("no rate")
    return {"distance": abs(context.tuned["learning_rate"] - 0.01 * int(arm[-1]))}

def outcomes(settings, arm, seed, context):
    right = [1, 0, seed % 2]
    return {"accuracy": sum(right) / 3, "outcomes": {"accuracy": right, "kept": [0.5, 1.25, 0.0]}}

EXPERIMENT = Experiment(
    "toy", "A toy", ("C99",), {"live": Settings(epochs=1), "quick": Settings()}, arms, run,
    data=lambda settings: {"name": settings.data, "checksum": "0", "split": "none"},
    variants={"quick": (Settings(data="other", rate=0.2),)},
)
TUNED = Experiment("tuned", "A toy", (), {"quick": Settings(depths=(1, 3))}, arms, run, score)
TESTED = Experiment("tested", "A toy", (), {"quick": Settings()}, arms, outcomes,
                    data=lambda settings: {"name": "noise", "groups": [0, 0, 1]})
'''


@pytest.fixture
def toy(tmp_path, monkeypatch):
    for folder in ("code", "marks"):
        (tmp_path / folder).mkdir()
    (tmp_path / "code" / "toy_experiment.py").write_text(TOY)
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    sys.modules.pop("toy_experiment", None)
    module = importlib.import_module("toy_experiment")
    places = {"folder": tmp_path / "records", "runs": tmp_path / "runs"}
    marks = tmp_path / "marks"

    def go(found: Experiment = module.EXPERIMENT, **how: Any) -> Path:
        changes = {"marks": str(marks), **how.pop("changes", {})}
        return run(found, **{"seeds": 2, "workers": 1, "device": "cpu", "changes": changes, **places, **how})

    yield SimpleNamespace(module=module, go=go, marks=marks, path=tmp_path, **places)
    sys.modules.pop("toy_experiment", None)


def starts(toy: SimpleNamespace) -> dict[str, int]:
    return {file.name: len(file.read_text().splitlines()) for file in sorted(toy.marks.glob("*.started"))}


def test_a_run_gives_a_record(toy):
    record = results.load(toy.go())
    assert record.arms == ("net-1", "net-2")
    assert (record.variant, record.scale, record.seeds) == ("noise", "quick", (100, 101))
    assert record.data == {"name": "noise", "checksum": "0", "split": "none"}
    assert record.values("net-1", "curve").shape == (2, 4)
    assert record.values("net-1", "threads").tolist() == [1, 1]
    assert math.isnan(record.values("net-2", "odd")[1])
    assert len(set(record.values("net-1", "loss"))) == 2
    # The arms are paired: with equal settings a seed gives them equal numbers.
    assert record.results["net-1"] == record.results["net-2"]
    assert record.environment["workers"] == 1
    assert {"device", "cores", "threads", "python", "torch", "resnetbook", "commit", "code"} <= set(
        record.environment
    )
    assert record.seconds > 0
    assert record.peak_memory_mb > 50
    assert not list(toy.runs.rglob("*.pt"))  # finished jobs leave no checkpoint behind


def test_a_record_holds_no_path_and_no_host(toy):
    text = toy.go(changes={"marks": str(toy.marks)}).read_text()
    content = json.loads(text)
    del content["settings"]["marks"]  # this test's own, the only path there is
    text = json.dumps(content)
    assert os.uname().nodename not in text
    assert str(toy.path) not in text
    assert str(Path.home()) not in text


def test_an_equal_record_is_not_made_again(toy):
    path = toy.go()
    before = path.stat().st_mtime_ns
    assert toy.go() == path
    assert toy.go(seeds=1) == path
    assert path.stat().st_mtime_ns == before
    assert set(starts(toy).values()) == {1}
    # One seed more: only its jobs are run, those of the others are still there.
    assert results.load(toy.go(seeds=3)).seeds == (100, 101, 102)
    assert starts(toy) == {f"net-{arm}.{seed}.started": 1 for arm in (1, 2) for seed in (100, 101, 102)}
    toy.go(seeds=3, force=True)
    assert set(starts(toy).values()) == {2}


def test_a_change_of_code_does_not_make_a_record_again_but_verify_sees_it(toy):
    path = toy.go(changes={"epochs": "2"})
    how = {"changes": {"marks": str(toy.marks), "epochs": "2"}, "folder": toy.folder, "device": "cpu"}
    source = toy.path / "code" / "toy_experiment.py"

    def after(text: str) -> Experiment:
        source.write_text(text)
        sys.modules.pop("toy_experiment")
        importlib.invalidate_caches()
        return importlib.import_module("toy_experiment").EXPERIMENT

    def code() -> str:
        return results.load(path).environment["code"]

    old = code()
    tidied = after(TOY.replace("images[:, 0] > 0", "images[:, 0] > 0.0"))
    assert toy.go(tidied, changes={"epochs": "2"}) == path
    assert set(starts(toy).values()) == {1}
    checks = verify(tidied, workers=1, **how)
    assert {check.metric for check in checks} == {"loss", "curve", "odd", "threads"}
    assert {check.difference for check in checks} == {0.0}
    assert code() != old
    assert results.load(path).environment["verified"]["equal"] == "to the last bit"
    tidied_hash, kept = code(), path.read_bytes()
    other = after(TOY.replace("torch.randn(8, 3)", "torch.randn(8, 3) * 2"))
    with pytest.raises(
        ValueError, match=r"net-1, \w+ differs by .* at seed 100, expected equal to the last bit"
    ):
        verify(other, workers=1, seed=100, **how)
    assert code() == tidied_hash
    assert path.read_bytes() == kept
    with pytest.raises(ValueError, match=r"seed=7: expected one of the record.s, 100, 101"):
        verify(other, seed=7, **how)
    with pytest.raises(ValueError, match=r"toy-other\.quick\.json: not run yet"):
        verify(other, changes={"data": "other"}, folder=toy.folder)


def test_on_another_machine_a_record_is_verified_within_a_tolerance(toy):
    path = toy.go(changes={"epochs": "2"})
    how = {
        "changes": {"marks": str(toy.marks), "epochs": "2"},
        "folder": toy.folder,
        "device": "cpu",
        "workers": 1,
    }
    record = results.load(path)
    elsewhere = {**record.environment, "device": "another processor"}

    def moved(by: float) -> None:
        net = {**record.results["net-1"], "loss": [value * by for value in record.results["net-1"]["loss"]]}
        moved = {**record.results, "net-1": net}
        results.write(dataclasses.replace(record, environment=elsewhere, results=moved), path)

    moved(1.01)
    verify(toy.module.EXPERIMENT, **how)
    assert results.load(path).environment["verified"]["equal"] == "within 0.05"
    moved(3.0)
    with pytest.raises(ValueError, match=r"expected within 0\.05 on another machine"):
        verify(toy.module.EXPERIMENT, **how)


def test_changed_settings_never_take_the_place_of_the_books_record(toy, monkeypatch):
    monkeypatch.setattr(results, "folder", lambda: toy.path / "book")
    how = {"folder": None, "runs": toy.path / "runs"}

    def place(**changes: str) -> Path:
        return _runner().record_path(toy.module.EXPERIMENT, changes=changes, **how)

    assert place() == toy.path / "book" / "toy-noise.quick.json"
    assert place(data="wbc") == toy.path / "book" / "toy-wbc.quick.json"
    assert place(epochs="4") == place()
    assert place(epochs="5") == toy.path / "runs" / "toy-noise.quick.epochs=5.json"
    # A variant that the experiment lists: its own settings are what the data set's name means.
    assert toy.module.EXPERIMENT.settings("quick", {"data": "other"}).rate == 0.2
    assert place(data="other", rate="0.2") == toy.path / "book" / "toy-other.quick.json"
    assert place(data="other", rate="0.1").parent == toy.path / "runs"
    live = _runner().record_path(toy.module.EXPERIMENT, scale="live", **how)
    assert live == toy.path / "runs" / "toy-noise.live.json"


def _runner() -> Any:
    return importlib.import_module("resnetbook.lab.running.runner")


def test_a_live_run_is_made_each_time(toy):
    toy.go(scale="live")
    toy.go(scale="live")
    assert set(starts(toy).values()) == {2}


def test_a_failing_job_is_reported_at_the_end_and_costs_no_other(toy):
    (toy.marks / "net-1.100.fail").touch()
    message = r"toy: 1 of 4 jobs failed \(net-1, seed 100: ArithmeticError: asked to fail\)"
    with pytest.raises(ExperimentFailed, match=message):
        toy.go()
    assert len(starts(toy)) == 4
    assert not toy.folder.exists()
    (error,) = toy.runs.rglob("*.error.txt")
    assert "Traceback" in error.read_text()
    (toy.marks / "net-1.100.fail").unlink()
    record = results.load(toy.go())
    assert starts(toy) == {
        "net-1.100.started": 2,
        "net-1.101.started": 1,
        "net-2.100.started": 1,
        "net-2.101.started": 1,
    }
    assert not list(toy.runs.rglob("*.error.txt"))
    assert record.values("net-1", "loss").shape == (2,)


def test_the_clock_adds_up_its_sessions(tmp_path, monkeypatch):
    now = {"seconds": 1000.0}
    monkeypatch.setattr(_folder.time, "perf_counter", lambda: now["seconds"])
    clock = _folder.Clock(tmp_path / "seconds.json")
    now["seconds"] += 7
    assert clock.seconds() == 7
    clock.save()
    now["seconds"] += 100  # between the sessions
    again = _folder.Clock(tmp_path / "seconds.json")
    now["seconds"] += 2
    assert again.seconds() == 9


def test_of_many_failures_three_are_told(toy):
    marks = [toy.marks / f"net-{arm}.{seed}.fail" for seed in (100, 101) for arm in (1, 2)]
    for mark in marks:
        mark.touch()
    with pytest.raises(ExperimentFailed, match=r"4 of 4 jobs failed \(.*; \.\.\.\)") as error:
        toy.go()
    assert str(error.value).count("asked to fail") == 3
    marks[0].unlink()
    with pytest.raises(ExperimentFailed, match="3 of 4 jobs failed") as error:
        toy.go()
    assert str(error.value).count("asked to fail") == 3
    assert "..." not in str(error.value)


def test_a_bar_is_drawn_on_a_terminal_when_it_is_asked_for(toy, monkeypatch):
    disabled = []
    runner = _runner()
    drawn = runner.tqdm

    def bar(*arguments, disable, **named):
        disabled.append(disable)
        return drawn(*arguments, disable=True, **named)

    monkeypatch.setattr(runner, "tqdm", bar)
    for progress in (True, False):
        toy.go(scale="live", progress=progress)
    assert disabled == [None, True]  # tqdm's None: where standard error is a terminal


def test_a_process_that_fails_or_dies_costs_its_job_only(toy):
    (toy.marks / "net-2.100.die").touch()
    (toy.marks / "net-1.101.fail").touch()
    with pytest.raises(ExperimentFailed, match="2 of 6 jobs failed") as error:
        toy.go(seeds=3, workers=2, changes={"epochs": "0"})
    assert "net-2, seed 100: its process died" in str(error.value)
    assert "net-1, seed 101: ArithmeticError: asked to fail" in str(error.value)
    assert len(list(toy.runs.rglob("jobs/*.json"))) == 4


def test_each_arm_takes_its_best_rate_and_a_failed_trial_costs_its_arm(toy):
    (toy.marks / "net-1.tune.fail").touch()
    with pytest.raises(ExperimentFailed, match=r"net-1, rate 0.01, seed 90: ArithmeticError: no rate"):
        toy.go(toy.module.TUNED)
    assert set(starts(toy)) == {"net-3.100.started", "net-3.101.started"}
    (toy.marks / "net-1.tune.fail").unlink()
    record = results.load(toy.go(toy.module.TUNED))
    # net-1's best, .01, stands at the edge of the grid (.01, .03): the grid goes on below it, once.
    first = record.tuned["net-1"]
    assert (first["learning_rate"], first["rates"], first["edge"]) == (0.01, [0.0033, 0.01, 0.03], False)
    assert first["scores"]["distance"] == pytest.approx([0.0067, 0.0, 0.02])
    assert record.tuned["net-3"]["rates"] == [0.01, 0.03, 0.09]
    assert record.results["net-1"]["loss"] != record.results["net-3"]["loss"]


def test_outcomes_of_test_images_are_packed_and_no_metric(toy):
    record = results.load(toy.go(toy.module.TESTED, seeds=3))
    assert record.metrics("net-1") == ("accuracy",)
    assert record.images == {"count": 3, "groups": [0, 0, 1]}
    assert "groups" not in record.data
    packed = record.outcomes["net-1"]
    bits = np.unpackbits(np.frombuffer(base64.b64decode(packed["accuracy"]["bits"]), np.uint8), count=9)
    assert bits.reshape(3, 3).tolist() == [[1, 0, 0], [1, 0, 1], [1, 0, 0]]
    halves = np.frombuffer(base64.b64decode(packed["kept"]["halves"]), "<f2")
    assert halves.reshape(3, 3).tolist() == [[0.5, 1.25, 0.0]] * 3


def test_a_record_of_the_book_asks_for_a_clean_tree_and_a_decision(toy, monkeypatch):
    monkeypatch.setattr(results, "folder", lambda: toy.path / "book")
    monkeypatch.setattr(_runner()._environment, "commit", lambda: "0123456789ab-dirty")
    here = importlib.import_module("resnetbook.lab.running.registration")

    def book(commit: str) -> Path:
        monkeypatch.setattr(here, "commit", lambda: commit)
        how = {"runs": toy.path / "runs", "device": "cpu", "workers": 1, "seeds": 1}
        found = dataclasses.replace(
            toy.module.EXPERIMENT, scales={"quick": toy.module.Settings(marks=str(toy.marks))}
        )
        return run(found, **how)

    with pytest.raises(ValueError, match="toy: the code has changes that are not committed"):
        book("0123456789ab-dirty")
    with pytest.raises(ValueError, match="toy: this is no checkout"):
        book("unknown")
    with pytest.raises(ValueError, match="toy on noise, scale quick: no decision reads this record"):
        book("0123456789ab")
    assert not starts(toy)
    monkeypatch.setattr("resnetbook.survey.registration.is_registered", lambda *record: True)
    record = results.load(book("0123456789ab"))
    assert record.registration["commit"] == "0123456789ab"
    assert record.registration["seeds"] == 12
    assert len(record.registration["decisions"]) == 64
    # Elsewhere a trial may be made from any tree.
    assert results.load(toy.go()).registration["commit"] == "0123456789ab"


KILLED = """
    import sys, time
    from pathlib import Path
    sys.path.insert(0, {code!r})
    import toy_experiment
    from resnetbook.lab.running import run
    if __name__ == "__main__":
        run(toy_experiment.EXPERIMENT, seeds=2, workers=2, device="cpu", changes={{"marks": {marks!r}}},
            folder=Path({folder!r}), runs=Path({runs!r}))
"""


def wait_for(condition, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def test_a_run_goes_on_after_kill_9_and_leaves_no_process_behind(toy):
    expected = results.load(toy.go(folder=toy.path / "a", runs=toy.path / "runs-a")).results
    for file in toy.marks.iterdir():
        file.unlink()

    hang = toy.marks / "net-2.101.hang"
    hang.touch()
    script = toy.path / "killed.py"
    names = {
        "code": str(toy.path / "code"),
        "marks": str(toy.marks),
        "folder": str(toy.folder),
        "runs": str(toy.runs),
    }
    script.write_text(textwrap.dedent(KILLED).format(**names))
    process = subprocess.Popen([sys.executable, str(script)])
    jobs = lambda: len(list(toy.runs.rglob("jobs/*.json")))  # noqa: E731
    epochs = toy.marks / "net-2.101.epochs"
    wait_for(lambda: jobs() == 3 and epochs.exists() and epochs.read_text().split() == ["0", "1"])
    with pytest.raises(ExperimentFailed, match="already going on"):
        toy.go()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    workers = {int(f.read_text().split()[0]) for f in toy.marks.glob("*.started")}
    assert len(workers) == 2
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), 10)
    assert not toy.folder.exists()

    hang.unlink()
    record = results.load(toy.go())
    assert (
        record.results == expected
    )  # whatever the number of processes, to the bit, the interrupted training too
    assert epochs.read_text().split() == ["0", "1", "2", "3"]  # two epochs before the kill, two after it
    assert starts(toy)["net-2.101.started"] == 2
    assert starts(toy)["net-1.100.started"] == 1


def test_unknown_scale_count_or_device_is_named(toy):
    with pytest.raises(ValueError, match="scale='full': toy has live, quick"):
        toy.go(scale="full")
    with pytest.raises(ValueError, match="seeds=0"):
        toy.go(seeds=0)
    with pytest.raises(ValueError, match="seeds=2, workers=0: expected whole numbers of at least 1"):
        toy.go(workers=0)
    with pytest.raises(ValueError, match="device='tpu'"):
        toy.go(device="tpu")
