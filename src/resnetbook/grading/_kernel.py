"""What runs inside the kernel: limits before anything else, then ipykernel, and the way a value leaves it.

This module is trusted in nothing. Whoever owns the kernel can replace all of it, and gains one thing: to send a
value of their choice. The value must equal a reference that this process never sees.
"""

from __future__ import annotations

import contextlib
import json
import operator
import random
import sys
from collections import Counter
from typing import Any

from resnetbook.grading.operands import OTHER, plain
from resnetbook.grading.values import MIME, encode

__all__ = ["begin", "compare", "disturb", "finish", "main", "pair", "publish", "truth"]

_OPERATIONS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda left, right: left in right,
    "not in": lambda left, right: left not in right,
}
_SHOWN = 50  # comparisons of one assert that are shown: it may stand in a long loop
_SHOWN_BYTES = 1_000_000  # all comparisons of a check together
_shown: list[list[Any]] = []
_counts: Counter[int] = Counter()


def publish(data: Any) -> None:
    """Send JSON to the grader, under a MIME type of its own."""
    from ipykernel.kernelapp import IPKernelApp

    shell: Any = IPKernelApp.instance().shell
    shell.display_pub.publish(data={MIME: data}, metadata={})


def begin() -> None:
    """Begin a check: nothing has been compared yet."""
    _shown.clear()
    _counts.clear()


def _show(number: int, sign: str, left: Any, right: Any) -> None:
    _counts[number] += 1
    if _counts[number] <= _SHOWN:
        record = [number, sign, plain(left), plain(right)]
        _counts[0] += len(json.dumps(record))
        if _counts[0] > _SHOWN_BYTES:
            record[2:] = [{OTHER: "large"}, {OTHER: "large"}]
        _shown.append(record)


def compare(number: int, sign: str, left: Any, right: Any) -> Any:
    """Compare for an assert, and show what was compared."""
    _show(number, sign, left, right)
    return _OPERATIONS[sign](left, right)


def truth(number: int, value: Any) -> Any:
    """Show the value whose truth an assert asks for."""
    _show(number, "true", value, None)
    return value


def pair(number: int, left: Any, right: Any) -> tuple[Any, Any]:
    """Show the two values that a function is to hold equal."""
    _show(number, "==", left, right)
    return left, right


def finish(token: str, value: Any, loose: bool) -> None:
    """End a check: send its token, what was compared, and its last value.

    Raises:
        TypeError, ValueError: the value cannot be judged, and `loose` does not allow for that.
    """
    try:
        last = encode(value)
    except (TypeError, ValueError):
        if not loose:
            raise
        last = {OTHER: type(value).__name__}
    publish([token, _shown, last])


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
    from ipykernel.kernelapp import IPKernelApp

    from resnetbook.grading._lenient import soften

    app: Any = IPKernelApp.instance()
    app.initialize()
    soften(app.shell)
    app.start()
