"""Read the JSON records of experiments, as far as a verdict needs them. Imports no torch.

A record of schema 1 was made under version 1 of the rules: it can be read and drawn, and decides nothing. Schema 2 adds
what was registered before the run, and the outcome of each test image for each seed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resnetbook._paths import data_dir
from resnetbook.survey.record_form import check, decode, section

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Means of outcomes and the metric agree to this: outcomes may be half-precision numbers.
TOLERANCE = 1e-3


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

    def has(self, arm: str, metric: str) -> bool:
        """Return whether the record holds this metric of this arm."""
        found = self.content["results"].get(arm)
        return isinstance(found, dict) and metric in found

    def outcomes(self, arm: str, metric: str) -> NDArray[np.float64] | None:
        """Return what each test image adds to a metric, shape (seeds, images); None where the record does not hold it.

        The mean over images is the metric of each seed. A seed without a value has a row of NaN.

        Raises:
            ValueError: the outcomes have another form, or another mean than the metric; names the file.
        """
        packed = section(self.content, "outcomes").get(arm, {}).get(metric)
        if packed is None:
            return None
        import numpy as np

        where = f"{self.path.name}: outcomes of {arm}/{metric}"
        means = np.array(self.values(arm, metric))
        found = decode(packed, (len(self.seeds), self.images), where)
        found[np.isnan(means)] = np.nan
        off = np.abs(found.mean(axis=1) - means) > TOLERANCE
        if off.any() or not np.isfinite(found[~np.isnan(means)]).all():
            seed = self.seeds[int(np.argmax(off))]
            raise ValueError(f"{where} do not have the metric as their mean (seed {seed})")
        return found

    @property
    def schema(self) -> int:
        """Return 1 or 2; only records of schema 2 decide."""
        return int(self.content["schema"])

    @property
    def images(self) -> int:
        """Return the number of test images, 0 where the record holds no outcomes."""
        return int(section(self.content, "images").get("count", 0))

    @property
    def groups(self) -> tuple[int, ...] | None:
        """Return the group of each test image, such as its patient; None where each stands for itself."""
        found = section(self.content, "images").get("groups")
        return None if found is None else tuple(found)

    @property
    def registration(self) -> Mapping[str, Any]:
        """Return what the runner wrote down before the run; empty for schema 1."""
        return section(self.content, "registration")

    @property
    def minutes(self) -> float:
        """Return the minutes that the run took; NaN where they are unknown."""
        seconds = self.content.get("seconds")
        return seconds / 60 if isinstance(seconds, int | float) else math.nan

    def edge(self, arm: str) -> bool:
        """Return whether the setting that was chosen for an arm lies at the edge of its grid."""
        found = section(self.content, "tuned").get(arm)
        return isinstance(found, dict) and bool(found.get("edge", False))

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
    path = place(folder) / file_name(experiment, variant, scale)
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    record = load(path, (status.st_mtime_ns, status.st_size, status.st_ino))
    check(record.content, path.name, experiment, variant, scale)
    return record


def place(folder: Path | None) -> Path:
    """Return the folder where records lie, by default the package's own."""
    return folder or data_dir() / "results"


@lru_cache(maxsize=256)
def load(path: Path, _stamp: tuple[int, int, int]) -> Record:
    """Return the record in a file; read once for each stamp of the file.

    Raises:
        ValueError: it is not JSON; the message names it.
    """
    try:
        return Record(path, json.loads(path.read_text(encoding="utf-8")))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path.name}: not valid JSON: {error}") from error
