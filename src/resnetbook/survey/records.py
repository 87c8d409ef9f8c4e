"""Read the JSON records of experiments, as far as a verdict needs them. Imports no torch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnetbook._paths import data_dir


@dataclass(frozen=True)
class Record:
    """One record: `<experiment>[-<variant>].<scale>.json`.

    Attributes:
        path: the file.
        content: what it holds.
    """

    path: Path
    content: Mapping[str, Any]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Return the seeds, in the order of every list of values."""
        return tuple(self.content["seeds"])

    def values(self, arm: str, metric: str) -> tuple[float, ...]:
        """Return one number for each seed; NaN where the run gave none.

        Raises:
            ValueError: arm or metric is absent, or it is not one number for each seed; names the file.
        """
        name = self.path.name
        results = self.content["results"]
        if arm not in results:
            raise ValueError(f"{name}: arm {arm!r} is missing, the record has {sorted(results)}")
        if not isinstance(results[arm], dict) or metric not in results[arm]:
            raise ValueError(
                f"{name}: metric {metric!r} of arm {arm!r} is missing, it has {sorted(results[arm])}"
            )
        found = results[arm][metric]
        if not isinstance(found, list) or len(found) != len(self.seeds):
            raise ValueError(
                f"{name}: {arm}/{metric} must be a list of {len(self.seeds)} values, one for each seed"
            )
        values = []
        for value in found:
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise ValueError(f"{name}: {arm}/{metric} holds {value!r}, expected one number for each seed")
            values.append(math.nan if value is None or not math.isfinite(value) else float(value))
        return tuple(values)

    @property
    def provenance(self) -> str:
        """Return one line: seeds, data, device, scale and date."""
        data = self.content.get("data")
        environment = self.content.get("environment")
        named = data.get("name") if isinstance(data, dict) else None
        device = environment.get("device") if isinstance(environment, dict) else None
        count = len(self.seeds)
        parts = [
            f"{count} seed{'s' if count != 1 else ''}",
            named or self.content.get("variant"),
            device,
            f"{self.content['scale']} scale",
            str(self.content.get("created", ""))[:10],
        ]
        return ", ".join(str(part) for part in parts if part)


def file_name(experiment: str, variant: str | None, scale: str) -> str:
    """Return the name of a record's file."""
    return f"{experiment}{'-' + variant if variant else ''}.{scale}.json"


def read(experiment: str, variant: str | None, scale: str, folder: Path | None = None) -> Record | None:
    """Return a record, or None where the experiment was not run at this scale.

    Args:
        experiment: name of the experiment.
        variant: usually a data set; None where the experiment has one only.
        scale: "quick" or "full".
        folder: where records lie, by default the package's own.

    Raises:
        ValueError: the file is no record; the message names it.
    """
    path = (folder or data_dir() / "results") / file_name(experiment, variant, scale)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path.name}: not valid JSON: {error}") from error
    check(content, path.name, experiment, variant, scale)
    return Record(path, content)


def check(content: Any, name: str, experiment: str, variant: str | None, scale: str) -> None:
    """Hold a record to its form and to its file's name.

    Raises:
        ValueError: it has another form; names file, key and what was expected.
    """
    if not isinstance(content, dict):
        raise ValueError(f"{name}: expected an object, found {type(content).__name__}")
    for key, kind in (("experiment", str), ("scale", str), ("seeds", list), ("results", dict)):
        if not isinstance(content.get(key), kind):
            raise ValueError(f"{name}: {key!r} must be a {kind.__name__}, found {content.get(key)!r}")
    if content.get("schema") != 1:
        raise ValueError(f"{name}: schema {content.get('schema')!r}, expected 1")
    for key, wanted in (("experiment", experiment), ("scale", scale), ("variant", variant)):
        # A record of an experiment with one variant may leave it out.
        if (content.get(key) or None) != wanted and not (key == "variant" and wanted is None):
            raise ValueError(f"{name}: {key} {content.get(key)!r}, expected {wanted!r}")
    seeds = content["seeds"]
    if not seeds or not all(isinstance(seed, int) and not isinstance(seed, bool) for seed in seeds):
        raise ValueError(f"{name}: seeds must be whole numbers and at least one, found {seeds!r}")
    if len(set(seeds)) != len(seeds):
        raise ValueError(f"{name}: a seed appears twice in {seeds!r}")
