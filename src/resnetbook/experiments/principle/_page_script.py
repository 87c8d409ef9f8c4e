"""Trained twins as a script for a page: it sets one variable, so that a page opened straight from disk can load it.

Batch normalisation is folded into the convolutions. Weights are rounded to 16-bit integers with one scale for each output
channel (weight = scale * integer); offsets and scales are 32-bit floats; all of them travel as base64. What a page computes is
the rounded network, and `read` returns that network in torch. book/_static/network.js runs it.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from resnetbook.lab import training
from resnetbook.lab._files import write_atomically
from resnetbook.lab.data import ImageSet, Part
from resnetbook.principle import paths, signal
from resnetbook.principle.folding import folded
from resnetbook.principle.twins import TwinNet

LEVELS = 16  # of the images' grey values
SHOWN = 3  # the image that a page shows first, counted from 0
EACH = 2  # test images of each class that a reader may pick
_START, _END = "window.rbNetworks = ", ";\n"
_HEAD = (
    "// Written by `resnetbook export-js`: two trained networks and a few test images, read by network.js.\n"
)
_LARGEST = 2**15 - 1

Layer = nn.Conv2d | nn.Linear


def write(path: Path, networks: Mapping[str, TwinNet], images: ImageSet) -> Path:
    """Write the networks, their accuracy as they are written, and some test images; return `path`.

    Args:
        path: the script.
        networks: trained networks by name, with shortcuts of type A, for one-channel images.
        images: the set whose test images they are judged on; values from 0 to 1 in steps of 1/16.

    Raises:
        ValueError: a network with projections, or of other images; images with other values.
    """
    # What the prepared picture switches off: the middle block.
    off = min(len(network.blocks) for network in networks.values()) // 2
    whole: dict[str, Any] = {
        "side": images.test.images.shape[-1],
        "levels": LEVELS,
        "attribution": images.attribution,
        "tested": len(images.test),
        "shown": SHOWN,
        "off": off,
        "networks": {},
        "images": _chosen(images.test),
    }
    shown = image(whole["images"][SHOWN])[None, None]
    for name, network in networks.items():
        layers = [_layer(module) for module in _layers(folded(network))]
        entry: dict[str, Any] = {
            "depth": network.depth,
            "residual": network.blocks[0][1].residual,
            "layers": layers,
        }
        rounded = _network(entry)
        entry["accuracy"] = training.evaluate(rounded, images.test, device="cpu")["accuracy"]
        entry["prepared"] = _prepared(rounded, shown, off)
        whole["networks"][name] = entry
    write_atomically(path, (_HEAD + _START + json.dumps(whole, indent=1) + _END).encode())
    return path


def content(path: Path) -> dict[str, Any]:
    """Return what a script holds.

    Raises:
        ValueError: it is none that `write` wrote.
    """
    text = path.read_text(encoding="utf-8")
    start, end = text.find(_START), text.rfind(_END)
    if start < 0 or end < 0:
        raise ValueError(f"path={path.name!r}: expected a script that `resnetbook export-js` wrote")
    found: dict[str, Any] = json.loads(text[start + len(_START) : end])
    return found


def read(path: Path) -> dict[str, TwinNet]:
    """Return the networks of a script by name, in evaluation mode: what a page computes, computed by torch.

    Raises:
        ValueError: it is no script that `write` wrote.
    """
    return {name: _network(entry) for name, entry in content(path)["networks"].items()}


def image(entry: Mapping[str, Any]) -> Tensor:
    """Return one of a script's images, (H, W), with values from 0 to 1."""
    values = _numbers(entry["values"], "u1") / LEVELS
    side = math.isqrt(len(values))
    return values.reshape(side, side)


def _layers(network: TwinNet) -> list[Layer]:
    found: list[Layer] = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    if network.in_channels != 1 or len(found) != network.depth:
        raise ValueError(
            f"network of {network.in_channels} channels with {len(found)} layers: expected one channel and shortcuts of "
            f"type A, so {network.depth} layers"
        )
    return found


def _layer(module: Layer) -> dict[str, Any]:
    """Return one layer's form and its numbers as text."""
    weight, offsets = module.state_dict()["weight"], module.state_dict()["bias"]
    channels, *_ = weight.shape
    scales = weight.flatten(1).abs().amax(1).clamp(min=torch.finfo(torch.float32).tiny) / _LARGEST
    integers = (weight.flatten(1) / scales[:, None]).round()
    return {
        "in": weight.shape[1],
        "out": channels,
        "stride": module.stride[0] if isinstance(module, nn.Conv2d) else 1,
        "scales": _text(scales, "<f4"),
        "offsets": _text(offsets, "<f4"),
        "weights": _text(integers, "<i2"),
    }


def _network(entry: Mapping[str, Any]) -> TwinNet:
    """Return the network that an entry describes."""
    layers = entry["layers"]
    stage = (entry["depth"] - 2) // 3  # layers of a stage
    widths = [layers[1 + stage * number]["out"] for number in range(3)]
    network = TwinNet(
        entry["depth"],
        num_classes=layers[-1]["out"],
        widths=widths,
        residual=entry["residual"],
        norm=False,
        bias=True,
    ).eval()
    for module, layer in zip(_layers(network), layers, strict=True):
        weight = (
            _numbers(layer["weights"], "<i2").reshape(layer["out"], -1)
            * _numbers(layer["scales"], "<f4")[:, None]
        )
        state = {"weight": weight.reshape(module.weight.shape), "bias": _numbers(layer["offsets"], "<f4")}
        module.load_state_dict(state)
    return network


def _chosen(part: Part) -> list[dict[str, Any]]:
    """Return the first test images of each class with their labels."""
    levels = part.images[:, 0] * LEVELS
    if not torch.equal(levels, levels.round().clamp(0, LEVELS)):
        raise ValueError(f"images: expected values from 0 to 1 in steps of 1/{LEVELS}")
    chosen = [torch.nonzero(part.labels == label).flatten()[:EACH] for label in part.labels.unique()]
    return [
        {"label": int(part.labels[index]), "values": _text(levels[index], "u1")}
        for index in torch.stack(chosen, 1).flatten()
    ]


def _prepared(network: TwinNet, x: Tensor, off: int) -> dict[str, list[float]]:
    """Return what the prepared picture shows: probabilities with all blocks and without one, root mean squares along depth."""
    with torch.no_grad():
        whole = network(x)
        with paths.lesion(network, network.blocks[off][0]):
            cut = network(x)
    sizes = [row.mean_square**0.5 for row in signal.propagate(network, x)]
    return {"on": whole.softmax(1)[0].tolist(), "off": cut.softmax(1)[0].tolist(), "sizes": sizes}


def _text(values: Tensor, kind: str) -> str:
    return base64.b64encode(values.numpy().astype(kind).tobytes()).decode()


def _numbers(text: str, kind: str) -> Tensor:
    return torch.from_numpy(np.frombuffer(base64.b64decode(text), kind).astype(np.float32))
