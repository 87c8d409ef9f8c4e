"""Figures, tables and exercises count from 1 on each page, as the equations do."""

from typing import Any

from sphinx.application import Sphinx


def restart_on_each_page(app: Sphinx, builder: Any) -> None:
    """Renumber after reading, so that the stored environment keeps Sphinx's own numbers and no page looks changed."""
    for kinds in app.env.toc_fignumbers.values():
        for kind, numbers in kinds.items():
            order = sorted(numbers, key=lambda name: numbers[name])
            kinds[kind] = {name: (count,) for count, name in enumerate(order, 1)}
