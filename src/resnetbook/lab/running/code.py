"""Which code decides an experiment's numbers: found from its imports, and hashed without what cannot change a number."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

from resnetbook.lab.running.experiment import Experiment

# They decide which jobs run and where a result is written, never what a job computes.
OUTSIDE = ("resnetbook.lab.running", "resnetbook.lab.results", "resnetbook.lab._files", "resnetbook._paths")


def code_hash(found: Experiment) -> str:
    """Return the SHA-256 of the code that decides the experiment's numbers.

    It covers the experiment's module and every module of the package that it imports, directly or not, in functions too.
    Statements count in alphabetical order and without comments, docstrings and imports: to move a function, rename a file
    or correct a word asks for nothing.
    """
    statements = [text for name in modules(found.module) for text in _statements(_source(name))]
    return hashlib.sha256("\n".join(sorted(statements)).encode()).hexdigest()


def modules(name: str) -> tuple[str, ...]:
    """Return the package's modules that `name` reaches by imports, itself included, sorted."""
    top, seen, waiting = name.split(".")[0], set[str](), [name]
    while waiting:
        here = waiting.pop()
        if here in seen or here.startswith(OUTSIDE):
            continue
        seen.add(here)
        waiting += [
            each for each in _imports(_source(here), here) if each.split(".")[0] in (top, "resnetbook")
        ]
    return tuple(sorted(seen))


def _imports(tree: ast.Module, here: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if _path(alias.name) is not None)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            found = [name for name in inner if _path(name) is not None]
            yield from found
            # A name that is no module of its own stands in the package itself.
            if len(found) < len(inner) and _path(node.module) is not None:
                yield node.module


def _path(name: str) -> Path | None:
    if name.split(".")[0] != "resnetbook":
        return None
    root = Path(__file__).resolve().parents[2]
    path = root.joinpath(*name.split(".")[1:])
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


def _source(name: str) -> ast.Module:
    path = _path(name)
    if path is None:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise ValueError(f"module={name!r}: expected the name of a module with a source file")
        path = Path(spec.origin)
    return ast.parse(path.read_text(encoding="utf-8"))


def _statements(tree: ast.Module) -> Iterator[str]:
    """Return the module's statements as text, one by one, without docstrings and imports."""
    bare = _Bare().visit(tree)
    yield from map(ast.unparse, bare.body)


class _Bare(ast.NodeTransformer):
    """Takes out imports, docstrings and other lone strings."""

    def visit_Import(self, node: ast.Import) -> None:
        return None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        return None

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if text else self.generic_visit(node)
