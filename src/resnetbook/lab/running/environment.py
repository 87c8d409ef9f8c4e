"""What a record says of the machine: kinds and versions, never names or paths."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import resnetbook


def processors() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe(device: str, *, workers: int, code: str) -> dict[str, Any]:
    """Return device, processors, versions, commit and code hash of a run on `device` ("cpu" or "cuda")."""
    import torch

    return {
        "device": torch.cuda.get_device_name() if device == "cuda" else _processor(),
        "cores": processors(),
        "threads": torch.get_num_threads() if device == "cuda" else 1,
        "workers": workers,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: _version(name) for name in ("torch", "numpy", "lightning-fabric")},
        "resnetbook": resnetbook.__version__,
        "commit": commit(),
        "code": code,
    }


def peak_memory_mb(device: str) -> float:
    """Return the peak so far: of this process on the CPU, of torch's tensors on a GPU (10^6 bytes)."""
    if device == "cuda":
        import torch

        return torch.cuda.max_memory_allocated() / 1e6
    if sys.platform == "win32":
        return float("nan")
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def commit() -> str:
    """Return the commit of the checkout, with "-dirty" where its code differs from it; "unknown" without one.

    A copy without `.git` has it from `prepared.json` (`resnetbook full --prepare`).
    """
    from resnetbook.lab.running import prepared

    root = Path(resnetbook.__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return prepared.commit(root)
    head = _git(root, "rev-parse", "--short=12", "HEAD")
    if not head:
        return "unknown"
    # Only the code: a run that writes one record must not make the next one look dirty.
    return head + ("-dirty" if _git(root, "status", "--porcelain", "--", "src") else "")


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def _processor() -> str:
    """Return the processor's model, e.g. as /proc/cpuinfo gives it."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found.group(1).strip() if found else platform.processor() or platform.machine()
