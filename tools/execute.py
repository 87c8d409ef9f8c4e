"""Execute notebooks in place, each in a clean kernel, and normalise them so that a second run gives the same file.

`python tools/execute.py [NOTEBOOK …] [--all] [--workers N]`; without a name, all under chapters/ whose code cells
changed since their last execution.
"""

import argparse
import hashlib
import json
import os
import re
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).resolve().parent.parent
CELL_TIMEOUT = 300
VERSIONS = ("resnetbook", "torch", "torchvision", "numpy", "matplotlib")
LIMIT = 1_000_000  # bytes


def digest(notebook: nbformat.NotebookNode) -> str:
    """Return a hash of the code that a notebook runs."""
    code = "\0".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    return hashlib.sha256(code.encode()).hexdigest()[:16]


def is_current(notebook: nbformat.NotebookNode) -> bool:
    """Whether each code cell was executed and none was edited since."""
    executed = all(
        cell.execution_count for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()
    )
    return executed and notebook.metadata.get("resnetbook", {}).get("code") == digest(notebook)


def stable_ids(notebook: nbformat.NotebookNode) -> None:
    """Give each cell an id that follows from what it says (or from its grader id), not from chance."""
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        name = name or hashlib.sha256((cell.cell_type + cell.source).encode()).hexdigest()[:10]
        seen[name] = seen.get(name, 0) + 1
        cell.id = name if seen[name] == 1 else f"{name}-{seen[name]}"


def merged_streams(outputs: list) -> list:
    """Join neighbouring pieces of one stream: where they split is chance."""
    merged: list = []
    for output in outputs:
        last = merged[-1] if merged else None
        if last and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            merged.append(output)
    return merged


def normalise(notebook: nbformat.NotebookNode) -> None:
    """Remove what differs between two equal runs."""
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    notebook.metadata.kernelspec = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata.language_info = {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"}
    for key in ("jupytext", "widgets"):
        notebook.metadata.pop(key, None)
    for count, cell in enumerate(
        (c for c in notebook.cells if c.cell_type == "code" and c.source.strip()), 1
    ):
        cell.metadata.pop("execution", None)
        cell.execution_count = count
        cell.outputs = merged_streams(cell.outputs)
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = count
            # The model of a widget ends with the kernel: a viewer would say that it is not found, and show nothing else.
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
    stable_ids(notebook)


def complaints(notebook: nbformat.NotebookNode) -> list[str]:
    """Return what in the outputs must not be committed: paths of this machine, warnings, errors, too many bytes."""
    found = []
    paths = re.compile(
        "|".join(re.escape(p) for p in {str(ROOT), str(Path.home()), sys.prefix} if len(p) > 1) + r"|/tmp/\w"
    )
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            text = json.dumps(output)
            if match := paths.search(text):
                found.append(
                    f"cell {number}: a path of this machine: …{text[max(0, match.start() - 40) : match.end() + 40]}…"
                )
            if output.output_type == "stream" and output.name == "stderr":
                found.append(f"cell {number}: stderr: {output.text[:200]}")
    size = len(nbformat.writes(notebook).encode())
    if size > LIMIT:
        found.append(f"{size / 1e6:.2f} MB; the limit is 1 MB")
    return found


def missing_sets(notebook: nbformat.NotebookNode) -> list[str]:
    """Return the sets that cells need (tag `needs-<set>`) and that are not at hand: their outputs would be empty."""
    wanted = {
        tag for cell in notebook.cells for tag in cell.metadata.get("tags", []) if tag.startswith("needs-")
    }
    if not wanted:
        return []
    from resnetbook.lab import data

    return sorted(name for tag in wanted if not data.available(name := tag.removeprefix("needs-")))


def execute(path: Path) -> tuple[Path, float, str]:
    """Run one notebook and write it back. Returns (path, seconds, "" or what went wrong); on failure the file is untouched."""
    notebook = nbformat.read(path, as_version=4)
    if missing := missing_sets(notebook):
        return path, 0.0, f"it needs {', '.join(missing)}: set RESNETBOOK_DATA, or resnetbook data fetch"
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
    )
    start = time.perf_counter()
    try:
        client.execute()
    except CellExecutionError as error:
        return path, time.perf_counter() - start, re.sub(r"\x1b\[[0-9;]*m", "", str(error))[-3000:]
    except Exception as error:
        return path, time.perf_counter() - start, f"{type(error).__name__}: {error}"
    seconds = time.perf_counter() - start
    normalise(notebook)
    if found := complaints(notebook):
        return path, seconds, "\n".join(found)
    versions = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in VERSIONS:
        try:
            versions[name] = version(name).partition("+")[0]
        except PackageNotFoundError:
            continue
    notebook.metadata.resnetbook = {
        **notebook.metadata.get("resnetbook", {}),
        "code": digest(notebook),
        "executed": date.today().isoformat(),
        "seconds": round(seconds),
        "versions": versions,
    }
    temporary = path.with_suffix(".tmp")
    nbformat.write(notebook, temporary)
    os.replace(temporary, path)
    return path, seconds, ""


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path)
    parser.add_argument("--all", action="store_true", help="also those that have not changed")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    paths = [p.resolve() for p in arguments.notebooks] or sorted((ROOT / "chapters").rglob("*.ipynb"))
    if not (arguments.all or arguments.notebooks):
        paths = [p for p in paths if "released" not in p.parts and p.name != "student.ipynb"]
        paths = [p for p in paths if not is_current(nbformat.read(p, as_version=4))]
    elif not arguments.notebooks:
        paths = [p for p in paths if p.name != "student.ipynb"]
    if not paths:
        print("All notebooks are up to date. ALL=1 runs them all the same.")
        return 0
    workers = max(1, min(arguments.workers, len(paths)))
    # The networks here are small: one thread each is faster than several, and repeats on every machine.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    failed = 0
    with ProcessPoolExecutor(workers) as pool:
        jobs = [pool.submit(execute, path) for path in paths]
        for done, job in enumerate(as_completed(jobs), 1):
            path, seconds, error = job.result()
            name = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
            print(
                f"[{done}/{len(paths)}] {name}: {'FAILED' if error else 'executed'}, {seconds:.0f} s",
                flush=True,
            )
            if error:
                failed += 1
                print(error, file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
