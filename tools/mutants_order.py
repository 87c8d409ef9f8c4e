"""Plugin of pytest for the run of one mutant: quick tests first, the copy's package and no other, no run without its parent.

Its time is limited in seconds of the processor, which a busy machine does not use up.
"""

import os
import resource
import signal
import threading
import time
from pathlib import Path

import pytest


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os.killpg(os.getpgrp(), signal.SIGKILL)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the limit."""
    parser.addoption("--work", type=int, help="seconds that a process of the tests may work")


def pytest_configure(config: pytest.Config) -> None:
    """Check which package is under test; watch the parent, if this process leads a group of its own; limit its work."""
    import resnetbook

    if config.rootpath not in Path(resnetbook.__file__).parents:
        raise pytest.UsageError(
            f"resnetbook comes from {resnetbook.__file__}; expected {config.rootpath}/src"
        )
    if os.getpgrp() == os.getpid():
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    if (work := config.getoption("--work")) is not None:
        resource.setrlimit(resource.RLIMIT_CPU, (work, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put slow tests last: most mutants are killed before them."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)
