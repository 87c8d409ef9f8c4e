"""Which names a piece of source defines, which it needs from elsewhere, and which it changes."""

from __future__ import annotations

import ast
import builtins
import re
import symtable
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from resnetbook.grading.syntax import is_line_magic, parse

__all__ = ["Names", "names_of", "same_code", "statements"]

_DEFINITION = re.compile(r"^(?:async\s+def|def|class)\s+(\w+)|^(\w+)\s*(?::[^=\n]+)?=(?!=)", re.MULTILINE)
_BUILTIN = frozenset(dir(builtins)) | {"get_ipython", "display", "In", "Out", "exit", "quit"}
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
# Calls made for what they show or return. Any other call that stands as a statement is taken to change what it is given.
_READERS = frozenset((
    "print", "display", "pprint", "len", "type", "help", "repr", "str", "id", "dir", "vars", "isinstance", "hash", "format",
    "sorted", "sum", "min", "max", "any", "all", "list", "tuple", "set", "dict", "iter", "items", "keys", "values", "get",
    "head", "tail", "describe", "info", "show", "plot", "imshow", "hist", "scatter", "mean", "count", "index", "copy",
    "parameters", "named_parameters", "state_dict", "summary", "tolist", "numpy", "item",
))  # fmt: skip
_MUTATORS = frozenset((
    "append", "extend", "insert", "add", "update", "setdefault", "pop", "popitem", "remove", "discard", "clear", "sort",
    "reverse",
))  # fmt: skip
_COMPREHENSIONS = ("listcomp", "setcomp", "dictcomp", "genexpr")
_SHOWN = frozenset({"plt", "ax", "axes", "fig", "sns"})


@dataclass(frozen=True)
class Names:
    """The names of a cell.

    `defines` are bound at its top level, among them `imports` and `functions` (classes too); `uses` are read and not bound.
    `now` are read when the cell runs, before it binds them, `later` when its functions are called. `changes` are objects
    that it alters without binding them, `given` objects handed to a function that may alter them; `calls` are the functions
    that it calls, `effects` what each of its own alters. `star` is true if it imports names that only the run can tell.
    """

    defines: frozenset[str]
    uses: frozenset[str]
    imports: frozenset[str] = frozenset()
    functions: frozenset[str] = frozenset()
    now: frozenset[str] = frozenset()
    later: frozenset[str] = frozenset()
    changes: frozenset[str] = frozenset()
    given: frozenset[str] = frozenset()
    calls: frozenset[str] = frozenset()
    effects: Mapping[str, frozenset[str]] = field(default_factory=dict)
    star: bool = False


