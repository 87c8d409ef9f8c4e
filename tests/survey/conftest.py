import json

import pytest


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a record of experiment "demo" and returns its folder."""

    def write_record(results, seeds=None, name="demo.quick.json", **changes):
        count = len(next(iter(next(iter(results.values())).values())))
        content = {
            "schema": 1,
            "experiment": "demo",
            "variant": None,
            "scale": "quick",
            "settings": {"epochs": 12},
            "seeds": list(range(count)) if seeds is None else seeds,
            "results": results,
            "data": {"name": "digits", "checksum": "x", "split": "1000/200/597"},
            "environment": {"device": "cpu"},
            "created": "2026-11-23T10:00:00Z",
            **changes,
        }
        (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
        return tmp_path

    return write_record
