"""What stands behind "≈" is left out of nbval's comparison, and nothing else is."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbval.plugin import get_sanitize_patterns

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "tests/notebooks/sanitize.cfg"

# What a cell printed, what it prints now, and whether that is the same to a reader who goes by the rules.
CASES = [
    ("ratio ≈ 11.8 (held below 30)", "ratio ≈ 12.1 (held below 30)", True),
    ("ratio  ≈  9.8 (held below 30)", "ratio  ≈ 12.1 (held below 30)", True),
    ("a ≈ -3.1e-05, b ≈ 1,204 and c ≈ 7 %", "a ≈ 2.9e-05, b ≈ 981 and c ≈ 12 %", True),
    ("norms ≈ [1.2, 3.4]", "norms ≈ [1.25, 3.0]", True),
    ("56 layers, ratio ≈ 11.8", "57 layers, ratio ≈ 11.8", False),
    ("ratio ≈ 11.8 (held below 30)", "ratio ≈ 11.8 (held below 31)", False),
    ("ratio ≈ 11.8", "ratio = 11.8", False),
    ("ratio ≈ 11.8", "ratio ≈ nan", False),
    ("ratio ≈ 11.8\n56 layers", "ratio ≈ 11.8\n20 layers", False),
]


def sanitised(text: str) -> str:
    for pattern, replacement in get_sanitize_patterns(RULES.read_text("ascii")):
        text = re.sub(pattern, replacement, text)
    return text


@pytest.mark.parametrize(("before", "now", "same"), CASES)
def test_the_rule(before: str, now: str, same: bool) -> None:
    assert (sanitised(before) == sanitised(now)) is same


@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["{:.3f}", "{:g}", "{}", "{:,.1f}", "{:+.2e}", "{:>12.4g}", "{:<9.3g}", "[{0:.2f}, {0:.1f}]"]),
)  # fmt: skip
def test_any_number_in_any_format_is_left_out(first: float, second: float, form: str) -> None:
    one, other = (f"{sanitised(f'x ≈ {form.format(value)} m')}" for value in (first, second))
    assert one == other
    assert one.startswith("x ")
    assert one.endswith("m"), "what follows the number stays"


@given(st.text().filter(lambda text: "≈" not in text))
def test_a_text_without_the_sign_stays(text: str) -> None:
    assert sanitised(text) == text


@pytest.mark.notebook
def test_nbval_goes_by_the_rule(tmp_path: Path) -> None:
    """The cases above as cells of one notebook, run as the Makefile runs the chapters."""
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})  # fmt: skip
    for before, now, _ in CASES:
        output = nbformat.v4.new_output("stream", name="stdout", text=before + "\n")
        cell = nbformat.v4.new_code_cell(f"print({now!r})", outputs=[output], execution_count=1)
        cell.metadata.tags = ["nbval-check-output"]
        notebook.cells.append(cell)
    nbformat.write(notebook, tmp_path / "small.ipynb")
    options = ["--nbval-lax", "--nbval-current-env", "--nbval-sanitize-with", str(RULES)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "small.ipynb", "-q", "-rA", "-p", "no:cacheprovider", *options],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    passed, failed = (
        {int(n) for n in re.findall(rf"^{word} .*::Cell (\d+)", done.stdout, re.M)}
        for word in ("PASSED", "FAILED")
    )
    assert passed == {number for number, case in enumerate(CASES) if case[2]}, done.stdout[-3000:]
    assert failed == {number for number, case in enumerate(CASES) if not case[2]}


def test_the_makefile_compares_by_the_rule() -> None:
    """Dry runs: whatever target runs notebooks names the file of rules."""
    for target in ("test", "test-lowest"):
        shown = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True).stdout
        runs = [line for line in shown.replace("\\\n", " ").splitlines() if "--nbval-lax" in line]
        assert runs, f"make {target} runs no notebook"
        assert all("--nbval-sanitize-with tests/notebooks/sanitize.cfg" in line for line in runs)
