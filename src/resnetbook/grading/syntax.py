"""Source as IPython reads it: magics, help lines, shell commands and an `await` outside of functions are no errors."""

from __future__ import annotations

import ast
import re
from functools import lru_cache
from typing import Any

__all__ = ["compiles", "is_line_magic", "parse", "python_of"]

_RUNS_ITS_BODY = {"time", "timeit", "capture", "prun"}  # magics whose text is Python of the cell itself
_OPTIONS = re.compile(r"(?:\s*-\w+(?:\s+\d+)?)*\s*")


def parse(source: str) -> ast.Module:
    """Parse a cell; what `%%time` and its like run stands in the tree itself.

    Raises:
        SyntaxError: neither Python nor IPython can make anything of it.
        ValueError: it holds a null character, or is nested too deeply.
    """
    try:
        try:
            return ast.parse(source)
        except SyntaxError:
            tree = ast.parse(_transformed(source))
            tree.body = [found for statement in tree.body for found in _inlined(statement)]
            return tree
    except (RecursionError, MemoryError):
        raise ValueError("the source is nested too deeply") from None


def python_of(source: str) -> str:
    """A cell as plain Python. Raises as `parse`."""
    try:
        return ast.unparse(ast.fix_missing_locations(parse(source)))
    except RecursionError:
        raise ValueError("the source is nested too deeply") from None


def compiles(source: str) -> bool:
    """Tell whether a cell would start to run: its syntax is right as a whole."""
    try:
        tree = ast.fix_missing_locations(parse(source))
        compile(tree, "cell", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def is_line_magic(statement: ast.stmt) -> bool:
    """Tell whether a statement is a line magic or a question such as `nn.Conv2d?`, and nothing else."""
    magic = _magic(statement.value) if isinstance(statement, ast.Expr) else None
    return magic is not None and not magic[2]


@lru_cache(maxsize=1)
def _manager() -> Any:
    from IPython.core.inputtransformer2 import TransformerManager

    return TransformerManager()


def _transformed(source: str) -> str:
    try:
        text: str = _manager().transform_cell(source)
    except SyntaxError:
        raise
    except Exception as error:  # a tokenizer that stumbles says no more than that
        raise SyntaxError(str(error)) from None
    return text


def _magic(node: ast.expr) -> tuple[str, str, str] | None:
    """(name, line, body) of a call that IPython makes of a magic; a line magic has no body."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return None
    texts = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
    if node.func.attr == "run_line_magic" and len(texts) == 2:
        return texts[0], texts[1], ""
    if node.func.attr == "run_cell_magic" and len(texts) == 3:
        return texts[0], texts[1], texts[2]
    return None


def _inlined(statement: ast.stmt) -> list[ast.stmt]:
    """The statements that a magic runs, in place of the magic."""
    magic = _magic(statement.value) if isinstance(statement, ast.Expr) else None
    if magic is None or magic[0] not in _RUNS_ITS_BODY:
        return [statement]
    name, line, body = magic
    try:
        if name == "capture":
            words = [word for word in line.split() if word.isidentifier()]
            return [*ast.parse("".join(f"{word} = None\n" for word in words)).body, *parse(body).body]
        return [*parse(line[_OPTIONS.match(line).end() :]).body, *parse(body).body]  # type: ignore[union-attr]
    except (SyntaxError, ValueError):
        return [statement]
