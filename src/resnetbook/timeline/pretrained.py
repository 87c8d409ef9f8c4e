"""Published weights for the networks of the timeline: from a file, from torchvision or from timm.

torchvision's names are ours wherever it has the network. timm's differ; each module of such a network lists the renamings
as `TIMM_KEYS`, pairs of a regular expression and its replacement, applied in order. The network is asked only by `load`
with "torchvision" or "timm", and only where that library has no copy in its cache.
"""

import importlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from resnetbook.timeline import create_model, module_of

__all__ = ["convert", "load"]

# torchvision's oldest files of DenseNet number the layers in a way that Python attributes cannot have.
_LEGACY = (
    r"^(.*denselayer\d+\.(?:norm|relu|conv))\.((?:[12])\.(?:weight|bias|running_mean|running_var))$",
    r"\1\2",
)
# timm's names for networks that it calls otherwise.
_TIMM_NAMES = {"nasnet_a_large": "nasnetalarge", "resnet50_v2": "resnetv2_50"}
_AUXILIARY = ("aux", "AuxLogits")


def convert(name: str, state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return timm's `state_dict` of the network `name` under our parameter names.

    Raises:
        ValueError: an unknown network, one for which no renaming is known, or weights that are not of this network;
            the message names the first keys that differ.
    """
    module = importlib.import_module(f"resnetbook.timeline.{module_of(name)}")
    rules = getattr(module, "TIMM_KEYS", None)
    if rules is None:
        raise ValueError(f"name={name!r}: timm's weights are not known for this network")
    renamed = {_rename(key, rules): value for key, value in state_dict.items()}
    with torch.device("meta"):
        expected = create_model(name).state_dict()
    finish = getattr(module, "from_timm", None)  # where a tensor has another shape as well
    if finish is not None:
        renamed = finish(renamed)
    return _matched(name, renamed, expected)


def load(model: nn.Module, name: str, weights: str | Path) -> None:
    """Load weights into `model`, the network `name`, strictly (`create_model` explains `weights`).

    Raises:
        ValueError: the weights do not fit; the message names the first keys or shapes that differ.
        FileNotFoundError: no such file.
        ConnectionError: the weights could not be fetched.
    """
    if str(weights) == "torchvision":
        found = _fetched(name, "torchvision", _from_torchvision)
    elif str(weights) == "timm":
        found = convert(name, _fetched(name, "timm", _from_timm))
    else:
        path = Path(weights)
        if not path.is_file():
            raise FileNotFoundError(
                f"weights={str(weights)!r}: no such file; expected a path, 'torchvision' or 'timm'"
            )
        found = torch.load(path, map_location="cpu", weights_only=True)
    found = {_rename(key, [_LEGACY]): value for key, value in found.items()}
    expected = model.state_dict()
    if not any(key.startswith(_AUXILIARY) for key in expected):
        # The published file has auxiliary heads, which serve training alone.
        found = {key: value for key, value in found.items() if not key.startswith(_AUXILIARY)}
    model.load_state_dict(_matched(name, found, expected))
    if str(weights) == "torchvision" and hasattr(model, "transform_input"):
        model.transform_input = True  # type: ignore[assignment]  # these were trained on inputs of another normalisation


def _rename(key: str, rules: Any) -> str:
    for pattern, replacement in rules:
        key = re.sub(pattern, replacement, key)
    return key


def _matched(name: str, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return `found` if keys and shapes are those expected; older files may lack the counters of batch normalisation."""
    counters = {key: value for key, value in expected.items() if key.endswith("num_batches_tracked")}
    found = {**{key: torch.zeros_like(value, device="cpu") for key, value in counters.items()}, **found}
    wrong = sorted(expected.keys() ^ found.keys())
    if wrong:
        raise ValueError(f"weights for {name}: {len(wrong)} keys differ, first {', '.join(wrong[:4])}")
    shapes = [key for key in expected if found[key].shape != expected[key].shape]
    if shapes:
        key = shapes[0]
        raise ValueError(
            f"weights for {name}: {key} has shape {tuple(found[key].shape)}, expected {tuple(expected[key].shape)}; "
            "build the network with the published num_classes and in_channels, then replace its first or last layer"
        )
    return dict(found)


def _fetched(name: str, library: str, fetch: Any) -> Mapping[str, Tensor]:
    try:
        weights: Mapping[str, Tensor] = fetch(name)
    except OSError as error:  # no network, no such host, a proxy that refuses
        raise ConnectionError(
            f"weights={library!r}: {name} is not in {library}'s cache and could not be fetched ({error}). Go online once, or "
            "save a state_dict on a machine that is and pass its path as `weights`"
        ) from error
    return weights


def _from_torchvision(name: str) -> Mapping[str, Tensor]:
    from torchvision import models

    if name not in models.list_models(module=models):
        raise ValueError(f"weights='torchvision': torchvision has no {name}")
    return models.get_model_weights(name).IMAGENET1K_V1.get_state_dict(progress=False, check_hash=True)


def _from_timm(name: str) -> Mapping[str, Tensor]:
    try:
        import timm
    except ImportError as error:
        raise ConnectionError("weights='timm': timm is not installed; pip install timm") from error
    try:
        return timm.create_model(_TIMM_NAMES.get(name, name), pretrained=True).state_dict()
    except RuntimeError as error:
        raise ValueError(f"weights='timm': timm has no weights for {name} ({error})") from error
