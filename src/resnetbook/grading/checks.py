"""A check on its way into the kernel and its answer on the way back.

What an assert compares and the value of the last expression leave the kernel together, behind a token that is drawn anew
for each check and stands in it alone. Outside, the token must be the one that was sent, no assert that is run in any case
may be missing, each comparison is made again on plain values, and the last value must equal the reference.
What holds: a function that is wrong, an object that equals everything, a swallowed error, a check that was emptied, a
guess, a replaced `assert` function gain nothing. What cannot hold: asserts carry the expected values into the kernel.
Code that reads the check that is being run, or replaces this package's own functions there, can answer as if it had passed.
A check that ends in a value has no such weakness: the reference never enters the kernel.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from resnetbook.grading.operands import OPERATORS, holds
from resnetbook.grading.syntax import parse

__all__ = ["Sent", "sent", "taken"]

_KERNEL = "__import__('sys').modules['resnetbook.grading._kernel']"
_SIGNS = dict(
    zip((ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn), OPERATORS, strict=True)
)
_EQUALITY = re.compile(
    r"(?:^|_)(?:equals?|eq|i?s?close|allclose)_?$|^assert(?:Almost|List|Dict|Tuple|Set)?Equals?$"
)
_NEARLY = re.compile(r"close|almost", re.IGNORECASE)
_MESSAGES = {"msg", "err_msg", "message", "verbose"}


@dataclass(frozen=True)
class Sent:
    """A check as it is sent: its source, its token, and the numbers of the asserts that run in any case."""

    source: str
    token: str
    always: frozenset[int]


class _Asserts(ast.NodeTransformer):
    """Lets each assert, and each call such as `assert_equal(a, b)`, show what it compares.

    A call with tolerances of its own is left alone: what it lets through is not known here.
    """

    def __init__(self) -> None:
        self.count = 0

    def _call(self, name: str, *given: ast.expr) -> ast.Call:
        self.count += 1
        function = ast.parse(f"{_KERNEL}.{name}", mode="eval").body
        return ast.Call(function, [ast.Constant(self.count), *given], [])

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        """`assert a == b` becomes `assert compare(1, "==", a, b)`, any other `assert truth(1, test)`."""
        test = node.test
        if isinstance(test, ast.Compare) and len(test.ops) == 1 and type(test.ops[0]) in _SIGNS:
            sign = ast.Constant(_SIGNS[type(test.ops[0])])
            node.test = self._call("compare", sign, test.left, test.comparators[0])
        else:
            self._pair(test)
            node.test = self._call("truth", test)
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        """`assert_equal(a, b)` becomes `assert_equal(*pair(1, a, b))`."""
        self._pair(node.value)
        return node

    def _pair(self, call: ast.expr) -> None:
        if not isinstance(call, ast.Call) or len(call.args) < 2:
            return
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        told = len(call.args) > 2 or any(keyword.arg not in _MESSAGES for keyword in call.keywords)
        starred = any(isinstance(argument, ast.Starred) for argument in call.args)
        own_bounds = bool(_NEARLY.search(name)) and told
        if _EQUALITY.search(name) and "not" not in name.lower() and not starred and not own_bounds:
            call.args[:2] = [ast.Starred(self._call("pair", *call.args[:2]), ast.Load())]


def sent(source: str, token: str, *, plain: bool = False) -> Sent:
    """Rewrite a check for the kernel.

    Args:
        source: the check.
        token: what no one else can know.
        plain: the last value may be of a type that cannot be judged; it is then left out.

    Raises:
        SyntaxError, ValueError: the source cannot be parsed.
    """
    tree, asserts = parse(source), _Asserts()
    if tree.body and isinstance(tree.body[0], ast.Expr) and isinstance(tree.body[0].value, ast.Constant):
        tree.body = tree.body[1:] or tree.body  # a docstring
    always: set[int] = set()
    for statement in tree.body:
        before = asserts.count
        asserts.visit(statement)
        if isinstance(statement, ast.Assert | ast.Expr):
            always |= set(range(before + 1, asserts.count + 1))
    last: ast.expr = ast.Constant(None)
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        last = tree.body.pop().value  # type: ignore[attr-defined]
    finish = ast.parse(f"{_KERNEL}.finish({token!r}, None, {plain})", mode="eval").body
    finish.args[1] = last  # type: ignore[attr-defined]
    first = sum(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body)
    begin = ast.parse(f"{_KERNEL}.begin()").body
    tree.body = [*tree.body[:first], *begin, *tree.body[first:], ast.Expr(finish)]
    return Sent(ast.unparse(ast.fix_missing_locations(tree)), token, frozenset(always))


def taken(message: Any, check: Sent, *, compared: bool = True) -> tuple[bool, Any]:
    """Take what came back: whether the check was run as it was sent and all its asserts hold, and its last value.

    Args:
        message: JSON from the kernel, trusted in nothing.
        check: what was sent.
        compared: make the comparisons again; where the solution's own do not stand that, they are left to the kernel.
    """
    if not isinstance(message, list) or len(message) != 3 or message[0] != check.token:
        return False, None
    shown = message[1] if isinstance(message[1], list) else []
    records = [r for r in shown if isinstance(r, list) and len(r) == 4 and type(r[0]) is int]
    if len(records) < len(shown) or not check.always <= {record[0] for record in records}:
        return False, message[2]
    return not compared or _all_hold(records), message[2]


def _all_hold(records: Collection[list[Any]]) -> bool:
    return all(holds(str(operator), left, right) for _, operator, left, right in records)
