"""Every row of the map that is built resolves: its object imports, its heading exists, its proof runs and can fail."""

import ast
import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from resnetbook import survey

ROOT = Path(__file__).resolve().parents[2]
BUILT = [method for method in survey.methods() if method.status == "built"]
NAMED = [
    method for method in survey.methods() if method.object or method.notebook or method.proof or method.tests
]


def anchor(heading):
    """Return the id that Sphinx gives a heading: letters and digits, joined by single hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")


def anchors_of(path):
    """Return the ids of a notebook's headings, and its explicit targets."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    headings = re.findall(r"^#{1,4} +(.+?) *$", text, flags=re.MULTILINE)
    targets = re.findall(r"^\(([\w-]+)\)=$", text, flags=re.MULTILINE)
    return {anchor(re.sub(r"[`$*]", "", heading)) for heading in headings} | set(targets)


def test_no_row_is_half_built():
    assert [method.id for method in NAMED if method.status == "planned"] == []


def test_the_principle_is_built():
    assert {method.id for method in BUILT} >= {
        method.id for method in survey.methods() if method.section == "2"
    }


@pytest.mark.parametrize("method", BUILT, ids=lambda method: method.id)
def test_the_object_imports_and_is_documented(method):
    module, _, name = method.object.rpartition(".")
    assert getattr(importlib.import_module(module), name).__doc__


@pytest.mark.parametrize("method", BUILT, ids=lambda method: method.id)
def test_the_heading_exists(method):
    name, _, wanted = method.notebook.partition("#")
    assert wanted in anchors_of(ROOT / "chapters" / f"{name}.ipynb")


@pytest.mark.parametrize("method", BUILT, ids=lambda method: method.id)
def test_the_proof_exists_among_its_tests(method):
    path, _, name = method.proof.test.partition("::")
    assert path in method.tests
    for test in method.tests:
        assert (ROOT / test).is_file(), test
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_of_a_shape_alone():
    import torch

    from resnetbook.principle.twins import TwinNet

    assert TwinNet(8)(torch.randn(2, 1, 8, 8)).shape == (2, 10)


CONTROL = {"tests/survey/test_resolve.py::test_of_a_shape_alone": "resnetbook.principle.twins.TwinNet"}


@pytest.fixture(scope="module")
def mutants(tmp_path_factory):
    """Run every proof as it is and with its object replaced by zeros; return the report by test."""
    report = tmp_path_factory.mktemp("mutants") / "report.jsonl"
    proofs = {method.proof.test: method.object for method in BUILT} | CONTROL
    environment = {
        **os.environ,
        "MUTATIONS": json.dumps(proofs),
        "MUTATION_REPORT": str(report),
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "mutation", "-p", "no:cacheprovider", *proofs]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    rows = [json.loads(line) for line in report.read_text().splitlines()] if report.exists() else []
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    return {test: [row for row in rows if row["test"] == test] for test in proofs}


@pytest.mark.slow
@pytest.mark.parametrize("method", BUILT, ids=lambda method: method.id)
def test_the_proof_fails_on_an_object_that_returns_zeros(method, mutants):
    rows = mutants[method.proof.test]
    assert rows
    assert all(row["passed"] for row in rows)
    # An assertion must fail: an error on the way would only show that the mutant is clumsy.
    assert any(row["raised"] and "AssertionError" in row["raised"] for row in rows), rows


@pytest.mark.slow
def test_a_test_of_shapes_would_be_found_out(mutants):
    (row,) = mutants[next(iter(CONTROL))]
    assert row["passed"]
    assert row["raised"] is None
