"""The picture that stands in a page where its networks cannot run: one image, both networks, all blocks on and one off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from resnetbook.experiments.principle import _page_script
from resnetbook.lab import figures
from resnetbook.lab._files import write_atomically

SHIFT = {"residual": -0.2, "plain": 0.2}  # of the bars of one digit


def write(path: Path, script: Path) -> Path:
    """Draw what `script` says of the image that a page shows first, as PNG; return `path`.

    Raises:
        ValueError: `script` is none that `resnetbook export-js` wrote.
    """
    import matplotlib as mpl

    found = _page_script.content(script)
    with mpl.rc_context():
        figures.style()
        write_atomically(path, figures.png(_draw(found)))
    return path


def _draw(found: dict[str, Any]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 6.0), layout="constrained")
    grid = figure.add_gridspec(3, 2, width_ratios=(2, 3), height_ratios=(1, 1, 1.3))
    image = figure.add_subplot(grid[:2, 0])
    shown = found["images"][found["shown"]]
    image.imshow(_page_script.image(shown).numpy(), cmap="Greys", vmin=0, vmax=1)
    image.set(title=f"a handwritten {shown['label']}", xticks=(), yticks=())
    image.grid(False)
    for row, (state, title) in enumerate((("on", "all blocks on"), ("off", f"block {found['off'] + 1} off"))):
        scores = figure.add_subplot(grid[row, 1])
        for kind, by in SHIFT.items():
            heights = found["networks"][kind]["prepared"][state]
            scores.bar(np.arange(len(heights)) + by, heights, 0.4, color=figures.COLOURS[kind])
        scores.set(title=title, ylim=(0, 1.02), ylabel="score", xticks=range(len(heights)))
        scores.grid(False, axis="x")
    along = figure.add_subplot(grid[2, :])
    for kind in SHIFT:
        sizes = found["networks"][kind]["prepared"]["sizes"]
        along.plot(sizes, color=figures.COLOURS[kind], ls=figures.LINES[kind], marker="o", ms=5, label=kind)
    along.set(xlabel="block (0: what enters the first)", ylabel="root mean square", xticks=range(len(sizes)))
    along.set(yscale="log", ylim=(0.1, 10), yticks=(0.1, 1, 10), yticklabels=("0.1", "1", "10"))
    along.legend(loc="upper left", ncols=2)
    return figure
