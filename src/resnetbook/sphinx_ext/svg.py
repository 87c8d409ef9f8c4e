"""A few shapes for drawings whose colours follow the page's theme. Lengths are SVG units, one pixel at full size."""

from collections.abc import Sequence

from resnetbook.sphinx_ext.html import attribute, inline


def text(x: float, y: float, words: str, *, kind: str = "", anchor: str = "middle") -> str:
    """Return words whose baseline starts, is centred or ends at (x, y)."""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" class="rb-t {kind}">{inline(words)}</text>'


def linked(content: str, url: str | None, label: str) -> str:
    """Return a drawing's part as a link that a keyboard reaches; without an address the part as it is."""
    if not url:
        return f"<g>{content}</g>"
    return f'<a href="{attribute(url)}" aria-label="{attribute(label)}">{content}</a>'


def box(x: float, y: float, width: float, height: float, words: Sequence[str], kind: str = "") -> str:
    """Return a rounded box with centred lines of text, its corner at (x, y)."""
    shape = f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6" class="rb-box {kind}"/>'
    first = y + height / 2 + 5 - 9 * (len(words) - 1)
    lines = "".join(text(x + width / 2, first + 18 * row, line) for row, line in enumerate(words))
    return shape + lines


def arrow(points: Sequence[tuple[float, float]], kind: str = "") -> str:
    """Return a line through points with a head at its end."""
    path = "M" + " L".join(f"{x:g} {y:g}" for x, y in points)
    (x0, y0), (x1, y1) = points[-2:]
    length = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
    dx, dy = (x1 - x0) / length, (y1 - y0) / length
    left = (x1 - 8 * dx - 4 * dy, y1 - 8 * dy + 4 * dx)
    right = (x1 - 8 * dx + 4 * dy, y1 - 8 * dy - 4 * dx)
    head = f"M{x1:g} {y1:g} L{left[0]:g} {left[1]:g} L{right[0]:g} {right[1]:g} Z"
    return f'<path d="{path}" class="rb-line {kind}"/><path d="{head}" class="rb-head-fill {kind}"/>'


def plus(x: float, y: float) -> str:
    """Return the sign of the sum, centred at (x, y)."""
    return (
        f'<circle cx="{x:g}" cy="{y:g}" r="13" class="rb-box rb-sum"/>'
        f'<path d="M{x - 7:g} {y:g} H{x + 7:g} M{x:g} {y - 7:g} V{y + 7:g}" class="rb-line rb-strong"/>'
    )


def drawing(
    name: str, width: float, height: float, body: str, *, title: str, description: str, caption: str
) -> str:
    """Return a figure: the SVG in a box that scrolls on narrow screens, and its caption.

    Args:
        name: id of the figure; ids inside derive from it.
        width: width of the drawing.
        height: height of the drawing.
        body: the shapes.
        title: short name, for screen readers.
        description: what the drawing shows, for screen readers.
        caption: the caption, HTML.
    """
    # Narrow drawings shrink with the page; wide ones keep their size and scroll inside their own box.
    least = f' style="min-width:{width:g}px"' if width > 420 else ""
    return (
        f'<figure class="rb-figure" id="{name}"><div class="rb-scroll" role="region" tabindex="0" '
        f'aria-label="{attribute(title)}"><svg viewBox="0 0 {width:g} {height:g}" width="{width:g}"{least} role="group" '
        f'aria-labelledby="{name}-title {name}-desc"><title id="{name}-title">{inline(title)}</title>'
        f'<desc id="{name}-desc">{inline(description)}</desc>{body}</svg></div>'
        f"<figcaption>{caption}</figcaption></figure>"
    )
