"""Names that a check or a self-check defines and other cells need.

A check is not run again after a kernel died, a self-check is not run by the grader at all. So what no answer decides
(imports, helpers, constants) is run in front of it in any case.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

from resnetbook.grading.names import names_of
from resnetbook.grading.notebook import Cell
from resnetbook.grading.syntax import parse

__all__ = ["prelude", "shared"]


def shared(cells: Sequence[Cell], kinds: Sequence[str]) -> dict[int, tuple[frozenset[str], str]]:
    """Find, for each check and self-check, the names that other cells need of it, and say so in words.

    Args:
        cells: the cells of a master.
        kinds: the kind of each.
    """
    found = [names_of(cell.source if cell.kind == "code" else "") for cell in cells]
    kept = {
        n
        for names, kind in zip(found, kinds, strict=True)
        if kind in ("given", "solution")
        for n in names.defines
    }
    needed: dict[int, tuple[frozenset[str], str]] = {}
    for index, kind in enumerate(kinds):
        if kind in ("check", "public"):
            wanting = [
                (other, found[index].defines & names.uses)
                for other, names in enumerate(found)
                if other != index
            ]
            names = frozenset(name for _, some in wanting for name in some) - kept
            if names:
                first = next(other for other, some in wanting if some & names)
                needed[index] = names, f"another cell (cell {first + 1}) needs its name {sorted(names)[0]!r}"
    return needed


def prelude(source: str, wanted: frozenset[str], answers: frozenset[str]) -> str:
    """The statements of a cell that define the wanted names, without those that run what an answer defines."""
    try:
        body = parse(source).body
    except (SyntaxError, ValueError):
        return ""
    names = [names_of(ast.unparse(statement)) for statement in body]
    chosen: set[int] = set()
    while True:
        more = {i for i, n in enumerate(names) if n.defines & wanted and not n.now & answers} - chosen
        if not more:
            return "\n".join(ast.unparse(body[i]) for i in sorted(chosen))
        chosen |= more
        wanted = wanted | {name for i in more for name in names[i].uses}
