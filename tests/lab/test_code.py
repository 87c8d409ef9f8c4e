"""The hash of the code that decides an experiment's numbers: found from imports, blind to what changes no number."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from resnetbook.experiments import experiment, experiments
from resnetbook.lab.running.code import code_hash, modules

PLAIN = "import math\n\n\ndef f(x):\n    return x + 1\n\n\ndef g(x):\n    return math.sqrt(x)\n"


@pytest.fixture
def hashed(tmp_path, monkeypatch):
    """Return a function from a source to the hash of an experiment that it would be."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def of(source: str, name: str = "toy_for_hashing") -> str:
        (tmp_path / f"{name}.py").write_text(source)
        return code_hash(SimpleNamespace(module=name))

    return of


@pytest.mark.parametrize(
    "source",
    [
        '"""Text."""\n# a remark\n' + PLAIN,
        PLAIN.replace("import math\n", "import math, os\n"),
        PLAIN.replace("return x + 1", "return x+1  # more"),
        PLAIN.replace("def f(x):\n", 'def f(x):\n    """Doc\n\n    of f.\n    """\n'),
        PLAIN.replace("def g(x):\n", "def g(x):\n    from math import sqrt\n\n"),
        "import math\n\n\ndef g(x):\n    return math.sqrt(x)\n\n\ndef f(x):\n    return x + 1\n",
    ],
    ids=["docstring", "import", "layout", "function's docstring", "inner import", "order"],
)
def test_what_changes_no_number_changes_no_hash(hashed, source):
    assert hashed(source) == hashed(PLAIN)
    assert hashed(source, "toy_of_another_name") == hashed(PLAIN)


@pytest.mark.parametrize(("old", "new"), [("x + 1", "x + 2"), ("def g(x)", "def g(x, y=0)"), ("sqrt", "exp")])
def test_what_changes_a_number_changes_the_hash(hashed, old, new):
    assert hashed(PLAIN.replace(old, new)) != hashed(PLAIN)


def test_a_string_that_is_a_value_counts(hashed):
    assert hashed('x = "# no remark"\n') != hashed('x = "# another"\n')


def test_a_module_outside_the_package_is_no_code_of_ours(hashed, tmp_path):
    (tmp_path / "toy_for_hashing_part.py").write_text("def f(x):\n    return x + 1\n")
    hashed(PLAIN.replace("import math\n", "import math\nfrom toy_for_hashing_part import f as h\n"))
    assert modules("toy_for_hashing") == ("toy_for_hashing",)


def test_imports_lead_to_the_networks_and_not_to_the_runner():
    found = modules(experiment("dual_path").module)
    assert {"resnetbook.timeline.dual_path", "resnetbook.lab.training", "resnetbook.principle.block"} <= set(
        found
    )
    assert not [name for name in found if name.startswith(("resnetbook.lab.running", "resnetbook.survey"))]
    assert "resnetbook.timeline.nasnet" not in found


def test_the_comparison_depends_on_each_network_that_it_compares():
    found = modules(experiment("comparison").module)
    assert {"resnetbook.timeline.nasnet", "resnetbook.timeline.resnext", "resnetbook.timeline.ror"} <= set(
        found
    )


def test_no_experiment_reaches_its_networks_by_name_alone():
    for item in experiments():
        for name in modules(item.module):
            if name.startswith("resnetbook.experiments"):
                path = Path(__file__).parents[2] / "src" / (name.replace(".", "/") + ".py")
                if path.is_file():
                    assert not re.search(r"import_module|create_model", path.read_text()), name


def test_the_lab_is_a_floor_and_no_experiment_imports_another():
    root = Path(__file__).parents[2]
    chapters = r"resnetbook\.(principle|timeline|structure|medical|outlook|experiments|grading)"
    found = subprocess.run(
        ["git", "grep", "-nE", rf"^\s*(from|import) {chapters}", "--", "src/resnetbook/lab"],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.stdout == ""
    assert found.returncode == 1  # git looked, and found nothing
    known = {item.module for item in experiments()}
    for item in experiments():
        text = (root / "src" / (item.module.replace(".", "/") + ".py")).read_text()
        imported = set(re.findall(r"from (resnetbook\.experiments\.\S+) import", text))
        names = {
            f"{m}.{n.strip()}"
            for m, ns in re.findall(r"from (resnetbook\.experiments\S*) import ([^\n(]+)", text)
            for n in ns.split(",")
        }
        assert not (imported | names) & known, item.name
