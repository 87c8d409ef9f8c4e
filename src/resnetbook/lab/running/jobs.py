"""Jobs over processes: each finished job is a file at once, and a failure or a kill costs that job alone."""

from __future__ import annotations

import contextlib
import json
import math
import multiprocessing
import os
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from resnetbook.lab._files import write_atomically
from resnetbook.lab.results import plain
from resnetbook.lab.running.environment import peak_memory_mb
from resnetbook.lab.running.experiment import Context


@dataclass(frozen=True)
class Job:
    """One call of an experiment's `run` or `score`; its result goes to `file`. `trial` names the rate that is tried."""

    function: Callable[..., Any]
    settings: Any
    arm: str
    seed: int
    context: Context
    file: Path
    trial: str = ""

    def __str__(self) -> str:
        return f"{self.arm}, {self.trial}seed {self.seed}"

    def result(self) -> dict[str, Any] | None:
        """Return what the finished job wrote (values, seconds, peak_memory_mb), None where it has not finished."""
        try:
            content: dict[str, Any] = json.loads(self.file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return content


Finished = Callable[[Job, "str | None"], None]


class ExperimentFailed(RuntimeError):
    """Some jobs failed; the finished ones are kept, and the next run repeats only the others."""


class OutOfTime(RuntimeError):
    """The time was spent before all jobs were done; the finished ones are kept, a cut training goes on from its last epoch."""


def work(jobs: Sequence[Job], workers: int, finished: Finished, until: float = math.inf) -> None:
    """Run all jobs, `workers` at a time; `finished(job, error)` is told of each one, `error` None where it went well.

    One worker is this process. Several are processes of their own, with one thread each on the CPU. At `until`
    (`time.monotonic`) what still runs in processes of its own is ended; this process ends after the job at hand.

    Raises:
        OutOfTime: the time was spent before the end.
    """
    if workers == 1:
        for number, job in enumerate(jobs):
            _check(until, len(jobs) - number)
            finished(job, _run(job))
        return
    waiting, suspects = deque(jobs), []
    while waiting:
        suspects += _pool(waiting, workers, finished, until)
    # A process that dies takes the pool with it. Alone, each job that was in flight shows whether it is to blame.
    for job in suspects:
        if _pool(deque([job]), 1, finished, until):
            finished(job, "its process died: killed, or out of memory")


def _check(until: float, left: int) -> None:
    if time.monotonic() >= until:
        raise OutOfTime(f"{left} jobs were not done when the time was spent; the same command goes on")


def _pool(waiting: deque[Job], workers: int, finished: Finished, until: float) -> list[Job]:
    """Take jobs from `waiting` until none is left or a process dies; return those that were in flight then."""
    spawn = multiprocessing.get_context("spawn")
    lifeline, held = spawn.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, mp_context=spawn, initializer=_start, initargs=(lifeline,))
    running: dict[Future[str | None], Job] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                running[pool.submit(_run, waiting[0])] = waiting[0]
                waiting.popleft()
            left = None if math.isinf(until) else max(0.0, until - time.monotonic())
            for future in wait(running, left, FIRST_COMPLETED).done:
                error = future.result()
                finished(running.pop(future), error)
            if waiting or running:
                _check(until, len(waiting) + len(running))
        pool.shutdown()
    except BrokenProcessPool:
        return list(running.values())
    finally:
        held.close()  # ends what still runs, after an interrupt say
        pool.shutdown(cancel_futures=True)
        lifeline.close()
    return []


def _start(lifeline: Connection) -> None:
    """Prepare a worker: one thread, and an end as soon as the process that holds the lifeline is gone."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"

    def watch() -> None:
        with contextlib.suppress(EOFError, OSError):
            lifeline.recv()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _run(job: Job) -> str | None:
    """Do one job and write its file; return None, or what went wrong in one line."""
    started = time.perf_counter()
    try:
        job.context.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        with _one_thread(job.context.device):
            values = job.function(job.settings, job.arm, job.seed, job.context)
        if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
            raise TypeError(
                f"{job.function.__name__} returned {values!r}, expected a dict of metrics by name"
            )
        result = {"arm": job.arm, "seed": job.seed, "values": plain(values)}
        result |= {"seconds": time.perf_counter() - started}
        result |= {"peak_memory_mb": peak_memory_mb(job.context.device)}
        write_atomically(job.file, json.dumps(result, allow_nan=False).encode())
    except Exception as error:
        write_atomically(job.file.with_suffix(".error.txt"), traceback.format_exc().encode())
        return " ".join(f"{type(error).__name__}: {error}".split())
    job.file.with_suffix(".error.txt").unlink(missing_ok=True)
    for leftover in job.context.checkpoint.parent.glob(f"{job.context.checkpoint.stem}.*"):
        leftover.unlink()
    return None


@contextlib.contextmanager
def _one_thread(device: str) -> Iterator[None]:
    """Compute with one thread: sums are then the same for any number of workers."""
    import torch

    before = torch.get_num_threads()
    if device == "cpu":
        torch.set_num_threads(1)
    else:
        torch.cuda.reset_peak_memory_stats()
    try:
        yield
    finally:
        torch.set_num_threads(before)
