"""Run an experiment: jobs (arm, seed) over processes, kept one by one, put together into a record."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tqdm import tqdm

from resnetbook.lab import results
from resnetbook.lab._files import runs_dir
from resnetbook.lab.running import environment as _environment
from resnetbook.lab.running import jobs as _jobs
from resnetbook.lab.running import registration, tuning
from resnetbook.lab.running._folder import Clock, alone
from resnetbook.lab.running.code import code_hash
from resnetbook.lab.running.experiment import Context, Experiment
from resnetbook.lab.running.jobs import ExperimentFailed, Job, OutOfTime

FIRST_SEED = (
    100  # below it are seeds that were seen before version 2 of the ledger, and those that choose rates
)


__all__ = ["FIRST_SEED", "ExperimentFailed", "OutOfTime", "is_made", "plain_dict", "record_path", "run"]


def run(
    found: Experiment,
    *,
    scale: str = "quick",
    seeds: int | None = None,
    device: str = "auto",
    changes: Mapping[str, str] | None = None,
    workers: int | None = None,
    folder: Path | None = None,
    runs: Path | None = None,
    force: bool | None = None,
    progress: bool = True,
    standard: bool | None = None,
    until: float = math.inf,
) -> Path:
    """Run an experiment and return the path of its record; `results.load` reads it.

    Each arm's learning rate is chosen (`tuning`), then it is run with the seeds 100, 101, ... (0, 1, ... at scale "live").
    Finished jobs are kept in `runs`, so that a run goes on where it was killed. A record with equal settings and at least
    these seeds is not made again; where the code has changed since, `verify` tells whether it still holds.

    Args:
        found: the experiment; other processes must be able to import its functions.
        scale: "live", "quick" or "full".
        seeds: how many; by default as many as the experiment registers.
        device: "auto", "cpu" or "cuda".
        changes: settings to change, as text: {"epochs": "4"}.
        workers: processes; by default all processors on the CPU, one on a GPU or at scale "live". One is this process.
        folder: where the record goes: by default `data/results`, or `runs` for a live run or one with changed settings.
        runs: where unfinished runs are kept: by default `runs/` in a checkout, else the user's cache.
        force: True makes an existing record again; by default only a live run is.
        progress: show a bar over the jobs where standard error is a terminal.
        standard: whether it is to be a record of the book, made from committed code after a decision; by default it is where
            it goes to `data/results`.
        until: end then (`time.monotonic`), with what is finished kept.

    Raises:
        OutOfTime: `until` came before the end.
        ValueError: unknown scale, setting or device; or a record of the book is asked for from a tree whose code is not
            committed, or before a decision that reads it.
        ExperimentFailed: jobs failed, or this run is already going on in another process.
    """
    from resnetbook.lab.training import device as find_device

    settings = found.settings(scale, changes)
    count = found.seeds[scale] if seeds is None else seeds
    if count < 1 or (workers is not None and workers < 1):
        raise ValueError(f"seeds={seeds!r}, workers={workers!r}: expected whole numbers of at least 1")
    first = 0 if scale == "live" else FIRST_SEED
    numbers = range(first, first + count)
    kind, code = find_device(device).type, code_hash(found)
    path = record_path(found, scale=scale, changes=changes, folder=folder, runs=runs)
    again = scale == "live" if force is None else force
    if not again and _is_made(path, settings, numbers):
        return path
    if standard is None:
        standard = folder is None and path.parent == results.folder()
    registered = registration.of(found, getattr(settings, "data", None), scale, standard=standard)
    if workers is None:
        workers = 1 if kind != "cpu" or scale == "live" else _environment.processors()

    environment = _environment.describe(kind, workers=workers, code=code)
    partial = (runs or runs_dir()) / f"{path.stem}-{_key(settings, environment)}"
    with alone(partial):
        unfinished = partial / "unfinished"  # tells a run that was killed from one that is complete
        if again and (scale == "live" or not unfinished.exists()):
            shutil.rmtree(partial / "jobs", ignore_errors=True)
            shutil.rmtree(partial / "checkpoints", ignore_errors=True)
            (partial / "seconds.json").unlink(missing_ok=True)
        unfinished.touch()
        # The data first: where a set is missing no job should start.
        data = plain_dict(found.data(settings)) if found.data is not None else {}
        jobs, tuned, seconds = _run_jobs(found, settings, numbers, kind, workers, partial, progress, until)
        record = _record(found, settings, scale, numbers, jobs, tuned, data, environment, registered, seconds)
        results.write(record, path)
        unfinished.unlink()
    return path


def record_path(
    found: Experiment,
    *,
    scale: str = "quick",
    changes: Mapping[str, str] | None = None,
    folder: Path | None = None,
    runs: Path | None = None,
) -> Path:
    """Return where `run` writes the record; it need not exist."""
    settings = found.settings(scale, changes)
    variant = getattr(settings, "data", None)
    standard = dataclasses.asdict(found.standard(scale, variant))
    changed = {key: value for key, value in dataclasses.asdict(settings).items() if value != standard[key]}
    changed.pop("data", None)  # the name says it already
    if folder is None:
        folder = (runs or runs_dir()) if changed or scale == "live" else results.folder()
    return folder / results.file_name(found.name, variant, scale, changed)


def _run_jobs(
    found: Experiment,
    settings: Any,
    seeds: Sequence[int],
    device: str,
    workers: int,
    folder: Path,
    progress: bool,
    until: float,
) -> tuple[list[Job], dict[str, Any], float]:
    """Run what is not finished yet: first each arm's trials, then all seeds; return jobs, tuned values and seconds."""
    arms = tuple(found.arms(settings))
    clock, errors = Clock(folder / "seconds.json"), list[str]()

    def job(arm: str, seed: int, tuned: Mapping[str, Any], rate: float | None = None) -> Job:
        part = f"{seed}" if rate is None else f"{seed}.rate-{rate:g}"
        label = f"{re.sub(r'[^A-Za-z0-9_-]+', '_', arm)}-{arms.index(arm)}.{part}"
        context = Context(device, folder / "checkpoints" / f"{label}.pt", False, tuned)
        function = found.run if rate is None else found.score
        assert function is not None
        trial = "" if rate is None else f"rate {rate:g}, "
        return Job(function, settings, arm, seed, context, folder / "jobs" / f"{label}.json", trial)

    silent = None if progress else True
    with tqdm(
        total=len(arms) * len(seeds), unit="job", desc=found.name, disable=silent, file=sys.stderr
    ) as bar:

        def finished(done: Job, error: str | None) -> None:
            if error is not None:
                errors.append(f"{done}: {error}")
            clock.save()
            bar.set_postfix_str(f"{done}{'' if error is None else ' failed'}")
            bar.update()

        def complete(jobs: list[Job]) -> None:
            missing = [item for item in jobs if item.result() is None]
            bar.update(len(jobs) - len(missing))
            _jobs.work(missing, min(workers, max(1, len(missing))), finished, until)

        def score(
            trials: list[tuple[str, float, int]],
        ) -> dict[tuple[str, float, int], dict[str, float | None]]:
            bar.total = (bar.total or 0) + len(trials)
            jobs = {
                (arm, rate, seed): job(arm, seed, {"learning_rate": rate}, rate) for arm, rate, seed in trials
            }
            complete(list(jobs.values()))
            return {
                key: found["values"] for key, item in jobs.items() if (found := item.result()) is not None
            }

        tuned = {}
        if found.score is not None:
            to_tune = found.tuned_arms(settings) if found.tuned_arms is not None else arms
            tuned = tuning.tune(dict.fromkeys(to_tune, tuple(settings.rates)), score)
            ready = [arm for arm in arms if arm in tuned or arm not in to_tune]
        else:
            ready = list(arms)
        jobs = [job(arm, seed, tuned.get(arm, {})) for seed in seeds for arm in ready]
        complete(jobs)
    if errors:
        shown = "; ".join(errors[:3])
        raise ExperimentFailed(
            f"{found.name}: {len(errors)} of {bar.total} jobs failed ({shown}{'; ...' if len(errors) > 3 else ''}). "
            "The finished ones are kept: the same command repeats only what failed."
        )
    return jobs, tuned, clock.seconds()


