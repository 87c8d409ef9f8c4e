"""What an experiment is, and how its settings are changed by name."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

SCALES = ("live", "quick", "full")
SEEDS: Mapping[str, int] = {"live": 2, "quick": 12, "full": 5}


@dataclass(frozen=True)
class Context:
    """What a job is given beside its settings, arm and seed.

    `device` is "cpu" or "cuda"; `checkpoint` a file of this job's own for `fit`; `tuned` what was chosen for the arm.
    """

    device: str
    checkpoint: Path
    progress: bool = False
    tuned: Mapping[str, Any] = field(default_factory=dict)

    def checkpoint_for(self, part: str) -> Path:
        """Return a checkpoint file for one of several trainings in this job."""
        return self.checkpoint.with_name(f"{self.checkpoint.stem}.{part}{self.checkpoint.suffix}")


@dataclass(frozen=True)
class Experiment:
    """A comparison of arms over seeds; the package's docstring shows how to write one.

    Args:
        name: the module's name.
        title: one line for lists and tables.
        claims: ids of the claims it decides, e.g. ("C03",).
        scales: settings (a frozen dataclass) for "live", "quick" and "full", or for some of them.
        arms: function of the settings: the names of the arms.
        run: function of (settings, arm, seed, context): metrics of this job, numbers or lists of numbers; under "outcomes" a
            dict of each test image's share in a metric, by the metric's name.
        score: function of (settings, arm, seed, context), for arms with a learning rate to choose: what the rate in
            `context.tuned` scores, a dict of numbers of which lower is better. The runner tries `settings.rates` with three
            seeds of its own, goes on beyond an edge, and gives `run` the best for each name as `context.tuned["chosen"]`, the
            best for the first as `context.tuned["learning_rate"]`.
        tuned_arms: function of the settings: the arms that have a rate to choose; all of them by default.
        data: function of the settings: name, checksum and split of the data, for the record; under "groups" the patient of
            each test image where there are patients.
        variants: further data sets at a scale, e.g. {"quick": (Settings(data="wbc", size=32),)}: what
            `--set data=wbc` then means. Runs with any other change are kept apart from the book's records.
        seeds: the registered number of seeds at each scale.
        minutes: about how long a record takes at a scale, on 2 cores or one GPU, before there is one.
        module: dotted name of the module whose imports lead to all code that decides the numbers; by default that of `run`.
        timed: parts of the names of metrics that are times of the machine, which no repeat gives again to the digit.
    """

    name: str
    title: str
    claims: tuple[str, ...]
    scales: Mapping[str, Any]
    arms: Callable[[Any], Sequence[str]]
    run: Callable[[Any, str, int, Context], Mapping[str, Any]]
    score: Callable[[Any, str, int, Context], Mapping[str, float]] | None = None
    tuned_arms: Callable[[Any], Sequence[str]] | None = None
    data: Callable[[Any], Mapping[str, Any]] | None = None
    variants: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    seeds: Mapping[str, int] = field(default_factory=lambda: SEEDS)
    minutes: Mapping[str, float] = field(default_factory=dict)
    module: str = ""
    timed: tuple[str, ...] = ("second", "time", "step_ratio")

    def __post_init__(self) -> None:
        if not self.module:
            object.__setattr__(self, "module", self.run.__module__)

    def standard(self, scale: str = "quick", data: str | None = None) -> Any:
        """Return the unchanged settings of `scale`, for the data set `data` where the experiment knows it.

        Raises:
            ValueError: the experiment has no such scale.
        """
        if scale not in self.scales:
            raise ValueError(f"scale={scale!r}: {self.name} has {', '.join(self.scales)}")
        known = [settings for settings in self.variants.get(scale, ()) if settings.data == data]
        return known[0] if known else self.scales[scale]

    def settings(self, scale: str = "quick", changes: Mapping[str, str] | None = None) -> Any:
        """Return the settings of `scale` with `changes` (field: text) applied.

        Raises:
            ValueError: unknown scale or field, or a text that is not of the field's type.
        """
        return change(self.standard(scale, (changes or {}).get("data")), changes or {})


def from_record(found: Experiment, scale: str, variant: str | None, stored: Mapping[str, Any]) -> Any:
    """Return the settings that a record stores, as the experiment's own dataclass.

    Raises:
        ValueError: the experiment has other fields now.
    """
    settings = found.standard(scale, variant)
    names = {f.name for f in dataclasses.fields(settings)}
    if names != set(stored):
        raise ValueError(
            f"{found.name}: the record's settings have other fields ({', '.join(sorted(names ^ set(stored)))}): make it again"
        )
    return dataclasses.replace(settings, **{name: _tuples(value) for name, value in stored.items()})


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def change(settings: Any, changes: Mapping[str, str]) -> Any:
    """Return `settings` (a dataclass) with each named field set from text, read as the field's type.

    Raises:
        ValueError: an unknown field, or a text that is not of its type; the message names what is allowed.
    """
    hints = get_type_hints(type(settings))
    allowed = {f.name: hints[f.name] for f in dataclasses.fields(settings)}
    values = {}
    for name, text in changes.items():
        if name not in allowed:
            raise ValueError(f"unknown setting {name!r}: expected one of {', '.join(allowed)}")
        try:
            values[name] = _parse(allowed[name], text.strip())
        except ValueError:
            raise ValueError(f"{name}={text!r}: expected {_describe(allowed[name])}") from None
    return dataclasses.replace(settings, **values)


def _parse(kind: Any, text: str) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if type(None) in arguments and text.lower() == "none":
            return None
        for option in arguments:
            if option is not type(None):
                try:
                    return _parse(option, text)
                except ValueError:
                    continue
        raise ValueError(text)
    if origin is Literal:
        return (
            {str(value): value for value in arguments}[text] if text in map(str, arguments) else _refuse(text)
        )
    if origin is tuple:
        parts = [part.strip() for part in text.strip("()[]").split(",") if part.strip()]
        kinds = [arguments[0]] * len(parts) if arguments[-1] is Ellipsis else list(arguments)
        if len(kinds) != len(parts):
            raise ValueError(text)
        return tuple(_parse(k, part) for k, part in zip(kinds, parts, strict=True))
    if kind is bool:
        words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
        return words[text.lower()] if text.lower() in words else _refuse(text)
    if kind in (int, float, str):
        return kind(text)
    raise ValueError(text)


def _refuse(text: str) -> Any:
    raise ValueError(text)


def _describe(kind: Any) -> str:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return " or ".join("none" if option is type(None) else _describe(option) for option in arguments)
    if origin is Literal:
        return "one of " + ", ".join(map(str, arguments))
    if origin is tuple:
        inner = arguments[:-1] if arguments[-1] is Ellipsis else arguments
        many = "any number of" if arguments[-1] is Ellipsis else str(len(arguments))
        return f"a list with commas, {many} values, each {' / '.join(dict.fromkeys(map(_describe, inner)))}"
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    return names.get(kind, f"a value of type {kind}, which cannot be given as text")
