"""`resnetbook.grading._lean` keeps a slow import out of the grading process, and notebooks validate all the same."""

import os
import subprocess
import sys
from pathlib import Path

# A stand-in that says when it is imported: the real grammar is there only with some of jupyter's extras.
STAND_IN = "print('imported')\ndef is_valid_syntax(*args): return True\ndef is_valid_syntax_iri(*args): return True\n"


def output(folder: Path, first: str) -> str:
    """Return what is printed where nbval's import of jsonschema and a notebook's validation follow `first`."""
    (folder / "rfc3987_syntax.py").write_text(STAND_IN)
    code = f"{first}\nimport jsonschema, nbformat\nnbformat.validate(nbformat.v4.new_notebook())"
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_grammar_is_kept_out_and_notebooks_still_validate(tmp_path: Path) -> None:
    assert output(tmp_path, "") == "imported", "the control: without _lean jsonschema imports it"
    assert output(tmp_path, "import resnetbook.grading._lean") == ""
