"""A sample of mutants: small changes of the package's code, drawn by a seed.

Cosmic Ray makes the changes; this file says which of its operators count, where they may stand, and draws. A draw goes
first to a place in the code (a comparison, an arithmetic operator, a number, a truth value, a condition), each with the
same chance, and then to one of the changes that are possible there. Chance is a hash of the seed, the module, the
function and the line's text, so that a changed line changes its own draw and hardly any other.
"""

import ast
import difflib
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.ast.ast_query import ASTQuery
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from mutants_tests import modules

_COMPARISONS = [
    *("Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is"),
    *("Lt_LtE", "Lt_GtE", "LtE_Lt", "LtE_Gt", "Gt_GtE", "Gt_LtE", "GtE_Gt", "GtE_Lt"),
]
_ARITHMETIC = [
    *("Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "FloorDiv_Mul", "Mod_Mul", "Pow_Mul"),
    *("BitOr_BitAnd", "BitAnd_BitOr"),
]
_OPERATORS = {
    **{f"core/ReplaceComparisonOperator_{change}": "comparison" for change in _COMPARISONS},
    **{f"core/ReplaceBinaryOperator_{change}": "operator" for change in _ARITHMETIC},
    "core/ReplaceUnaryOperator_Delete_USub": "operator",
    "core/NumberReplacer": "number",
    "core/ReplaceTrueWithFalse": "truth value",
    "core/ReplaceFalseWithTrue": "truth value",
    "core/AddNot": "condition",
    "core/ReplaceUnaryOperator_Delete_Not": "condition",
    "core/ReplaceAndWithOr": "condition",
    "core/ReplaceOrWithAnd": "condition",
}

Place = tuple[int, int]


@dataclass(frozen=True)
class Mutant:
    """One change: its module (a path from the root), Cosmic Ray's operator and the operator's occurrence in the module.

    `kind` is one of the five kinds; `removed` and `added` are the lines that change, without the space around them.
    """

    module: str
    function: str
    kind: str
    operator: str
    occurrence: int
    start: Place
    end: Place
    removed: str
    added: str


def _chance(*parts: object) -> str:
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()


def _ranges(nodes: list[ast.AST], lines: list[str]) -> list[tuple[Place, Place]]:
    """Return first and last place of each node; columns in characters, as parso has them, not in bytes."""

    def place(line: int, column: int) -> Place:
        return line, len(lines[line - 1].encode()[:column].decode())

    return [(place(n.lineno, n.col_offset), place(n.end_lineno, n.end_col_offset)) for n in nodes]


class _Zones:
    """Where a change counts: outside annotations and the condition of what is imported for them; an arithmetic operator
    between two operands, not the bare `*` of a list of arguments."""

    def __init__(self, source: str) -> None:
        tree, lines = ast.parse(source), source.split("\n")
        nodes = list(ast.walk(tree))
        notes = [getattr(n, name, None) for n in nodes for name in ("annotation", "returns")]
        notes += [n.test for n in nodes if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test)]
        self._notes = _ranges([n for n in notes if isinstance(n, ast.AST)], lines)
        binary = [n for n in nodes if isinstance(n, ast.BinOp)]
        left, right = _ranges([n.left for n in binary], lines), _ranges([n.right for n in binary], lines)
        self._between = [(a[1], b[0]) for a, b in zip(left, right, strict=True)]

    def allow(self, start: Place, end: Place, operator: str) -> bool:
        if any(first <= start and end <= last for first, last in self._notes):
            return False
        inside = any(first <= start and end <= last for first, last in self._between)
        return inside or "Binary" not in operator


def places(source: str) -> dict[tuple[Place, Place], list[tuple[str, int, str]]]:
    """Return for each place (first, last) the changes possible there: operator, occurrence, innermost function."""
    zones, seen = _Zones(source), Counter[str]()
    operators = {name: get_operator(name)() for name in _OPERATORS}
    found = defaultdict(list)
    for node in ast_nodes(get_ast(source)):
        for name, operator in operators.items():
            for start, end in operator.mutation_positions(node):
                if zones.allow(start, end, name):
                    where = ASTQuery(node).get_definition_name() or ""
                    found[start, end].append((name, seen[name], where))
                seen[name] += 1
    return found


def _changed(source: str, mutated: str) -> tuple[str, str]:
    removed, added = [], []
    for line in difflib.ndiff(source.split("\n"), mutated.split("\n")):
        if line.startswith("- "):
            removed.append(line[2:].strip())
        elif line.startswith("+ "):
            added.append(" ".join(line.split()[1:]))  # Cosmic Ray puts a space before what it puts in
    return "\n".join(removed), "\n".join(added)


def _means_another(source: str, mutated: str) -> bool:
    try:
        return ast.dump(ast.parse(mutated)) != ast.dump(ast.parse(source))
    except SyntaxError:
        return False


def _drawn(root: Path, package: str, seed: int) -> Iterator[Mutant]:
    sources = {m.as_posix(): (root / m).read_text(encoding="utf-8") for m in modules(package, root)}
    ranked = []
    for module, source in sources.items():
        lines, same = source.split("\n"), Counter[tuple[str, ...]]()
        for (start, end), changes in sorted(places(source).items()):
            here = (module, changes[0][2], lines[start[0] - 1].strip())
            ranked.append((_chance(seed, *here, same[here]), module, start, end, changes))
            same[here] += 1
    for chance, module, start, end, changes in sorted(ranked):
        for name, occurrence, function in sorted(changes, key=lambda c, key=chance: _chance(key, *c[::2])):
            mutated = mutate_code(sources[module], get_operator(name)(), occurrence)
            if mutated is not None and _means_another(sources[module], mutated):
                kind, diff = _OPERATORS[name], _changed(sources[module], mutated)
                yield Mutant(module, function, kind, name, occurrence, start, end, *diff)
                break


def draw(root: Path, package: str, count: int, seed: int) -> list[Mutant]:
    """Draw `count` mutants of `package`, no two at one place; fewer where the package has fewer places."""
    return [mutant for mutant, _ in zip(_drawn(root, package, seed), range(count), strict=False)]