@lru_cache(maxsize=4096)
def names_of(source: str) -> Names:
    """Find the names of a cell, read as IPython reads it.

    Source that cannot be parsed gets its definitions by their looks (`def f`, `class C`, `x =` at the left margin) and
    no uses.
    """
    try:
        tree = parse(source)
        star = _without_stars(tree)
        table = symtable.symtable(ast.unparse(ast.fix_missing_locations(tree)), "cell", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Names(frozenset(a or b for a, b in _DEFINITION.findall(source)), frozenset())
    symbols = table.get_symbols()
    defines = {s.get_name() for s in symbols if s.is_assigned() or s.is_imported() or s.is_namespace()}
    now = {s.get_name() for s in symbols if s.is_referenced()}
    now |= {_root(node.target) for node in _walk(tree.body) if isinstance(node, ast.AugAssign)} - {""}
    later: set[str] = set()
    _read(table, now, later)
    changes, given, calls = _altered(tree.body)
    return Names(
        defines=frozenset(defines),
        uses=frozenset((now | later) - defines - _BUILTIN),
        imports=frozenset(s.get_name() for s in symbols if s.is_imported()),
        functions=frozenset(s.get_name() for s in symbols if s.is_namespace()),
        now=frozenset((now & _first_read(tree.body)) - _BUILTIN),
        later=frozenset(later - _BUILTIN),
        changes=frozenset(changes),
        given=frozenset(given),
        calls=frozenset(calls),
        effects=dict(_effects(tree.body)),
        star=star,
    )


def _without_stars(tree: ast.Module) -> bool:
    """Take `from x import *` out of a tree, for it binds no name that can be read; tell whether there was one."""
    stars = [s for s in tree.body if isinstance(s, ast.ImportFrom) and s.names[0].name == "*"]
    tree.body = [s for s in tree.body if s not in stars] or [ast.Pass()]
    return bool(stars)


def _read(table: symtable.SymbolTable, now: set[str], later: set[str]) -> None:
    """Collect the global names that scopes inside a table read: a class's body and a comprehension run at once."""
    for child in table.get_children():
        at_once = child.get_type() == "class" or child.get_name().strip("<>") in _COMPREHENSIONS
        target = now if at_once else later
        target.update(s.get_name() for s in child.get_symbols() if s.is_global() and s.is_referenced())
        _read(child, target, later)


def _walk(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """All nodes that run when the statements run, not those inside of functions."""
    for node in nodes:
        yield node
        if isinstance(node, _SCOPES):
            defaults = [default for default in (*node.args.defaults, *node.args.kw_defaults) if default]
            yield from _walk([*getattr(node, "decorator_list", ()), *defaults])
        else:
            yield from _walk(ast.iter_child_nodes(node))


def _first_read(body: Iterable[ast.stmt]) -> set[str]:
    """Names that a statement reads and no statement before it has bound."""
    read: set[str] = set()
    bound: set[str] = set()
    for statement in body:
        nodes = list(_walk([statement]))
        loaded = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
        stored = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        loaded |= {_root(node.target) for node in nodes if isinstance(node, ast.AugAssign)}
        read |= loaded - bound
        bound |= stored
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound.add(statement.name)
    return read


def _root(node: ast.AST) -> str:
    """The name at the root of `a.b[0].c`, empty where there is none."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Starred):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _altered(body: Iterable[ast.AST]) -> tuple[set[str], set[str], set[str]]:
    """(names whose objects the statements alter, those that they hand to a function, the functions that they call)."""
    changes: set[str] = set()
    given: set[str] = set()
    calls: set[str] = set()
    for node in _walk(body):
        if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            changes.add(_root(node))
        elif isinstance(node, ast.AugAssign):
            changes.add(_root(node.target))
        elif isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                calls.add(node.func.id)
            elif isinstance(node.func, ast.Attribute) and node.func.attr in _MUTATORS:
                changes.add(_root(node.func))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            function = node.value.func
            last = function.attr if isinstance(function, ast.Attribute) else _root(function)
            if last not in _READERS and _root(function) not in _SHOWN and not last.startswith("assert"):
                handed = [*node.value.args, *(keyword.value for keyword in node.value.keywords)]
                given.update(_root(argument) for argument in handed)
                if isinstance(function, ast.Attribute):
                    changes.add(_root(function))
    return changes - {""}, given - {""}, calls


def _effects(body: Iterable[ast.stmt]) -> Iterator[tuple[str, frozenset[str]]]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            own = {a.arg for a in ast.walk(node.args) if isinstance(a, ast.arg)}
            stored = {
                n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
            }
            shared = {name for n in ast.walk(node) if isinstance(n, ast.Global) for name in n.names}
            changes, given, _ = _altered(node.body)
            yield node.name, frozenset(((changes | given) - own - (stored - shared)) | (shared & stored))


def statements(source: str) -> dict[str, str]:
    """The last definition of each name at the top level of a cell, as a syntax tree without comments and layout."""
    try:
        body = parse(source).body
    except (SyntaxError, ValueError):
        return {}
    found = {}
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found[node.name] = ast.dump(node)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found.update((t.id, ast.dump(node)) for t in targets if isinstance(t, ast.Name))
    return found


def same_code(a: str, b: str) -> bool:
    """Tell whether two sources are the same program, comments, layout and lines that only ask for help aside."""
    return a == b or _program(a) == _program(b)


@lru_cache(maxsize=4096)
def _program(source: str) -> str:
    """The source without comments and layout: its syntax tree, or its words where it does not parse."""
    try:
        tree = parse(source)
        tree.body = [node for node in tree.body if not is_line_magic(node)]
        return ast.dump(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return " ".join(source.split())
