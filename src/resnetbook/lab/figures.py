"""One style for all figures of the book.

A figure is a light card with dark ink. The card is opaque, so that the figure reads the same on a light
and on a dark page; nothing is drawn transparent. Colours have a contrast of 3:1 or more on the card
(WCAG 2.2, 1.4.11) and stay apart for red- and green-blind readers. Sizes are chosen for a page of
360 pixels: 6 inches at 110 dots an inch and letters of 12 points or more come out at 10 pixels there.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from resnetbook.lab import results
from resnetbook.lab.blocks import Block, not_run, provenance, verdict
from resnetbook.lab.bounds import within
from resnetbook.lab.results import Interval
from resnetbook.lab.sources import source

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "CARD",
    "COLOURS",
    "GRID",
    "INK",
    "LINES",
    "Block",
    "band",
    "heatmap",
    "lines",
    "not_run",
    "png",
    "provenance",
    "source",
    "style",
    "t_interval",
    "verdict",
    "within",
]

CARD = "#fcfcfa"
INK = "#212125"
GRID = "#dcdcd6"

# One meaning, one colour, through the whole book.
COLOURS: dict[str, str] = {
    "plain": "#cf5206",
    "residual": "#0f578d",
    "identity": "#06988e",
    "branch": "#d63fcb",
    "total": INK,
    "neutral": "#6b6650",
}
# Line styles repeat what the colours say, for print in grey.
LINES: dict[str, Any] = {
    "plain": (0, (5, 2)),
    "residual": "-",
    "identity": (0, (1, 1.4)),
    "branch": (0, (4, 1.5, 1, 1.5)),
    "total": "-",
    "neutral": (0, (2, 2)),
}
_EXPORT: dict[str, Any] = {"facecolor": CARD, "metadata": {"Software": None}}


def style() -> None:
    """Set the book's look for every figure drawn afterwards; call it once, in the import cell.

    In a notebook, PNG outputs also lose the metadata that names the version of matplotlib, so that
    the same numbers give the same bytes.
    """
    import matplotlib as mpl
    from cycler import cycler

    names = ("residual", "plain", "identity", "branch", "neutral", "total")
    mpl.rcParams.update(
        {
            "figure.figsize": (6.0, 3.8),
            "figure.dpi": 110,
            "savefig.dpi": "figure",
            "figure.facecolor": CARD,
            "savefig.facecolor": CARD,
            "savefig.bbox": "tight",
            "axes.facecolor": CARD,
            "axes.edgecolor": INK,
            "axes.labelcolor": INK,
            "axes.titlecolor": INK,
            "axes.titlesize": 13,
            "axes.titlelocation": "left",
            "axes.labelsize": 13,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "axes.prop_cycle": cycler(
                color=[COLOURS[name] for name in names], linestyle=[LINES[n] for n in names]
            ),
            "grid.color": GRID,
            "grid.linewidth": 0.8,
            "lines.linewidth": 2.0,
            "font.family": "DejaVu Sans",
            "font.size": 13,
            "text.color": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "xtick.labelsize": 12,
            "ytick.labelsize": 12,
            "legend.fontsize": 12,
            "legend.frameon": False,
            "legend.handlelength": 2.6,
            "image.cmap": "viridis",
            "image.interpolation": "nearest",
            "svg.hashsalt": "resnetbook",
        }
    )
    _style_notebook()


def _style_notebook() -> None:
    """Have the inline backend write reproducible PNG on the card; nothing to do outside a notebook."""
    import sys

    if "ipykernel" not in sys.modules:
        return
    from IPython import get_ipython
    from matplotlib_inline.backend_inline import set_matplotlib_formats
    from matplotlib_inline.config import InlineBackend

    shell = get_ipython()  # type: ignore[no-untyped-call]
    if shell is None:
        return
    options: dict[str, Any] = {"bbox_inches": "tight", **_EXPORT}
    InlineBackend.instance(parent=shell).print_figure_kwargs = options
    set_matplotlib_formats("png", **options)


def png(figure: Figure) -> bytes:
    """Draw a figure as PNG on the card; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight", **_EXPORT)
    return buffer.getvalue()


def t_interval(values: ArrayLike) -> Interval:
    """Mean and 95 % t interval over the first axis, NaN left out (`results.t_interval`).

    Args:
        values: (seeds, ...).

    Returns:
        mean, low, high, each of shape (...); low and high are NaN where fewer than two values stand.
    """
    return results.t_interval(values, ignore_nan=True)


def _colour(name: str | None) -> str | None:
    return COLOURS.get(name, name) if name else None


