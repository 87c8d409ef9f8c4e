"""The survey's figure 3 from the map: years across, families as lanes, one dot for each network."""

import re
from collections.abc import Sequence

from resnetbook.sphinx_ext import svg
from resnetbook.sphinx_ext.html import inline
from resnetbook.sphinx_ext.links import Links
from resnetbook.survey import Method, methods

LANES = (
    ("3(1)", "Base models"),
    ("3(2)", "Better convolutional blocks"),
    ("3(3)", "Other structures"),
    ("3(4)", "Joined with other models"),
)
STEP = 24.0  # between names of one year and lane
WIDTHS = {2014: 104.0, 2016: 176.0, 2017: 104.0}
WIDTH = 92.0  # of every other year


def year_of(method: Method) -> int:
    """Return the year that stands in a network's name.

    Raises:
        ValueError: there is none.
    """
    match = re.search(r"\((\d{4})\)", method.english)
    if match is None:
        raise ValueError(f"method {method.id}: no year in {method.english!r}")
    return int(match.group(1))


def short(method: Method) -> str:
    """Return a network's name without year and explanation."""
    name = re.sub(r"\s*\(\d{4}\)", "", method.english)
    return re.split(r"[:,]", name)[0].strip()


def columns(years: Sequence[int]) -> tuple[dict[int, float], float]:
    """Return the left edge of each year, and the width of all."""
    edges, x = {}, 14.0
    for year in years:
        edges[year] = x
        x += WIDTHS.get(year, WIDTH)
    return edges, x


def dot(method: Method, x: float, y: float, links: Links) -> str:
    """Return a network's dot and name: filled when it is built, hollow while it is planned, ringed if one of the eight."""
    state = "built" if method.status == "built" else "planned"
    url = links.notebook(method.notebook) if state == "built" else links.method(method.id)
    content = f"<title>{inline(method.english)}: {inline(method.says)}</title>"
    content += f'<circle cx="{x:g}" cy="{y:g}" r="6" class="rb-dot rb-dot-{state}"/>'
    if method.eight:
        ring = f"M{x - 9:g} {y:g} a9 9 0 1 0 18 0 a9 9 0 1 0 -18 0"
        content += f'<path d="{ring}" class="rb-line rb-eight"/>'
    content += svg.text(x + 11, y + 4.5, short(method), kind=f"rb-small rb-name-{state}", anchor="start")
    return svg.linked(content, url, f"{method.english}, {state}")


def timeline(links: Links) -> str:
    """Return figure 3 as HTML."""
    rows = [method for method in methods() if method.section.startswith("3(")]
    years = sorted({year_of(method) for method in rows})
    edges, width = columns(years)
    parts, y = [], 34.0
    for section, name in LANES:
        lane = [method for method in rows if method.section == section]
        most = max(sum(year_of(method) == year for method in lane) for year in years)
        height = 34 + STEP * most
        parts.append(
            f'<rect x="2" y="{y:g}" width="{width:g}" height="{height - 8:g}" rx="6" class="rb-lane"/>'
        )
        parts.append(svg.text(12, y + 18, name, kind="rb-lane-name", anchor="start"))
        for year in years:
            for index, method in enumerate(each for each in lane if year_of(each) == year):
                parts.append(dot(method, edges[year] + 8, y + 38 + STEP * index, links))
        y += height
    for year in years:
        parts.append(svg.text(edges[year] + 2, 22, str(year), kind="rb-year", anchor="start"))
    built = sum(method.status == "built" for method in rows)
    names = ", ".join(f"{short(method)} {year_of(method)}" for method in rows)
    return svg.drawing(
        "survey-figure-3",
        width + 8,
        y,
        "".join(parts),
        title="Residual networks in time",
        description=f"{len(rows)} networks by year and family: {names}. {built} of them are built in this book.",
        caption="The survey's figure 3, drawn from the map: time runs from left to right (the years before 2014 are "
        "not to scale), families are lanes. A filled dot is built in this book and leads to its chapter; a hollow one "
        "is planned and leads to its row on the map. A ring marks the eight residual models that the survey's abstract counts; "
        "the survey does not list them, and this is our reading. The last lane carries the idea over to other families.",
    )
