"""Inside the kernel: lines that only serve the student's own machine cost nothing here.

A notebook from Colab, a widget backend, an installed tool: the import or the magic is not here, and the answer behind it
does not need it. What an answer does need still fails, where it is used.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

__all__ = ["Absent", "lend", "soften"]

_INSTALLERS = {"pip", "conda", "mamba", "micromamba", "uv"}
_INSTALL = re.compile(
    r"\s*(?:sudo\s+)?(?:\S*python[\d.]*\s+-m\s+)?(?:pip[\d.]*|conda|mamba|uv|apt|apt-get|apt-fast)\s"
)
_AIDS = _INSTALLERS | {"load_ext", "reload_ext", "autoreload", "config", "matplotlib", "cd", "mkdir"}
_QUIET = ("google.colab", "ipympl", "kaggle_secrets")
_KERNEL = "__import__('sys').modules['resnetbook.grading._lenient']"


class Absent:
    """Stands for what could not be imported: quiet for an aid of another platform, an error on use for the rest."""

    def __init__(self, name: str, reason: str) -> None:
        self._name, self._reason = name, reason

    def _used(self) -> Absent:
        if self._name.startswith(_QUIET):
            return self
        raise ModuleNotFoundError(
            f"{self._name} could not be imported where notebooks are graded: {self._reason}"
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._used()

    def __call__(self, *_: Any, **__: Any) -> Any:
        return self._used()

    def __iter__(self) -> Iterator[Any]:
        self._used()
        return iter(())

    def __enter__(self) -> Absent:
        return self._used()

    def __exit__(self, *_: object) -> None:
        return None


def lend(name: str, error: ImportError) -> Absent:
    """An object in place of a module, or of something in it."""
    return Absent(name, str(error))


class _Imports(ast.NodeTransformer):
    """Lets an import at the top level of a cell fail late: an import within `try` is the author's own affair."""

    def visit_Module(self, node: ast.Module) -> ast.Module:
        """Put each import into a `try` that binds its names to something that fails on use."""
        node.body = [s for statement in node.body for s in self._late(statement)]
        return ast.fix_missing_locations(node)

    def _late(self, statement: ast.stmt) -> list[ast.stmt]:
        if (
            not isinstance(statement, ast.Import | ast.ImportFrom)
            or getattr(statement, "module", "") == "__future__"
        ):
            return [statement]
        if isinstance(statement, ast.ImportFrom):
            names = {
                a.asname or a.name: f"{statement.module}.{a.name}" for a in statement.names if a.name != "*"
            }
        else:
            names = {a.asname or a.name.partition(".")[0]: a.name for a in statement.names}
        late = "".join(f"    {name} = {_KERNEL}.lend({full!r}, _absent)\n" for name, full in names.items())
        (attempt,) = ast.parse(f"try:\n    pass\nexcept ImportError as _absent:\n{late or '    pass'}").body
        for part in ast.walk(attempt):
            if hasattr(part, "lineno"):
                ast.copy_location(part, statement)
        attempt.body = [statement]  # type: ignore[attr-defined]
        return [attempt]


def soften(shell: Any) -> None:
    """Prepare a shell: imports fail late, nothing is installed, figures are drawn without a window.

    Args:
        shell: IPython's interactive shell.
    """
    line_magic, cell_magic, system, output = (
        shell.run_line_magic,
        shell.run_cell_magic,
        shell.system,
        shell.getoutput,
    )

    def run_line_magic(name: str, line: str, _stack_depth: int = 1) -> Any:
        if name in _INSTALLERS:
            return None
        if name == "matplotlib" and "-l" not in line:
            line = "inline"
        try:
            return line_magic(name, line, _stack_depth=_stack_depth + 1)
        except Exception as error:
            if name in _AIDS or shell.find_line_magic(name) is None:
                print(f"passed over: %{name} {line} ({error})")
                return None
            raise

    def run_cell_magic(name: str, line: str, cell: str) -> Any:
        if shell.find_cell_magic(name) is None and shell.find_line_magic(name) is None:
            print(f"passed over: %%{name} {line}")
            exec(compile(shell.transform_cell(cell), "<cell>", "exec"), shell.user_ns)
            return None
        return cell_magic(name, line, cell)

    shell.run_line_magic, shell.run_cell_magic = run_line_magic, run_cell_magic
    shell.system = lambda command: None if _INSTALL.match(command) else system(command)
    shell.getoutput = lambda command, *a, **k: [] if _INSTALL.match(command) else output(command, *a, **k)
    shell.ast_transformers.append(_Imports())
