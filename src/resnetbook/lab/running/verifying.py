"""Run one seed of each arm again and compare it with its record: what a change of code asks for, in place of all seeds."""

from __future__ import annotations

import dataclasses
import math
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from resnetbook.lab import results
from resnetbook.lab.running import environment, jobs
from resnetbook.lab.running.code import code_hash
from resnetbook.lab.running.experiment import Context, Experiment, from_record
from resnetbook.lab.running.jobs import ExperimentFailed
from resnetbook.lab.running.runner import record_path

# Another processor, or another version of torch, sums in another order, and training carries the difference on.
TOLERANCE = 0.05
SAME = ("device", "torch", "numpy")


class Check(NamedTuple):
    """One metric of one arm: the largest difference, relative to 1 or to the recorded value where that is larger."""

    arm: str
    metric: str
    difference: float


def verify(
    found: Experiment,
    *,
    scale: str = "quick",
    changes: Mapping[str, str] | None = None,
    seed: int | None = None,
    device: str = "auto",
    workers: int | None = None,
    folder: Path | None = None,
    renew: bool = True,
) -> list[Check]:
    """Run one seed of each arm with the recorded settings and rates; return how far each metric is from the record.

    On the same kind of processor with the same versions a verified record is equal to the last bit; elsewhere each metric lies
    within `TOLERANCE`. Then the record's code hash is renewed and the record says when and how it was verified. Times and
    memory (`Experiment.timed`) are not compared.

    Args:
        found: the experiment.
        scale: "quick" or "full".
        changes: `{"data": ...}` names one of its other sets.
        seed: one of the record's; its first by default.
        device: "auto", "cpu" or "cuda".
        workers: processes; by default all processors on a CPU, one on a GPU.
        folder: where the record lies, by default `data/results`.
        renew: write the new hash into a record that was verified.

    Raises:
        ValueError: there is no such record or seed, or a metric differs; the message names the worst.
        ExperimentFailed: jobs failed.
    """
    from resnetbook.lab.training import device as find_device

    path = record_path(found, scale=scale, changes=changes, folder=folder)
    if not path.is_file():
        raise ValueError(f"{path.name}: not run yet, there is nothing to verify")
    record = results.load(path)
    seed = record.seeds[0] if seed is None else seed
    if seed not in record.seeds:
        raise ValueError(f"seed={seed!r}: expected one of the record's, {', '.join(map(str, record.seeds))}")
    kind = find_device(device).type
    workers = workers or (environment.processors() if kind == "cpu" else 1)
    here = environment.describe(kind, workers=workers, code=code_hash(found))
    values = _again(found, record, seed, kind, workers)
    equal = all(here[name] == record.environment.get(name) for name in SAME)
    checks = [
        Check(arm, metric, _difference(values[arm].get(metric), column[record.seeds.index(seed)]))
        for arm, metrics in record.results.items()
        for metric, column in metrics.items()
        if not any(part in metric for part in found.timed)
    ]
    worst = max(checks, key=lambda check: check.difference)
    allowed = 0.0 if equal else TOLERANCE
    if not worst.difference <= allowed:
        wanted = "equal to the last bit" if equal else f"within {TOLERANCE:g} on another machine"
        raise ValueError(
            f"{path.name}: {worst.arm}, {worst.metric} differs by {worst.difference:.2g} at seed {seed}, expected {wanted}: "
            "the code gives other numbers now; make the record again (--force)"
        )
    if renew:
        how = {"seed": seed, "equal": "to the last bit" if equal else f"within {TOLERANCE:g}"}
        verified = {"on": datetime.now(UTC).strftime("%Y-%m-%d"), "commit": here["commit"], **how}
        renewed = {**record.environment, "code": here["code"], "verified": verified}
        results.write(dataclasses.replace(record, environment=renewed), path)
    return checks


def _again(
    found: Experiment, record: results.Record, seed: int, device: str, workers: int
) -> dict[str, Mapping[str, Any]]:
    """Run `seed` of each arm and return the metrics by arm."""
    settings, errors = from_record(found, record.scale, record.variant, record.settings), list[str]()
    with tempfile.TemporaryDirectory() as folder:
        tasks = [
            jobs.Job(
                found.run,
                settings,
                arm,
                seed,
                Context(
                    device, Path(folder) / "checkpoints" / f"{number}.pt", False, record.tuned.get(arm, {})
                ),
                Path(folder) / f"{number}.json",
            )
            for number, arm in enumerate(record.arms)
        ]

        def finished(job: jobs.Job, error: str | None) -> None:
            if error is not None:
                errors.append(f"{job}: {error}")

        jobs.work(tasks, min(workers, len(tasks)), finished)
        if errors:
            raise ExperimentFailed(f"{found.name}: {'; '.join(errors[:3])}")
        return {job.arm: (job.result() or {})["values"] for job in tasks}


def _difference(now: Any, then: Any) -> float:
    """Return the largest difference of two metrics, relative to the recorded size where that exceeds 1."""
    if isinstance(then, list) or isinstance(now, list):
        if not (isinstance(then, list) and isinstance(now, list) and len(then) == len(now)):
            return math.inf
        return max(map(_difference, now, then), default=0.0)
    if now is None or then is None:
        return 0.0 if now is then else math.inf
    return abs(float(now) - float(then)) / max(1.0, abs(float(then)))
