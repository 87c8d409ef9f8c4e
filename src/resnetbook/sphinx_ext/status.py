"""The status page: what ran, when, for how long and with which versions, from the files' own metadata."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from resnetbook._paths import data_dir
from resnetbook.sphinx_ext.html import inline, link, table
from resnetbook.sphinx_ext.links import Links


def seconds(value: Any) -> str:
    """Return a duration in s, min or h."""
    if not isinstance(value, int | float):
        return "–"
    if value < 90:
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 5400 else f"{value / 3600:.1f} h"


def short(text: str) -> str:
    """Return a text that stays on one line."""
    return f'<span class="rb-nowrap">{inline(text)}</span>'


def title_of(notebook: dict[str, Any], fallback: str) -> str:
    """Return the first heading of a notebook."""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            for line in "".join(cell["source"]).splitlines():
                if line.startswith("# "):
                    return line[2:].strip()
    return fallback


def notebook_row(path: Path, name: str, links: Links) -> tuple[str, ...]:
    """Return one row about a notebook; a dash stands for what its metadata do not say."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    about = notebook["metadata"].get("resnetbook", {})
    versions = about.get("versions", {})
    if isinstance(versions, dict):
        versions = ", ".join(f"{key} {value}" for key, value in versions.items())
    cells = sum(cell["cell_type"] == "code" for cell in notebook["cells"])
    return (
        link(inline(title_of(notebook, path.stem)), links.page(name)),
        short(str(about.get("executed", "not executed"))),
        short(seconds(about.get("seconds"))),
        str(cells),
        inline(str(versions) or "–"),
    )


def record_row(path: Path, links: Links) -> tuple[str, ...]:
    """Return one row about a record of an experiment."""
    record = json.loads(path.read_text(encoding="utf-8"))
    environment = record.get("environment", {})
    data = record.get("data") or {}
    name = f"<code>{inline(record['experiment'])}</code>"
    versions = ", ".join(
        f"{key} {environment[key]}" for key in ("python", "torch", "resnetbook") if key in environment
    )
    return (
        link(name, links.experiment(record["experiment"])),
        inline(str(record.get("scale", "–"))),
        inline(str(data.get("name") or record.get("variant") or "none")),
        str(len(record.get("seeds", []))),
        inline(str(environment.get("device", "–"))),
        short(seconds(record.get("seconds"))),
        short(str(record.get("created", "–"))[:10]),
        f"<code>{inline(str(environment.get('commit') or '–')[:7])}</code>",
        inline(versions or "–"),
    )


def notebooks(root: Path) -> list[tuple[Path, str]]:
    """Return the notebooks under `chapters/` with their page names; those made for students have nothing to tell."""
    found = sorted(path for path in (root / "chapters").rglob("*.ipynb") if path.stem != "student")
    return [(path, path.relative_to(root).with_suffix("").as_posix()) for path in found]


def records() -> list[Path]:
    """Return the files with records, by name."""
    return sorted((data_dir() / "results").glob("*.json"))


def total(values: Iterable[Any]) -> str:
    """Return the sum of durations, those that are known."""
    return seconds(float(sum(value for value in values if isinstance(value, int | float))))


def page(root: Path, links: Links) -> str:
    """Return the status page's two tables as HTML."""
    rows = [notebook_row(path, name, links) for path, name in notebooks(root)]
    columns: tuple[str, ...] = ("Notebook", "Last executed", "Time", "Code cells", "Versions")
    parts = ['<p class="rb-caption">Notebooks, on two CPU cores</p>']
    parts.append(table(columns, rows, label="Notebooks") if rows else "<p>No notebook yet.</p>")
    files = records()
    spent = total(json.loads(path.read_text(encoding="utf-8")).get("seconds") for path in files)
    parts.append(f'<p class="rb-caption">Records of experiments: {len(files)}, {spent} in all</p>')
    columns = ("Experiment", "Scale", "Data", "Seeds", "Device", "Time", "Date", "Commit", "Versions")
    found = [record_row(path, links) for path in files]
    parts.append(table(columns, found, label="Records of experiments") if found else "<p>No record yet.</p>")
    return "\n".join(parts)