def band(
    ax: Axes,
    x: ArrayLike,
    values_by_seed: ArrayLike,
    *,
    label: str | None = None,
    colour: str | None = None,
    seeds: bool = True,
    marker: str | None = None,
    logarithmic: bool = False,
) -> None:
    """Draw the mean over seeds with its 95 % t interval, and each seed as a thin line.

    Args:
        ax: where to draw.
        x: (n,) positions.
        values_by_seed: (seeds, n); NaN where a value is missing. With one seed only its line is drawn.
        label: for the legend.
        colour: a key of `COLOURS` (which sets the line style too) or any colour.
        seeds: draw the thin lines.
        marker: for the mean, e.g. "o" where the positions are few.
        logarithmic: mean and interval of the logarithms (the geometric mean), on a logarithmic axis.

    Raises:
        ValueError: the shapes do not fit, or a value is not positive on a logarithmic axis.
    """
    position, values = np.asarray(x), np.atleast_2d(np.asarray(values_by_seed, dtype=float))
    if position.ndim != 1 or values.ndim != 2 or values.shape[1] != len(position):
        raise ValueError(
            f"values_by_seed: shape {values.shape}, expected (seeds, {len(position)}) for x of shape {position.shape}"
        )
    if logarithmic:
        if not np.all(np.isnan(values) | (values > 0)):
            raise ValueError(
                f"values_by_seed: smallest is {np.nanmin(values)}, expected > 0 for logarithmic=True"
            )
        ax.set_yscale("log")
        mean, low, high = (np.exp(bound) for bound in t_interval(np.log(values)))
    else:
        mean, low, high = t_interval(values)
    options: dict[str, Any] = {"linestyle": LINES[colour]} if colour in LINES else {}
    (line,) = ax.plot(position, mean, label=label, color=_colour(colour), marker=marker, **options)
    if len(values) < 2:
        return
    ax.fill_between(position, low, high, color=line.get_color(), alpha=0.18, linewidth=0)
    if seeds:
        for row in values:
            ax.plot(position, row, color=line.get_color(), linewidth=0.7, alpha=0.45, linestyle="-")


def lines(ax: Axes, x: ArrayLike, series: Mapping[str, ArrayLike], *, marker: str | None = None) -> None:
    """Draw one line for each entry of `series`, with a legend.

    An entry whose name is a key of `COLOURS`, or starts with one ("plain-56"), takes its colour and line
    style; several of the same family (plain-20, plain-56) are told apart by strength.

    Raises:
        ValueError: an entry does not have one value for each position.
    """
    position = np.asarray(x)
    families = {name: next((key for key in COLOURS if name.startswith(key)), None) for name in series}
    for name, values in series.items():
        array = np.asarray(values, dtype=float)
        if array.shape != position.shape:
            raise ValueError(f"series[{name!r}]: shape {array.shape}, expected {position.shape}")
        family = families[name]
        relatives = [other for other in series if family and families[other] == family]
        rank = relatives.index(name) if relatives else 0
        width = 2.8 - 1.2 * rank / max(len(relatives) - 1, 1) if len(relatives) > 1 else 2.0
        options: dict[str, Any] = {"color": COLOURS[family], "linestyle": LINES[family]} if family else {}
        ax.plot(position, array, label=name, linewidth=width, marker=marker, **options)
    ax.legend()


def heatmap(
    ax: Axes,
    values: ArrayLike,
    *,
    label: str,
    xlabel: str = "",
    ylabel: str = "",
    logarithmic: bool = False,
    limits: tuple[float, float] | None = None,
    rows: Sequence[str] | None = None,
) -> Any:
    """Draw a matrix in a perceptually uniform colour map, with its colour bar.

    Args:
        ax: where to draw.
        values: (rows, columns); row 0 is drawn at the top. NaN stays the colour of the card.
        label: what the colour means, with its unit.
        xlabel: what the columns are.
        ylabel: what the rows are.
        logarithmic: colours follow the logarithm; values of 0 and below count as missing.
        limits: smallest and largest value of the colour scale, so that panels can be compared.
        rows: names of the rows; where they are many, only some are written.

    Returns:
        the image, as `Axes.imshow` does.

    Raises:
        ValueError: `values` is not a matrix, holds nothing to draw, or `rows` has another length.
    """
    from matplotlib.colors import LogNorm, Normalize
    from matplotlib.ticker import MaxNLocator

    array = np.asarray(values, dtype=float)
    if array.ndim != 2:
        raise ValueError(f"values: shape {array.shape}, expected (rows, columns)")
    if rows is not None and len(rows) != len(array):
        raise ValueError(f"rows: {len(rows)} names, expected {len(array)}")
    shown = np.ma.masked_invalid(np.where(array > 0, array, np.nan) if logarithmic else array)
    if shown.count() == 0:
        raise ValueError("values: expected at least one finite value" + (" above 0" if logarithmic else ""))
    low, high = limits or (float(shown.min()), float(shown.max()))
    norm = LogNorm(low, high) if logarithmic else Normalize(low, high)
    image = ax.imshow(shown, norm=norm, cmap="viridis", aspect="auto")
    ax.grid(False)
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    ax.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    ax.yaxis.set_major_locator(MaxNLocator(8, integer=True))
    if rows is not None:
        step = max(1, math.ceil(len(rows) / 12))
        ax.set_yticks(range(0, len(rows), step), list(rows[::step]))
    figure = ax.get_figure()
    if figure is None:
        raise ValueError("ax: expected axes that belong to a figure")
    figure.colorbar(image, ax=ax, label=label)
    return image
