"""`resnetbook.grading._lean` keeps a slow import out of the grading process, and nothing else."""

import subprocess
import sys


def started(before: str) -> bool:
    """Whether nbformat's validator works after `before`, and whether the grammar was imported: printed and read back."""
    code = f"{before}\nimport sys, nbformat\nnbformat.validate(nbformat.v4.new_notebook())\nprint(sys.modules.get('rfc3987_syntax'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip() != "None"


def test_the_grammar_is_kept_out_and_notebooks_still_validate() -> None:
    assert not started("import resnetbook.grading._lean")


def test_a_grammar_that_is_loaded_already_is_left_alone() -> None:
    assert started(
        "import sys, types; sys.modules['rfc3987_syntax'] = types.ModuleType('x'); sys.modules['rfc3987_syntax'].is_valid_syntax = None; import resnetbook.grading._lean"
    )
