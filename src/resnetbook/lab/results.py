"""Records of experiments: one JSON file each, written atomically, read without torch.

A record holds settings, seeds, every metric of every seed, data with checksum, environment, time and memory: all that a
verdict is computed from. It holds no path and no host name. A metric that is not finite is stored as null, read as NaN.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from resnetbook._paths import data_dir
from resnetbook.lab._files import cache_dir, checkout, write_atomically

if TYPE_CHECKING:
    import numpy as np

SCHEMA = 2
READABLE = (1, 2)


class RecordMissing(FileNotFoundError):
    """The experiment has no record yet; the message says how to make it."""


class Interval(NamedTuple):
    """A mean with its 95 % t interval; floats for a scalar metric, arrays for a curve."""

    mean: Any
    low: Any
    high: Any


@dataclass(frozen=True)
class Record:
    """One experiment at one scale on one data set. `results[arm][metric]` has one entry for each of `seeds`."""

    experiment: str
    variant: str | None
    scale: str
    settings: Mapping[str, Any]
    seeds: tuple[int, ...]
    results: Mapping[str, Mapping[str, list[Any]]]
    tuned: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    outcomes: Mapping[str, Mapping[str, Mapping[str, str]]] = field(default_factory=dict)  # see `pack`
    images: Mapping[str, Any] = field(
        default_factory=dict
    )  # count of test images, groups where there are patients
    registration: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = math.nan  # wall time of the run, over all its sessions
    peak_memory_mb: float = math.nan  # largest of its processes; on a GPU: of its tensors
    created: str = ""  # UTC, ISO 8601

    @property
    def arms(self) -> tuple[str, ...]:
        """Return the names of the arms, in the order in which the experiment lists them."""
        return tuple(self.results)

    def metrics(self, arm: str) -> tuple[str, ...]:
        """Return the names of the metrics that `arm` has."""
        return tuple(self._arm(arm))

    def values(self, arm: str, metric: str) -> np.ndarray:
        """Return `metric` by seed, shape (seeds,) or (seeds, length); shorter curves end in NaN.

        Raises:
            ValueError: the record has no such arm or metric; the message lists those it has.
        """
        import numpy as np

        column = self._arm(arm).get(metric)
        if column is None:
            raise ValueError(f"metric={metric!r}: expected one of {', '.join(self._arm(arm))}")
        if not any(isinstance(value, list) for value in column):
            return np.array([_number(value) for value in column])
        length = max(len(value) for value in column if isinstance(value, list))
        table = np.full((len(column), length), np.nan)
        for line, value in zip(table, column, strict=True):
            entries = value if isinstance(value, list) else []
            line[: len(entries)] = [_number(entry) for entry in entries]
        return table

    def interval(self, arm: str, metric: str, confidence: float = 0.95) -> Interval:
        """Return the mean over seeds with its t interval; the bounds are NaN for a single seed."""
        return t_interval(self.values(arm, metric), confidence)

    def _arm(self, arm: str) -> Mapping[str, list[Any]]:
        if arm not in self.results:
            raise ValueError(f"arm={arm!r}: expected one of {', '.join(self.results)}")
        return self.results[arm]


def t_interval(values: Any, confidence: float = 0.95, *, ignore_nan: bool = False) -> Interval:
    """Return mean and t interval over the first axis: mean +- t(n - 1) s / sqrt(n), s with n - 1 degrees of freedom.

    A NaN makes its mean and bounds NaN; with `ignore_nan` it is left out. The bounds of fewer than two values are NaN.
    """
    import numpy as np
    from scipy.stats import t

    values = np.asarray(values, dtype=float)
    known = np.isfinite(values) if ignore_nan else np.ones(values.shape, dtype=bool)
    count = known.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(known, values, 0.0).sum(axis=0) / count
        squares = np.where(known, (values - mean) ** 2, 0.0).sum(axis=0)
        half = t.ppf((1 + confidence) / 2, count - 1) * np.sqrt(squares / (count - 1) / count)
    bounds = (mean, mean - half, mean + half)
    return Interval(*(float(bound) for bound in bounds)) if values.ndim == 1 else Interval(*bounds)


def file_name(
    experiment: str, variant: str | None, scale: str, changes: Mapping[str, Any] | None = None
) -> str:
    """Return `<experiment>[-<variant>].<scale>.json`; settings that were changed for the run follow the scale."""
    for label, value in [("experiment", experiment), ("variant", variant or "none"), ("scale", scale)]:
        if not re.fullmatch(r"[A-Za-z0-9_]+", value):
            raise ValueError(f"{label}={value!r}: expected letters, digits and underscores")
    stem = experiment if variant is None else f"{experiment}-{variant}"
    parts = [f"{key}={_in_name(value)}" for key, value in sorted((changes or {}).items())]
    suffix = re.sub(r"[^A-Za-z0-9=_-]+", "-", "_".join(parts))
    if len(suffix) > 80:
        suffix = suffix[:60] + "_" + hashlib.sha256("_".join(parts).encode()).hexdigest()[:12]
    suffix = f".{suffix}" if suffix else ""
    return f"{stem}.{scale}{suffix}.json"


def folder() -> Path:
    """Return where new records go: `data/results` in a checkout, else the user's cache."""
    return data_dir() / "results" if checkout() is not None else cache_dir() / "results"


