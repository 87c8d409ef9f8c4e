"""Rules for all tests: what a notebook's cell needs, and what a missing browser means."""

import importlib
import os
import shutil

import pytest

NEEDS = "needs-"


def missing_sets(tags: list[str]) -> list[str]:
    """Return the data sets that tags of the form `needs-<set>` name and that are not at hand."""
    data = importlib.import_module("resnetbook.lab.data")
    return [
        tag.removeprefix(NEEDS)
        for tag in tags
        if tag.startswith(NEEDS) and not data.available(tag.removeprefix(NEEDS))
    ]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark notebook cells, and skip, by name, those whose data set is missing."""
    for item in items:
        cell = getattr(item, "cell", None)
        if cell is not None and hasattr(cell, "metadata"):
            item.add_marker("notebook")
            tags = cell.metadata.get("tags", [])
            if any(tag.startswith(NEEDS) for tag in tags) and (missing := missing_sets(tags)):
                item.add_marker(pytest.mark.skip(reason=f"data set not at hand: {', '.join(missing)}"))


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of Chromium. Without it the browser tests are left out here and fail in CI."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        reason = "no Chromium: install Debian's package `chromium` to run the browser tests"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return path
