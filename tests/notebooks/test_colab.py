"""Colab simulated: an environment that sees torch, torchvision and numpy, an empty folder, the wheel, and nothing else.

The notebook's own set-up cell installs the wheel with its dependencies from the package index, as on Colab.
"""

import json
import os
import re
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(p for p in (ROOT / "chapters").rglob("*.ipynb") if "assignments" not in p.parts)
ONE_OF_EACH = ["1_introduction/introduction.ipynb", "2_principle/residual_block.ipynb"]
pytestmark = [pytest.mark.colab, pytest.mark.notebook]


def closure(*names: str) -> set[str]:
    """Return the distributions that `names` need on this machine, themselves included."""
    found: set[str] = set()
    todo = list(names)
    while todo:
        name = re.sub(r"[-_.]+", "-", todo.pop()).lower()
        if name in found:
            continue
        try:
            needs = distribution(name).requires or []
        except ModuleNotFoundError:
            continue
        found.add(name)
        todo += [
            r.name for r in map(Requirement, needs) if r.marker is None or r.marker.evaluate({"extra": ""})
        ]
    return found


def link(names: set[str], folder: Path) -> None:
    """Link the files of these distributions into `folder`, so that a new environment sees them and no others."""
    folder.mkdir()
    for name in names:
        dist = distribution(name)
        site = Path(str(dist.locate_file("")))
        for top in {Path(str(f)).parts[0] for f in dist.files or [] if ".." not in Path(str(f)).parts}:
            target = folder / top
            if not target.exists() and (site / top).exists():
                target.symlink_to(site / top)


@pytest.fixture(scope="module")
def colab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an environment `env` and the wheel in `content`."""
    folder = tmp_path_factory.mktemp("colab")
    content = folder / "content"
    content.mkdir()
    run = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "wheel",
        "--quiet",
        "--no-deps",
        "-w",
        str(content),
        str(ROOT),
    ]
    subprocess.run(run, check=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder / "env")], check=True)
    # Colab has these (IPython and the kernel with them); whatever else the book needs, the wheel must bring.
    link(closure("torch", "torchvision", "numpy", "ipykernel"), folder / "given")
    site = next((folder / "env" / "lib").glob("python*/site-packages"))
    (site / "given.pth").write_text(str(folder / "given") + "\n")
    return folder


def play(colab: Path, sources: list[str]) -> list[str]:
    """Run the cells in one kernel of that environment; return an error's text for each cell that failed."""
    (colab / "cells.json").write_text(json.dumps(sources))
    # IPython's shell without a kernel is enough: the cells are run one by one, `%pip` included, and nothing is compared.
    driver = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.enable_gui = lambda gui=None: None
failed = []
for number, source in enumerate(json.load(open(sys.argv[1]))):
    result = shell.run_cell(source, store_history=True)
    error = result.error_before_exec or result.error_in_exec
    if error is not None:
        failed.append(f"cell {number}: {type(error).__name__}: {error}")
json.dump(failed, open(sys.argv[1] + ".failed", "w"))
"""
    environment = {
        k: v for k, v in os.environ.items() if k not in ("RESNETBOOK_DATA", "PYTHONPATH", "VIRTUAL_ENV")
    }
    environment |= {
        "MPLBACKEND": "Agg",
        "XDG_CACHE_HOME": str(colab / "cache"),
        "IPYTHONDIR": str(colab / "ipython"),
    }
    environment["PATH"] = f"{colab / 'env' / 'bin'}:{environment['PATH']}"
    done = subprocess.run(
        [str(colab / "env/bin/python"), "-c", driver, str(colab / "cells.json")],
        cwd=colab / "content", env=environment, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads((colab / "cells.json.failed").read_text())


def code(path: Path) -> list[str]:
    return ["".join(c["source"]) for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "code"]


def test_the_set_up_cell_installs_the_wheel_and_then_does_nothing(colab: Path) -> None:
    missing = subprocess.run(
        [str(colab / "env/bin/python"), "-c", "import resnetbook"], capture_output=True, cwd=colab
    )
    assert missing.returncode != 0, "the environment must not see the package before"
    first = code(PAGES[0])[0]
    assert play(colab, [first, "import resnetbook.principle, resnetbook.lab.data, resnetbook.survey"]) == []
    where = subprocess.run(
        [str(colab / "env/bin/python"), "-c", "import resnetbook, torch; print(resnetbook.__file__); print(torch.__file__)"],
        capture_output=True, text=True, cwd=colab / "content",
    ).stdout.split()  # fmt: skip
    assert Path(where[0]).is_relative_to(colab / "env"), "not the checkout"
    assert Path(where[1]).is_relative_to(colab / "given"), "the torch that was there, not a second one"
    for page in PAGES:
        assert play(colab, [code(page)[0], "assert 'source' not in globals()"]) == [], (
            "installed a second time"
        )


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_a_whole_notebook_runs_there(colab: Path, name: str) -> None:
    assert play(colab, code(ROOT / "chapters" / name)) == []
