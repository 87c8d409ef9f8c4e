"""Which names a piece of source defines, and which it needs from elsewhere."""

from __future__ import annotations

import ast
import builtins
import re
import symtable
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

__all__ = ["Names", "names_of", "same_code"]

_DEFINITION = re.compile(r"^(?:async\s+def|def|class)\s+(\w+)|^(\w+)\s*(?::[^=\n]+)?=(?!=)", re.MULTILINE)
_MAGIC = re.compile(r"^(\s*)[%!?].*$", re.MULTILINE)
_BUILTIN = frozenset(dir(builtins)) | {"get_ipython", "display", "In", "Out", "exit", "quit"}


@dataclass(frozen=True)
class Names:
    """Names bound at the top level of a cell, and names that it reads without binding them."""

    defines: frozenset[str]
    uses: frozenset[str]


@lru_cache(maxsize=4096)
def names_of(source: str) -> Names:
    """Find the names of a cell; lines of IPython magic are passed over.

    Source that Python cannot parse gets its definitions by their looks (`def f`, `class C`, `x =` at the left
    margin) and no uses.
    """
    try:
        table = symtable.symtable(_MAGIC.sub(r"\1pass", source), "cell", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Names(frozenset(a or b for a, b in _DEFINITION.findall(source)), frozenset())
    defines = frozenset(
        symbol.get_name()
        for symbol in table.get_symbols()
        if symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()
    )
    uses = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_referenced()}
    uses.update(_globals_read(table))
    return Names(defines, frozenset(uses) - defines - _BUILTIN)


def _globals_read(table: symtable.SymbolTable) -> Iterator[str]:
    for child in table.get_children():
        yield from (s.get_name() for s in child.get_symbols() if s.is_global() and s.is_referenced())
        yield from _globals_read(child)


def same_code(a: str, b: str) -> bool:
    """Tell whether two sources are the same program, comments and layout aside."""
    return a == b or _program(a) == _program(b)


@lru_cache(maxsize=4096)
def _program(source: str) -> str:
    """The source without comments and layout: its syntax tree, or its words where it does not parse."""
    try:
        return ast.dump(ast.parse(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return " ".join(source.split())
