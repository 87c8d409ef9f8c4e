"""Figures that move: `panels` on every page, without a kernel; `live` for those who have one.

`panels` prepares all pictures and writes one piece of HTML: a slider, the pictures, ten lines of script.
It asks no host for anything, works by keyboard, shows all pictures in print, and one of them where
scripts are off.
"""

from __future__ import annotations

import base64
import hashlib
import html
import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Item = tuple[Any, Any]
VIEW = "application/vnd.jupyter.widget-view+json"  # where a front end looks for the model of a widget

_CARD = "#fcfcfa"
# #ID stands for the element's own id, so that two figures on a page never meet.
_STYLE = """
#ID{margin:1em 0;max-width:100%;color:inherit}
#ID .rb-control{display:flex;flex-wrap:wrap;gap:.3em .8em;align-items:center;margin-bottom:.5em}
#ID .rb-control[hidden]{display:none}
#ID input{flex:1 1 9em;min-width:0;min-height:1.6em;accent-color:#2f7fbf}
#ID output{font-weight:600;font-variant-numeric:tabular-nums}
#ID .rb-panel{margin:0;display:none;background:CARD;color:#212125;border-radius:4px;overflow:hidden}
#ID .rb-panel.rb-shown{display:block}
#ID .rb-panel img,#ID .rb-panel svg{display:block;max-width:100%;height:auto;margin:0 auto;background:CARD;filter:none}
#ID .rb-name{display:none;padding:.3em .6em 0;font-weight:600}
@media print{#ID .rb-panel{display:block;break-inside:avoid}#ID .rb-name{display:block}#ID .rb-control{display:none}}
"""
_SCRIPT = """
(function(){var f=document.getElementById("ID");if(!f)return;
var i=f.querySelector("input"),o=f.querySelector("output"),p=f.querySelectorAll(".rb-panel");
function show(){var k=Number(i.value);p.forEach(function(e,n){e.classList.toggle("rb-shown",n===k)});
o.value=p[k].dataset.label;i.setAttribute("aria-valuetext",o.value)}
f.querySelector(".rb-control").hidden=false;i.addEventListener("input",show);show()})();
"""


@dataclass(frozen=True)
class Panels:
    """Prepared pictures with a slider. `html` is the whole markup; `id` follows from the content."""

    id: str
    html: str
    labels: tuple[str, ...]
    label: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return f"{self.label}: {len(self.labels)} pictures ({self.labels[0]} to {self.labels[-1]})"


def _picture(content: Any, alt: str, where: str) -> str:
    """One picture as markup: inline SVG with a title, or an <img> that carries its PNG."""
    if hasattr(content, "savefig"):
        from resnetbook.lab.figures import png

        content = png(content)
    if isinstance(content, bytes):
        if not content.startswith(b"\x89PNG\r\n\x1a\n"):
            raise ValueError(f"{where}: {content[:8]!r}..., expected the bytes of a PNG file")
        source = "data:image/png;base64," + base64.b64encode(content).decode()
        return f'<img class="dark-light" src="{source}" alt="{html.escape(alt)}">'
    if isinstance(content, str) and "<svg" in content:
        # As an image, an SVG can run no script, load nothing, and its ids cannot meet others on the page.
        drawing = content[content.index("<svg") :]
        if "xmlns=" not in drawing:
            drawing = drawing.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
        source = "data:image/svg+xml;base64," + base64.b64encode(drawing.encode()).decode()
        return f'<img class="dark-light" src="{source}" alt="{html.escape(alt)}">'
    raise ValueError(
        f"{where}: {type(content).__name__}, expected a matplotlib figure, SVG text or PNG bytes"
    )