def _record(
    found: Experiment,
    settings: Any,
    scale: str,
    seeds: Sequence[int],
    jobs: Sequence[Job],
    tuned: Mapping[str, Any],
    data: Mapping[str, Any],
    environment: Mapping[str, Any],
    registered: Mapping[str, Any],
    seconds: float,
) -> results.Record:
    done = {(job.arm, job.seed): job.result() or {} for job in jobs}
    table: dict[str, dict[str, list[Any]]] = {}
    outcomes: dict[str, dict[str, dict[str, str]]] = {}
    images: set[int] = set()
    for arm in found.arms(settings):
        by_seed = [dict(done[arm, seed]["values"]) for seed in seeds]
        by_image = [values.pop("outcomes", {}) for values in by_seed]
        metrics = dict.fromkeys(metric for values in by_seed for metric in values)
        table[arm] = {metric: [values.get(metric) for values in by_seed] for metric in metrics}
        for metric in by_image[0]:
            rows = [each[metric] for each in by_image]
            images |= {len(row) for row in rows}
            outcomes.setdefault(arm, {})[metric] = results.pack(rows)
    if len(images) > 1:
        raise ExperimentFailed(f"{found.name}: outcomes of {sorted(images)} test images, expected one number")
    about = {"count": images.pop(), "groups": data.get("groups")} if images else {}
    return results.Record(
        experiment=found.name,
        variant=getattr(settings, "data", None),
        scale=scale,
        settings=dataclasses.asdict(settings),
        seeds=tuple(seeds),
        results=table,
        tuned=tuned,
        outcomes=outcomes,
        images=about,
        registration=registered,
        data={key: value for key, value in data.items() if key != "groups"},
        environment=environment,
        seconds=round(seconds, 1),
        peak_memory_mb=round(max(each["peak_memory_mb"] for each in done.values()), 1),
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def is_made(
    found: Experiment,
    *,
    scale: str,
    changes: Mapping[str, str] | None = None,
    folder: Path | None = None,
    seeds: int | None = None,
) -> bool:
    """Return whether the record that `run` would make is there already."""
    count = found.seeds[scale] if seeds is None else seeds
    path = record_path(found, scale=scale, changes=changes, folder=folder)
    return _is_made(path, found.settings(scale, changes), range(FIRST_SEED, FIRST_SEED + count))


def _is_made(path: Path, settings: Any, seeds: Sequence[int]) -> bool:
    if not path.is_file():
        return False
    record = results.load(path)
    same = record.settings == plain_dict(dataclasses.asdict(settings)) and bool(record.registration)
    return same and set(seeds) <= set(record.seeds)


def plain_dict(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return `value` as JSON gives it back: tuples are lists."""
    result: dict[str, Any] = results.plain(value)
    return result


def _key(settings: Any, environment: Mapping[str, Any]) -> str:
    """Return what finished jobs must share to stand in one record: settings, code, device, torch."""
    parts = [dataclasses.asdict(settings), *(environment[name] for name in ("code", "device", "torch"))]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:10]
