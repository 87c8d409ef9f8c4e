"""The form of a record: what its JSON must hold, and how outcomes of test images are packed."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SCHEMAS = (1, 2)


def section(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return an object of a record; empty where it is absent or null."""
    return content.get(key) or {}


def decode(packed: Any, shape: tuple[int, int], where: str) -> NDArray[np.float64]:
    """Return the outcomes that a record holds as text.

    Args:
        packed: `{"bits": text}` or `{"halves": text}`, base64 of packed bits or of little-endian half-precision numbers.
        shape: (seeds, images).
        where: what the messages call them.

    Raises:
        ValueError: they have another form or size.
    """
    import numpy as np

    if not isinstance(packed, dict) or len(packed) != 1 or not set(packed) <= {"bits", "halves"}:
        raise ValueError(f"{where} must be an object with 'bits' or 'halves'")
    ((kind, text),) = packed.items()
    try:
        raw = base64.b64decode(text, validate=True)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where} are not base64: {error}") from error
    count = shape[0] * shape[1]
    size = -(-count // 8) if kind == "bits" else 2 * count
    if len(raw) != size:
        raise ValueError(
            f"{where} have {len(raw)} bytes, expected {size} for {shape[0]} seeds and {shape[1]} images"
        )
    if kind == "bits":
        flat = np.unpackbits(np.frombuffer(raw, dtype=np.uint8), count=count)
    else:
        flat = np.frombuffer(raw, dtype="<f2")
    return flat.astype(float).reshape(shape)


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
    if content.get("schema") not in SCHEMAS:
        raise ValueError(f"{name}: schema {content.get('schema')!r}, expected one of {SCHEMAS}")
    for key, wanted in (("experiment", experiment), ("scale", scale), ("variant", variant)):
        # A record of an experiment with one variant may leave it out.
        if (content.get(key) or None) != wanted and not (key == "variant" and wanted is None):
            raise ValueError(f"{name}: {key} {content.get(key)!r}, expected {wanted!r}")
    seeds = content["seeds"]
    if not seeds or not all(isinstance(seed, int) and not isinstance(seed, bool) for seed in seeds):
        raise ValueError(f"{name}: seeds must be whole numbers and at least one, found {seeds!r}")
    if len(set(seeds)) != len(seeds):
        raise ValueError(f"{name}: a seed appears twice in {seeds!r}")
    if content["schema"] == 2:
        check_second(content, name)


def check_second(content: Mapping[str, Any], name: str) -> None:
    """Hold a record of schema 2 to its registration and to its outcomes' frame; ValueError names file and key."""
    registration = content.get("registration")
    if not isinstance(registration, dict):
        raise ValueError(f"{name}: 'registration' must be a dict, found {registration!r}")
    for key, kind in (("decisions", str), ("commit", str), ("seeds", int)):
        if not isinstance(registration.get(key), kind):
            raise ValueError(
                f"{name}: registration {key!r} must be a {kind.__name__}, found {registration.get(key)!r}"
            )
    for key in ("outcomes", "images", "tuned"):
        if not isinstance(content.get(key) or {}, dict):
            raise ValueError(f"{name}: {key!r} must be a dict, found {content[key]!r}")
    for arm, found in section(content, "outcomes").items():
        if not isinstance(found, dict):
            raise ValueError(f"{name}: outcomes of {arm!r} must be a dict, found {found!r}")
    images = section(content, "images")
    if not images:
        if section(content, "outcomes"):
            raise ValueError(f"{name}: 'images' is missing beside 'outcomes'")
        return
    count, groups = images.get("count"), images.get("groups")
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ValueError(f"{name}: images 'count' must be a whole number of 1 or more, found {count!r}")
    if groups is not None and (
        not isinstance(groups, list)
        or len(groups) != count
        or not all(isinstance(group, int) and not isinstance(group, bool) for group in groups)
    ):
        raise ValueError(f"{name}: images 'groups' must be null or a list of {count} whole numbers")
