"""Cells that a student added: which of them an answer needs, and in which order they are run.

The order is the notebook's. An added cell is taken if it defines a name that the answer uses or should have defined, or
if it changes what such a name stands for, and then whatever it needs itself.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence, Set

from resnetbook.grading.master import Exercise, Master
from resnetbook.grading.names import Names, names_of, same_code, statements
from resnetbook.grading.notebook import Cell

__all__ = ["added_cells"]

Parts = Mapping[int, str]
"""The parts of an answer: place in the notebook and source."""


def added_cells(
    master: Master, cells: Sequence[Cell], parts: Mapping[str, Parts]
) -> dict[str, list[tuple[str, str]]]:
    """Put the cells of each exercise in order: ("solution" or "extra", source).

    Args:
        master: the master.
        cells: all cells of the submission.
        parts: by exercise, the parts of its answer.
    """
    taken = {index for own in parts.values() for index in own}
    known_code = [
        text for text, cell in zip(master.released, master.cells, strict=True) if cell.kind == "code"
    ]
    known_code += [check.source for check in master.checks]
    added = {
        index: cell.source
        for index, cell in enumerate(cells)
        if index not in taken
        and cell.kind == "code"
        and cell.source.strip()
        and not cell.grader.get("grade")
        and not any(same_code(cell.source, source) for source in known_code)
    }
    given = frozenset(
        name
        for cell, kind in zip(master.cells, master.kinds, strict=True)
        if kind == "given"
        for name in names_of(cell.source).defines
    )
    added = {index: _without(source, given) for index, source in added.items()}
    known, done = set(given), set[int]()
    order = {}
    for exercise in master.exercises:
        own = parts.get(exercise.id, {})
        if exercise.written:
            order[exercise.id] = [("solution", source) for source in own.values()]
            continue
        later = [i for e in master.exercises if e.id != exercise.id for i in parts.get(e.id, {})]
        end = min((i for i in later if own and i > max(own)), default=len(cells))
        found = _Search(exercise, own, added, known, done, given, end).run()
        done |= set(found) - set(own)
        order[exercise.id] = [
            ("solution" if i in own else "extra", (own.get(i) or added.get(i, ""))) for i in found
        ]
        order[exercise.id] = [item for item in order[exercise.id] if item[1].strip()]
        known |= {name for source in own.values() for name in names_of(source).defines}
        before = found[: min((found.index(i) for i in own), default=len(found))]
        known |= {name for i in before for name in names_of(added[i]).defines}
    return order


def _without(source: str, given: frozenset[str]) -> str:
    """An added cell without the statements that define what the assignment gives: its own version stands."""
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return source
    lines = source.split("\n")
    tops = [min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))]) for node in body]
    spans = [(top - 1, node.end_lineno or node.lineno) for top, node in zip(tops, body, strict=True)]
    for node, (first, last) in zip(body, spans, strict=True):
        defines = names_of(ast.unparse(node)).defines
        alone = sum(a < last and first < b for a, b in spans) == 1
        if defines and defines <= given and alone:
            lines[first:last] = [""] * (last - first)
    return "\n".join(lines)


class _Search:
    """The search for the added cells of one exercise; `chosen` are places in the notebook."""

    def __init__(
        self,
        exercise: Exercise,
        own: Parts,
        added: Mapping[int, str],
        known: Set[str],
        done: Set[int],
        given: Set[str],
        end: int,
    ) -> None:
        self.exercise, self.own, self.end = exercise, own, end
        self.names: dict[int, Names] = {i: names_of(source) for i, source in {**added, **own}.items()}
        self.added = sorted(added)
        self.known, self.done, self.given = known, done, given
        self.chosen = set(own)
        self.needed: set[str] = set()
        self.effects: dict[str, frozenset[str]] = {}
        for names in self.names.values():
            self.effects.update(names.effects)
        empty = statements(exercise.stub)
        self.unanswered = {
            name
            for name in exercise.names
            if not any(
                name in names_of(source).defines
                and (name not in empty or statements(source).get(name) != empty[name])
                for source in own.values()
            )
        }

    def run(self) -> list[int]:
        """Return the places of all cells to run, in the order in which they are run."""
        last = max(self.own, default=len(self.names) and max(self.names))
        for name in sorted(self.unanswered):
            self._define(name, self.end, anywhere=True)
        if not self.chosen:
            return []
        for index in self.own:
            self._need(index)
        self._follow(last)
        return self._ordered()

    def _need(self, index: int) -> None:
        """Choose what a chosen cell reads: at once, what stands before it; in its functions, what stands at the end."""
        names = self.names[index]
        for name in sorted(names.now - self.known):
            self._define(name, index, anywhere=name not in names.defines)
        for name in sorted(names.later - self.known - names.defines):
            self._define(name, self.end, anywhere=True)

    def _define(self, name: str, before: int, *, anywhere: bool) -> None:
        places = [i for i in self.added if name in self.names[i].defines and i != before]
        own = [i for i in self.own if name in self.names[i].defines and name not in self.unanswered]
        earlier = [i for i in places if i < before]
        if any(i < before for i in own) and not any(i > max(own) for i in earlier):
            return
        choice = earlier[-1:] or (places[-1:] if anywhere and not own else [])
        if not choice and anywhere and not own:
            choice = [
                i for i in self.added if self.names[i].star
            ]  # `from math import *` may be where it comes from
        for index in choice:
            self.needed.add(name)
            self._choose(index)

    def _choose(self, index: int) -> None:
        if index not in self.chosen:
            self.chosen.add(index)
            self._need(index)

    def _follow(self, last: int) -> None:
        """Choose the added cells that change, or define anew, what the exercise needs and the student has made."""
        own = [self.names[i] for i in self.own]
        while True:
            asked = self.exercise.names | {name for names in own for name in names.later}
            wanted = self.needed | {name for names in own for name in names.defines & asked}
            for index in self.chosen:  # what earlier exercises took along, and this one uses
                wanted |= (self.names[index].now | self.names[index].later) & (self.known - self.given)
            wanted -= self.given
            rest = [i for i in self.added if i not in self.chosen and i not in self.done]
            more = [i for i in rest if self._changes(i, wanted, asked, last)]
            if not more:
                return
            for index in more:
                self._choose(index)

    def _changes(self, index: int, wanted: Set[str], asked: Set[str], last: int) -> bool:
        names = self.names[index]
        changed = set(names.changes)
        for call in names.calls:
            changed |= self.effects.get(call, frozenset())
        for name in wanted & (changed | names.given | (names.defines if index > last else frozenset())):
            makers = [i for i in self.chosen | self.done if name in self.names[i].defines]
            kinds = [self.names[i] for i in makers]
            if any(name in kind.imports for kind in kinds):
                continue
            if name not in changed and name not in names.defines and any(name in k.functions for k in kinds):
                continue  # a function that is only handed on stays what it is
            if name in names.defines and name not in changed and name not in asked:
                continue
            first = min(makers, default=index)
            if first < index and (index < self.end or first >= self.end):
                return True
        return False

    def _ordered(self) -> list[int]:
        order = sorted(self.chosen)
        if (
            self.own
        ):  # what the answer left out, and stands before it, comes after it: there it is a stub still
            late = [i for i in order if i not in self.own and i < max(self.own) and self._left_out(i)]
            order = [i for i in order if i not in late]
            place = order.index(max(self.own)) + 1
            order[place:place] = late
        for _ in range(len(order)):  # what a cell reads at once must have been defined before it
            moved = next(self._early(order), None)
            if moved is None:
                break
            source, target = moved
            order.insert(target, order.pop(source))
        return order

    def _left_out(self, index: int) -> bool:
        stubs = {name for i in self.own for name in self.names[i].defines} & self.unanswered
        return bool(self.names[index].defines & stubs)

    def _early(self, order: Sequence[int]) -> Iterator[tuple[int, int]]:
        """Moves that are needed: (from, to), of a cell that defines what an earlier one reads."""
        for place, index in enumerate(order):
            for name in sorted(self.names[index].now - self.names[index].defines - self.known):
                makers = [p for p, i in enumerate(order) if name in self.names[i].defines]
                if makers and min(makers) > place and order[min(makers)] not in self.own:
                    yield min(makers), place