def panels(items: Iterable[Item], *, label: str, alt: Sequence[str] | str, start: int = 0) -> Panels:
    """Build a figure of several pictures, one of which a slider shows.

    Args:
        items: pairs (name of the slider's position, picture); a picture is a matplotlib figure, SVG text
            or PNG bytes. Figures are closed, or the notebook would draw them a second time below.
        label: what the slider changes, e.g. "Depth".
        alt: what each picture shows, one text for each; or one text, to which the position's name is added.
        start: position shown first, and where scripts are off.

    Raises:
        ValueError: no items, names that repeat, a picture of another kind, texts that are empty or too few,
            or `start` outside the positions.
    """
    pairs = list(items)
    if not pairs:
        raise ValueError("items: empty, expected at least one pair (name, picture)")
    names = [str(name) for name, _ in pairs]
    if len(set(names)) != len(names):
        raise ValueError(f"items: names {names}, expected each name once")
    if not label.strip():
        raise ValueError(f"label={label!r}: expected a text that says what the slider changes")
    texts = [f"{alt} {label}: {name}." for name in names] if isinstance(alt, str) else list(alt)
    if len(texts) != len(pairs):
        raise ValueError(f"alt: {len(texts)} texts, expected {len(pairs)}, one for each picture")
    if (isinstance(alt, str) and not alt.strip()) or not all(text.strip() for text in texts):
        raise ValueError("alt: an empty text, expected what the picture shows")
    if not 0 <= start < len(pairs):
        raise ValueError(f"start={start}: expected 0 to {len(pairs) - 1}")

    pictures = [
        _picture(content, text, f"items[{index}]")
        for index, ((_, content), text) in enumerate(zip(pairs, texts, strict=True))
    ]
    _close(content for _, content in pairs if hasattr(content, "savefig"))
    content = "\0".join([label, str(start), *names, *texts, *pictures])
    identity = "rb-" + hashlib.sha256(content.encode()).hexdigest()[:12]
    shown = [
        f'<div class="rb-panel{" rb-shown" if index == start else ""}" data-label="{html.escape(name)}">'
        f'<div class="rb-name">{html.escape(label)}: {html.escape(name)}</div>{picture}</div>'
        for index, (name, picture) in enumerate(zip(names, pictures, strict=True))
    ]
    name = html.escape(names[start])
    control = (
        f'<div class="rb-control" hidden><label for="{identity}-i">{html.escape(label)}</label>'
        f'<input type="range" id="{identity}-i" min="0" max="{len(pairs) - 1}" step="1" value="{start}" '
        f'aria-valuetext="{name}"><output for="{identity}-i" aria-live="off">{name}</output></div>'
    )
    sheet = _STYLE.replace("ID", identity).replace("CARD", _CARD)
    markup = (
        f'<figure id="{identity}" class="resnetbook-panels" aria-label="{html.escape(label)}">'
        f"<style>{sheet}</style>{control}{''.join(shown)}"
        f"<script>{_SCRIPT.replace('ID', identity)}</script></figure>"
    )
    return Panels(identity, re.sub(r"\n+", "\n", markup), tuple(names), label)


class Live:
    """A function with controls, for a kernel; its prepared pictures stand in where there is none."""

    def __init__(self, function: Callable[..., Any], choices: dict[str, list[Any]], prepared: Panels) -> None:
        self.function, self.choices, self.prepared = function, choices, prepared

    def _draw(self, **arguments: Any) -> None:
        """Show the figure for one choice, once."""
        from IPython.display import display

        figure = self.function(**arguments)
        display(figure)  # type: ignore[no-untyped-call]
        _close([figure])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """Both forms in one output: the book takes the HTML, a front end with a kernel the widget.

        Colab brings version 7 of ipywidgets and shows the widgets of that version best, so both 7 and 8 serve.
        """
        bundle: dict[str, Any] = {"text/html": self.prepared.html, "text/plain": repr(self.prepared)}
        try:
            import ipywidgets
        except ImportError:
            return bundle
        sliders = {
            name: ipywidgets.SelectionSlider(options=values, description=name, continuous_update=False)
            for name, values in self.choices.items()
        }
        view = ipywidgets.interactive(self._draw, **sliders)
        if not hasattr(
            view, "_repr_mimebundle_"
        ):  # version 7 draws the first figure only when it shows itself
            view.update()
        bundle[VIEW] = {"version_major": 2, "version_minor": 0, "model_id": view.model_id}
        return bundle


def live(function: Callable[..., Any], *, label: str = "", alt: str, **choices: Sequence[Any]) -> Live:
    """Let readers with a kernel call `function` from sliders; all others get the prepared pictures.

    The function is called once for each combination of choices, to prepare the pictures. No widget state
    is stored in the notebook.

    Args:
        function: takes the choices by keyword and returns a matplotlib figure.
        label: what the slider of the prepared pictures changes; by default the names of the choices.
        alt: what the pictures show.
        **choices: for each argument the values to choose from.

    Raises:
        ValueError: no choices, an argument without values, more than 24 combinations, or a result that is
            no figure.
    """
    values = {name: list(options) for name, options in choices.items()}
    if not values or not all(values.values()):
        raise ValueError(f"choices={values}: expected at least one argument, each with at least one value")
    combinations = list(itertools.product(*values.values()))
    if len(combinations) > 24:
        raise ValueError(f"choices: {len(combinations)} combinations, expected 24 at most")
    items = []
    for combination in combinations:
        arguments = dict(zip(values, combination, strict=True))
        figure = function(**arguments)
        if not hasattr(figure, "savefig"):
            raise ValueError(f"function: returned {type(figure).__name__}, expected a matplotlib figure")
        named = len(values) > 1
        name = ", ".join(f"{key} {value}" if named else str(value) for key, value in arguments.items())
        items.append((name, figure))
    return Live(function, values, panels(items, label=label or ", ".join(values), alt=alt))


def _close(figures: Iterable[Any]) -> None:
    """Close prepared figures, so that the notebook does not draw them a second time."""
    import matplotlib.pyplot as plt

    for figure in figures:
        plt.close(figure)