def read(
    experiment: str, variant: str | None = None, scale: str = "quick", *, folder: Path | None = None
) -> Record:
    """Return the record of an experiment; `variant` is the data set, None for an experiment that has just one.

    Raises:
        RecordMissing: it was not run yet.
        ValueError: the file is no record.
    """
    name = file_name(experiment, variant, scale)
    for place in _folders(folder):
        if (place / name).is_file():
            return load(place / name)
    what = f"{experiment} on {variant}" if variant else experiment
    change = f" --set data={variant}" if variant else ""
    raise RecordMissing(
        f"{what}, scale {scale}: not run yet (resnetbook run {experiment} --scale {scale}{change})"
    )


def find(
    experiment: str | None = None, scale: str | None = None, *, folder: Path | None = None
) -> tuple[Record, ...]:
    """Return all records, sorted by file name; those of runs with changed settings are not among them."""
    found: dict[str, Record] = {}
    for place in _folders(folder):
        for path in sorted(place.glob("*.json")):
            if path.name.count(".") == 2 and path.name not in found:
                found[path.name] = load(path)
    return tuple(
        record
        for _, record in sorted(found.items())
        if experiment in (None, record.experiment) and scale in (None, record.scale)
    )


def load(path: Path) -> Record:
    """Return the record in the file `path`.

    Raises:
        ValueError: the file is no record of this schema.
    """
    return _load(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=128)
def _load(path: Path, _stamp: int) -> Record:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema"] not in READABLE:
            raise ValueError(f"schema {content['schema']!r}, expected one of {READABLE}")
        known = {f.name for f in fields(Record)}
        record = Record(**{key: value for key, value in content.items() if key in known and value is not None}
                        | {"variant": content["variant"], "seeds": tuple(content["seeds"])})  # fmt: skip
        lengths = {len(column) for arm in record.results.values() for column in arm.values()}
        if lengths - {len(record.seeds)}:
            raise ValueError(f"columns of {sorted(lengths)} values for {len(record.seeds)} seeds")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path.name}: no record of an experiment ({error})") from error
    return record


def write(record: Record, path: Path) -> Path:
    """Write `record` to `path` atomically, with stable order and one metric a line, and return `path`."""
    # A record of the first form stays one: it was not made under the rules of the second.
    schema = SCHEMA if record.registration else 1
    new = ("outcomes", "images", "registration")
    known = {key: value for key, value in asdict(record).items() if value or key not in new}
    content = {"schema": schema, **{key: plain(value) for key, value in known.items()}}
    write_atomically(path, (_dump(content) + "\n").encode())
    return path


def pack(rows: Sequence[Any]) -> dict[str, str]:
    """Return each test image's outcome for each seed as text: bits where all are 0 or 1, else half-precision numbers.

    Args:
        rows: (seeds, images), numbers.
    """
    import numpy as np

    table = np.asarray(rows, dtype=float)
    if np.isin(table, (0.0, 1.0)).all():
        return {"bits": base64.b64encode(np.packbits(table.astype(bool)).tobytes()).decode()}
    return {"halves": base64.b64encode(table.astype("<f2").tobytes()).decode()}


def provenance(record: Record) -> str:
    """Return one line on where the numbers come from: seeds, data, scale, device and date."""
    count = len(record.seeds)
    parts = [
        f"{count} seed{'s' if count != 1 else ''}",
        str(record.data.get("name", record.variant or "")),
        f"scale {record.scale}",
        str(record.environment.get("device", "unknown device")),
        record.created[:10],
    ]
    return ", ".join(part for part in parts if part)


def summary(record: Record) -> list[tuple[str, str, Interval]]:
    """Return (arm, metric, interval) for all scalar metrics."""
    return [
        (arm, metric, record.interval(arm, metric))
        for arm in record.arms
        for metric in record.metrics(arm)
        if record.values(arm, metric).ndim == 1
    ]


def _folders(chosen: Path | None) -> Sequence[Path]:
    if chosen is not None:
        return [chosen]
    return list(dict.fromkeys([folder(), data_dir() / "results"]))


def _in_name(value: Any) -> str:
    return "-".join(map(_in_name, value)) if isinstance(value, list | tuple) else str(value)


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def plain(value: Any) -> Any:
    """Return `value` in JSON's types: tuples and arrays become lists, numbers that are not finite become null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):  # NumPy's and torch's arrays and scalars
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    raise ValueError(f"a record holds numbers, strings and lists, not {type(value).__name__}: {value!r}")


def _dump(value: Any, indent: int = 0) -> str:
    if not isinstance(value, dict) or not value:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    space = " " * (indent + 1)
    lines = [
        f"{space}{json.dumps(key, ensure_ascii=False)}: {_dump(item, indent + 1)}"
        for key, item in value.items()
    ]
    return "{\n" + ",\n".join(lines) + "\n" + " " * indent + "}"
