"""The book's experiments: one a file, in a folder for each section; `lab.running` says how one is written.

`run("degradation")` or `resnetbook run degradation` makes a record, `experiments()` lists them all. They stand on the roof of
the package: an experiment may import every other room, and none imports another experiment; what several need stands in
`lab` or in their section's `_shared.py`.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import Any

from resnetbook.lab import running
from resnetbook.lab.running import Experiment, ExperimentFailed

# At full scale the records that carry a chapter come first.
WORTH = (
    "degradation",
    "orders",
    "preactivation",
    "dropped_layers",
    "width_or_depth",
    "dual_path",
    "cardinality",
    "deletion",
)

__all__ = ["WORTH", "ExperimentFailed", "experiment", "experiments", "module_name", "names", "run", "verify"]


def names() -> tuple[str, ...]:
    """Return the names of all experiments, sorted."""
    return tuple(sorted(_modules()))


def module_name(name: str) -> str:
    """Return the dotted name of the module of the experiment called `name`; nothing is imported.

    Raises:
        ValueError: there is none; the message lists those there are.
    """
    known = _modules()
    if name not in known:
        raise ValueError(f"experiment={name!r}: expected one of {', '.join(sorted(known))}")
    return known[name]


def experiment(name: str) -> Experiment:
    """Return the experiment called `name`; only its own module is imported.

    Raises:
        ValueError: there is none; the message lists those there are.
    """
    module = module_name(name)
    found = importlib.import_module(module).EXPERIMENT
    if not isinstance(found, Experiment) or found.name != name:
        raise ValueError(f"{module}: EXPERIMENT is no Experiment called {name!r}")
    return found


def experiments() -> tuple[Experiment, ...]:
    """Return all experiments of the package, sorted by name."""
    return tuple(experiment(name) for name in names())


def run(name: str, **how: Any) -> Path:
    """Run an experiment and return the path of its record; `lab.running.run` tells the arguments."""
    return running.run(experiment(name), **how)


def verify(name: str, **how: Any) -> list[running.Check]:
    """Run one seed of each arm again and compare it with the record; `lab.running.verify` tells the arguments."""
    return running.verify(experiment(name), **how)


def _modules() -> dict[str, str]:
    """Return the dotted names of the experiments' modules, by the experiments' names."""
    dotted = (each.name for each in pkgutil.walk_packages(__path__, __name__ + ".") if not each.ispkg)
    return {last: each for each in dotted if not (last := each.rpartition(".")[2]).startswith("_")}
