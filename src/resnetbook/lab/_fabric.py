"""How a training meets the machine: Fabric, the progress bar, silence and determinism."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from tqdm import tqdm

from resnetbook.lab.settings import Settings, device

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def strategy(settings: Settings) -> str:
    """Return Fabric's name for the strategy that "auto" stands for; any other one as it is."""
    if settings.strategy != "auto" or settings.devices * settings.nodes == 1:
        return settings.strategy
    # torchrun and SLURM start the processes themselves; alone we start them, on this machine. A notebook's own functions
    # exist in no file that a new process could load, so it forks.
    started = "LOCAL_RANK" in os.environ or "SLURM_NTASKS" in os.environ or settings.nodes > 1
    return "ddp" if started else "ddp_notebook" if hasattr(sys, "ps1") else "ddp_spawn"


def make(settings: Settings) -> Fabric:
    """Return the Fabric for `settings`."""
    # Here, not above: it takes longer to load than torch, and a page that only evaluates needs none.
    from lightning_fabric import Fabric

    return Fabric(
        accelerator=device(settings.device).type,
        devices=settings.devices,
        num_nodes=settings.nodes,
        strategy=strategy(settings),
        precision=settings.precision,  # type: ignore[arg-type]
    )


def bar(progress: bool | str, total: int) -> Any:
    """Return a progress bar over `total` steps, see `fit`."""
    if progress == "notebook":
        from tqdm.notebook import tqdm as notebook_bar

        return notebook_bar(total=total, unit="step", leave=False)
    # disable=None: no bar, and nothing at all, where standard error is no terminal.
    return tqdm(total=total, unit="step", leave=False, disable=None if progress else True, file=sys.stderr)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Fabric's remarks on the machine out of a notebook's output."""
    logger = logging.getLogger("lightning_fabric")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning_fabric")
        try:
            yield
        finally:
            logger.setLevel(level)


@contextmanager
def deterministic() -> Iterator[None]:
    """Let cuDNN choose the same algorithm each time: without it a GPU does not resume bit for bit."""
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before
