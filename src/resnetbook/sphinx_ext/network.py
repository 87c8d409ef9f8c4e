"""The networks that run in a page: the controls, and the prepared picture that stands there until a script takes over.

The scripts are book/_static/network.js (computes), network-page.js (draws and listens) and network-weights.js (two trained
networks, written by `resnetbook export-js`). Only pages that hold the networks load them.
"""

import json
from pathlib import Path
from typing import Any

from resnetbook.sphinx_ext.html import attribute, inline, link
from resnetbook.sphinx_ext.links import NETWORK_ANCHOR

FORMS = ("full", "small")
NAMES = {"residual": "Residual", "plain": "Plain twin"}
SCRIPTS = ("network-weights.js", "network.js", "network-page.js")
PICTURE = "network.png"


def sources(root: Path) -> list[Path]:
    """Return the files in book/_static that the networks' markup depends on."""
    return [root / "book" / "_static" / name for name in (*SCRIPTS, PICTURE)]


def weights(path: Path) -> dict[str, Any]:
    """Return what the script of weights holds.

    Raises:
        ValueError: it holds no networks.
    """
    try:
        text = path.read_text(encoding="utf-8")
        found: dict[str, Any] = json.loads(text[text.index("{") : text.rindex("}") + 1])
        return {"networks": found["networks"], **found}
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{path.name}: no trained networks here; `make network` writes them") from error


def network(form: str, folder: Path, up: str, more: str | None) -> str:
    """Return the networks' place in a page.

    Args:
        form: "full" (draw, pick, scale, signal along depth) or "small" (one image, blocks alone).
        folder: book/_static in the sources.
        up: way from the page to the root of the built book, "" or "../" or "../../".
        more: address of the page that holds the full form, for the small one.

    Raises:
        ValueError: another form, or a folder without trained networks.
    """
    if form not in FORMS:
        raise ValueError(f"form={form!r}: expected 'full' or 'small'")
    found = weights(folder / SCRIPTS[0])
    static = f"{up}_static/"
    body = _full(found) if form == "full" else _small(found)
    scripts = "".join(f'<script src="{static}{name}" defer></script>' for name in SCRIPTS)
    anchor = f' id="{NETWORK_ANCHOR}"' if form == "full" else ""
    lines = len((folder / SCRIPTS[1]).read_text(encoding="utf-8").splitlines())
    return (
        f'<div class="rb-net rb-net-{form}"{anchor}>'
        f'<form hidden aria-label="Two networks that run in this page">{body}</form>'
        f'<img class="rb-net-prepared" src="{static}{PICTURE}" alt="{attribute(_alt(found))}">'
        f'<p class="rb-note">{_caption(found, form, link(f"{lines} lines", static + SCRIPTS[1]), more)}</p></div>{scripts}'
    )


def _full(found: dict[str, Any]) -> str:
    side = found["side"]
    return (
        '<div class="rb-net-input">'
        f'<svg class="rb-net-pad" viewBox="0 0 {side} {side}" tabindex="0" role="application" '
        f'aria-label="Drawing, {side} by {side} cells" aria-describedby="rb-net-keys"></svg>'
        '<p class="rb-note" id="rb-net-keys">Draw large, with mouse or finger. By keyboard: the arrow keys move the frame, '
        "space fills a cell or clears it.</p>"
        '<p class="rb-net-cell rb-unseen" aria-live="polite"></p>'
        '<p class="rb-net-buttons"><button type="button" name="clear">Clear</button>'
        '<label><input type="checkbox" name="erase"> Erase</label></p>'
        '<div class="rb-net-picks" role="group" aria-label="Test images"></div></div>'
        f'<div class="rb-net-output">{_scores()}{_blocks(found)}'
        # An output inside the label would take the label's name away from the slider.
        '<div class="rb-net-scale"><label for="rb-net-scale">Scale of the identity in the residual network</label> '
        '<output for="rb-net-scale">1.00</output>'
        '<input type="range" id="rb-net-scale" name="scale" min="0" max="2" step="0.05" value="1"></div>'
        '<p class="rb-net-title" aria-hidden="true">Size of the signal (root mean square)'
        '<span class="rb-net-key">● residual</span><span class="rb-net-key rb-net-plain">■ plain</span></p>'
        '<div class="rb-net-signal"></div></div>'
    )


def _small(found: dict[str, Any]) -> str:
    side = found["side"]
    picture = f'<svg class="rb-net-pad" viewBox="0 0 {side} {side}" role="img" aria-label="A handwritten digit"></svg>'
    return f'<div class="rb-net-input">{picture}</div><div class="rb-net-output">{_scores()}{_blocks(found)}</div>'


def _scores() -> str:
    charts = "".join(
        f'<div><p class="rb-net-title" aria-hidden="true">{name}</p>'
        f'<div class="rb-net-scores rb-net-{kind}" data-kind="{kind}" role="img" aria-label="{name}"></div></div>'
        for kind, name in NAMES.items()
    )
    return f'<p class="rb-net-says" aria-live="polite"></p><div class="rb-net-charts">{charts}</div>'


def _blocks(found: dict[str, Any]) -> str:
    """Return a box to tick for each block, in the order of depth and grouped by stage."""
    each = (found["networks"]["residual"]["depth"] - 2) // 6
    stages = "".join(
        f'<span class="rb-net-stage">{"".join(_block(number) for number in range(first, first + each))}</span>'
        for first in range(0, 3 * each, each)
    )
    return (
        f"<fieldset><legend>Blocks of both networks: untick one to switch it off</legend>{stages}"
        '<button type="button" name="reset">All on</button></fieldset>'
    )


def _block(number: int) -> str:
    return (
        f'<label class="rb-net-block"><input type="checkbox" name="block" value="{number}" checked>'
        f'<span><span class="rb-unseen">Block </span>{number + 1}</span></label>'
    )


def _caption(found: dict[str, Any], form: str, code: str, more: str | None) -> str:
    networks = found["networks"]
    residual, plain = (f"{100 * networks[kind]['accuracy']:.1f} %" for kind in NAMES)
    text = (
        f"Two networks of {networks['residual']['depth']} layers, trained alike on digits. The residual one is right on {residual} "
        f"of {found['tested']} test images, its plain twin on {plain}. "
        f"Where scripts are on, your browser computes them, by {code} of plain JavaScript. "
    )
    if form == "small" and more:
        text += f"{link('Draw a digit yourself', more)}. "
    return f"{text}{inline(found['attribution'])}."


def _alt(found: dict[str, Any]) -> str:
    """Return what the prepared picture shows, in words made from its numbers."""
    label, off = found["images"][found["shown"]]["label"], found["off"] + 1

    def says(kind: str, state: str) -> str:
        scores = found["networks"][kind]["prepared"][state]
        best = max(range(len(scores)), key=scores.__getitem__)
        return f"{best} with {100 * scores[best]:.0f} %"

    parts = [
        f"{when} the residual network says {says('residual', state)}, its plain twin {says('plain', state)}"
        for when, state in (("With all blocks on", "on"), (f"with block {off} off", "off"))
    ]
    sizes = ", ".join(
        f"{networks['prepared']['sizes'][-1]:.1f} in the {kind} network"
        for kind, networks in found["networks"].items()
    )
    return f"A handwritten {label}. {'; '.join(parts)}. Root mean square after the last block: {sizes}."
