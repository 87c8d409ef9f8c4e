"""Records at full scale for as long as the minutes last: in the order of their worth, in parts, several seeds side by side."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from resnetbook.lab import results
from resnetbook.lab.running import environment
from resnetbook.lab.running.experiment import Experiment
from resnetbook.lab.running.jobs import ExperimentFailed, OutOfTime
from resnetbook.lab.running.runner import is_made, record_path, run

SIDE_BY_SIDE = 8  # processes on one card: networks this small leave most of it idle


class Outcome(NamedTuple):
    """What became of one record: `state` is "made", "there already", "in parts", "failed" or "not begun"."""

    record: str
    state: str
    minutes: float
    note: str = ""


def plan(found: Sequence[Experiment], first: Sequence[str] = ()) -> list[tuple[Experiment, dict[str, str]]]:
    """Return the records at full scale in the order of their worth, each as experiment and changes.

    Args:
        found: the experiments; those without a full scale are left out.
        first: names of those that come first, in this order.
    """
    order = {name: number for number, name in enumerate(first)}
    able = sorted(
        (each for each in found if "full" in each.scales),
        key=lambda each: (order.get(each.name, len(order)), each.name),
    )
    return [
        (each, changes)
        for each in able
        for changes in ({}, *({"data": settings.data} for settings in each.variants.get("full", ())))
    ]


def full(
    records: Sequence[tuple[Experiment, dict[str, str]]],
    *,
    minutes: float,
    output: Path,
    device: str = "auto",
    workers: int | None = None,
    changes: dict[str, str] | None = None,
    seeds: int | None = None,
    tell: Callable[[Outcome], None] = lambda outcome: None,
) -> list[Outcome]:
    """Make records at full scale until the minutes are spent; call it again with the same `output` to go on.

    Each record that is expected to fit into the time that is left is made, in the order given; when none fits, the first is
    begun all the same, since its parts are kept. Nothing that was computed is lost: finished jobs lie in `output`/runs, and a
    training that was cut off goes on from its last epoch.

    Args:
        records: as `plan` gives them.
        minutes: time to spend.
        output: folder for records (`output`/results) and parts (`output`/runs).
        device: "auto", "cpu" or "cuda".
        workers: processes side by side; by default 8 on a GPU, all processors on a CPU.
        changes: settings to change in each, for tests and trials.
        seeds: how many; by default the registered number.
        tell: called with each outcome.

    Raises:
        ValueError: `minutes` is not positive, or the code is not the committed one (`--prepare` for a copy without git).
    """
    from resnetbook.lab.training import device as find_device

    if not minutes > 0:
        raise ValueError(f"minutes={minutes!r}: expected a positive number")
    end = time.monotonic() + 60 * minutes
    kind = find_device(device).type
    workers = workers or (SIDE_BY_SIDE if kind == "cuda" else environment.processors())
    folder, runs = output / "results", output / "runs"
    waiting, outcomes = list(records), list[Outcome]()

    def done(outcome: Outcome) -> None:
        outcomes.append(outcome)
        tell(outcome)

    while waiting and (left := (end - time.monotonic()) / 60) > 0:
        fits = [pair for pair in waiting if expected(pair[0], runs, workers) <= left]
        found, own = (fits or waiting)[0]
        waiting.remove((found, own))
        merged, started = {**(changes or {}), **own}, time.monotonic()
        name = record_path(found, scale="full", changes=merged, folder=folder).name

        def spent(since: float = started) -> float:
            return (time.monotonic() - since) / 60

        try:
            if is_made(found, scale="full", changes=merged, folder=folder, seeds=seeds):
                done(Outcome(name, "there already", 0.0))
                continue
            run(
                found,
                scale="full",
                seeds=seeds,
                device=device,
                changes=merged,
                workers=workers,
                standard=changes is None,
                progress=False,
                until=end,
                folder=folder,
                runs=runs,
            )
            done(Outcome(name, "made", spent()))
        except OutOfTime as error:
            done(Outcome(name, "in parts", spent(), str(error)))
        except (ExperimentFailed, OSError) as error:  # a set that is missing costs its own record only
            done(Outcome(name, "failed", spent(), " ".join(str(error).split())))
    for found, own in waiting:
        merged = {**(changes or {}), **own}
        name = record_path(found, scale="full", changes=merged, folder=folder).name
        done(Outcome(name, "not begun", 0.0))
    return outcomes


def expected(found: Experiment, runs: Path, workers: int) -> float:
    """Return the minutes that a record is expected to take still: by its finished jobs, before these by the experiment's word."""
    whole = found.minutes.get("full", 4.0)
    settings = found.standard("full")
    jobs = len(found.arms(settings)) * found.seeds["full"]
    stem = Path(results.file_name(found.name, getattr(settings, "data", None), "full")).stem
    finished = [json.loads(file.read_text()) for file in runs.glob(f"{stem}-*/jobs/*.json")]
    compared = [each["seconds"] for each in finished if each["seed"] >= 100]
    if not compared:
        return whole
    return sum(compared) / len(compared) * max(0, jobs - len(compared)) / workers / 60
