import base64
import itertools
import json
import os

import numpy as np
import pytest

TICKS = itertools.count(1_700_000_000_000_000_000, 1_000_000)


def packed(values):
    """Return outcomes, shape (seeds, images), as a record holds them: bits where all are 0 or 1, else half precision."""
    values = np.asarray(values)
    if np.isin(values, (0, 1)).all():
        return {"bits": base64.b64encode(np.packbits(values.astype(bool)).tobytes()).decode()}
    return {"halves": base64.b64encode(values.astype("<f2").tobytes()).decode()}


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a record of experiment "demo" and returns its folder."""

    def write_record(results, seeds=None, name="demo.quick.json", tables=None, groups=None, **changes):
        count = len(next(iter(next(iter(results.values())).values())))
        content = {
            "schema": 2,
            "experiment": "demo",
            "variant": None,
            "scale": "quick",
            "settings": {"epochs": 12},
            "seeds": list(range(100, 100 + count)) if seeds is None else seeds,
            "results": results,
            "registration": {"decisions": "x", "commit": "0123456789ab", "seeds": count},
            "data": {"name": "digits", "checksum": "x", "split": "1000/200/597"},
            "environment": {"device": "cpu"},
            "seconds": 90.0,
            "created": "2026-11-23T10:00:00Z",
            **changes,
        }
        if tables is not None:
            tables = {arm: {m: np.asarray(v) for m, v in found.items()} for arm, found in tables.items()}
            content["outcomes"] = {
                arm: {m: packed(v) for m, v in found.items()} for arm, found in tables.items()
            }
            images = next(iter(next(iter(tables.values())).values())).shape[1]
            content.setdefault("images", {"count": images, "groups": groups})
        path = tmp_path / name
        path.write_text(json.dumps(content), encoding="utf-8")
        # Records are read again when their time changes; a test writes faster than some clocks tick.
        tick = next(TICKS)
        os.utime(path, ns=(tick, tick))
        return tmp_path

    return write_record
