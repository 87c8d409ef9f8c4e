"""A training in several processes: what they are given, what they hand back, and how they end."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_FORKING = ("ddp_fork", "ddp_notebook")


def launch(fabric: Fabric, strategy: str, function: Callable[..., Any], model: nn.Module) -> tuple[Any, bool]:
    """Return what `function(fabric, model)` returned on the first device, and whether that was another process.

    The result comes through a file: Fabric's launcher waits for its processes before it reads their queue, and a process
    with more to say than a pipe holds (64 KB) waits for the reader. An exception comes through a file as well, and is raised
    here as it was there. No process is left running, whatever ends this one's wait.
    """
    before = set(multiprocessing.active_children())
    port = os.environ.get("MASTER_PORT")
    with tempfile.TemporaryDirectory(prefix="resnetbook-") as name:
        folder = Path(name)
        work = partial(
            _work, function=function, folder=folder, parent=os.getpid(), forking=strategy in _FORKING
        )
        try:
            here = fabric.launch(work, model)
        except BaseException as error:
            _end(set(multiprocessing.active_children()) - before)
            cause = None if isinstance(error, KeyboardInterrupt) else _first_error(folder)
            if cause is not None:
                raise cause from error
            raise
        finally:
            if port is None:
                os.environ.pop(
                    "MASTER_PORT", None
                )  # the launcher's; the next training looks for a free one again
        if not (folder / "result").exists():
            return here, False
        return torch.load(folder / "result", map_location="cpu", weights_only=False), True


def _work(
    fabric: Fabric,
    model: nn.Module,
    *,
    function: Callable[..., Any],
    folder: Path,
    parent: int,
    forking: bool,
) -> Any:
    if os.getpid() == parent:
        return function(fabric, model)
    if forking:
        torch.set_num_threads(
            1
        )  # the parent's threads are not here: an operation on several would wait for them for ever
    try:
        result = function(fabric, model)
    except BaseException as error:
        if isinstance(error, RuntimeError) and "gloo" in str(error):
            time.sleep(1)  # a partner is lost: the launcher should see first how that one ended
        _write_error(folder, error)
        # An interrupt as well: the launcher takes a process that it ended for one that is done.
        raise RuntimeError(f"{type(error).__name__}: {error}") from error
    if fabric.global_rank == 0:
        torch.save(result, folder / "unfinished")
        (folder / "unfinished").rename(folder / "result")
    return None


def _write_error(folder: Path, error: BaseException) -> None:
    try:
        content = pickle.dumps(error)
        pickle.loads(content)  # some classes of exceptions can be written and not read
    except Exception:
        content = pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))
    # A process may be ended while it writes, and the reader must not find half an error.
    unfinished = folder / f"unfinished-{os.getpid()}"
    unfinished.write_bytes(content)
    unfinished.rename(folder / f"error-{os.getpid()}")


def _first_error(folder: Path) -> BaseException | None:
    """Return what the first of the children to fail raised: it is the cause, the others lost their partner."""
    found = min(folder.glob("error-*"), key=lambda path: path.stat().st_mtime_ns, default=None)
    error: BaseException | None = None if found is None else pickle.loads(found.read_bytes())
    return error


def _end(processes: set[Any]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(10)
        if process.is_alive():
            process.kill()
            process.join()


class _Sender(pickle.Pickler):
    """Pickles without the content of tensors."""

    def reducer_override(self, value: Any) -> Any:
        return (int, ()) if isinstance(value, Tensor) else NotImplemented


class _Nowhere:
    def write(self, content: bytes) -> int:
        return len(content)


def check_can_be_sent(strategy: str, arguments: Mapping[str, Any]) -> None:
    """Refuse what new processes would not find again, such as a lambda.

    Raises:
        ValueError: names the argument.
    """
    for name, value in arguments.items() if strategy == "ddp_spawn" else ():
        try:
            _Sender(_Nowhere()).dump(value)
        except Exception as error:
            raise ValueError(
                f"{name}={type(value).__name__}: it cannot be sent to other processes ({error}); expected functions and "
                "classes of a module's top level, or strategy='ddp_fork'"
            ) from error
