"""What runs inside the kernel: limits before anything else, then ipykernel, and the way a value leaves it.

This module is trusted in nothing. Whoever owns the kernel can replace all of it, and gains one thing: to send a
value of their choice. The value must equal a reference that this process never sees.
"""

from __future__ import annotations

import contextlib
import json
import random
import sys
from typing import Any

from resnetbook.grading.values import MIME, encode

__all__ = ["disturb", "main", "publish"]


def publish(value: Any) -> None:
    """Send the value of a check to the grader as JSON, under a MIME type of its own.

    Raises:
        TypeError: the value is of a type that cannot be judged.
        ValueError: the value is too large.
    """
    from ipykernel.kernelapp import IPKernelApp

    data = encode(value)
    shell: Any = IPKernelApp.instance().shell
    shell.display_pub.publish(data={MIME: data}, metadata={})


def disturb(seed: int) -> None:
    """Set the global random generators to a seed: a check that depends on them shows itself by another value."""
    random.seed(seed)
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None:
        numpy.random.seed(seed % 2**32)
    if torch is not None:
        torch.manual_seed(seed)


def limit(memory_mb: int, cpu_seconds: int, file_mb: int) -> None:
    """Limit this process: address space, processor time, size of a file, no core dump; die with the parent.

    Where the platform has no such limits (Windows), nothing happens; each limit is set on its own.
    """
    try:
        import resource
    except ImportError:
        return
    wanted = {
        resource.RLIMIT_AS: memory_mb << 20,
        resource.RLIMIT_CPU: cpu_seconds,
        resource.RLIMIT_FSIZE: file_mb << 20,
        resource.RLIMIT_CORE: 0,
    }
    for kind, value in wanted.items():
        with contextlib.suppress(
            OSError, ValueError
        ):  # macOS refuses RLIMIT_AS; a lower hard limit may stand
            resource.setrlimit(kind, (value, value))
    with contextlib.suppress(OSError, AttributeError):  # Linux: a killed grader leaves no spinning kernel
        import ctypes

        ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG, SIGKILL


def main() -> None:
    """Start the kernel: the first argument holds the limits as JSON, the others are ipykernel's."""
    limit(**json.loads(sys.argv.pop(1)))
    from ipykernel.kernelapp import launch_new_instance

    launch_new_instance()
