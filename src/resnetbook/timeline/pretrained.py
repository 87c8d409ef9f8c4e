"""Published weights for the networks of the timeline: from a file, from torchvision or from timm.

torchvision's names are ours wherever it has the network. timm's differ; each module of such a network lists the renamings
as `TIMM_KEYS`, pairs of a regular expression and its replacement, applied in order. The network is asked only by `load`
with "torchvision" or "timm", and only where that library has no copy in its cache.
"""

import importlib
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from resnetbook.timeline import create_model, module_of
from resnetbook.timeline._weights_file import read
from resnetbook.timeline._weights_names import Taken, take

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
    renamed = _from_timm_names(name, state_dict)
    if renamed is None:
        raise ValueError(f"name={name!r}: timm's weights are not known for this network")
    with torch.device("meta"):
        expected = create_model(name).state_dict()
    return _matched(name, renamed, expected)


def _from_timm_names(name: str, state_dict: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """Bring timm's keys to ours, as far as they are timm's; None where no renaming is known."""
    module = importlib.import_module(f"resnetbook.timeline.{module_of(name)}")
    rules = getattr(module, "TIMM_KEYS", None)
    if rules is None:
        return None
    renamed = {_rename(key, rules): value for key, value in state_dict.items()}
    finish = getattr(module, "from_timm", None)  # where a tensor has another shape as well
    if finish is None or "fc.weight" not in renamed:
        return renamed
    try:
        finished: dict[str, Tensor] = finish(renamed)
    except IndexError:  # its last layer is no convolution, so this is not timm's
        return renamed
    return finished


def load(model: nn.Module, name: str, weights: str | Path) -> None:
    """Load weights into `model`, the network `name`, strictly (`create_model` explains `weights`).

    Of a checkpoint the weights are taken, and prefixes of wrappers such as `module.` go; a warning says what was left
    out. Weights of another precision are converted, which is said too.

    Raises:
        ValueError: the file is no file of weights, or they do not fit; the message says what was found, or names the first
            keys or shapes that differ.
        FileNotFoundError: no such file.
        ConnectionError: the weights could not be fetched.
    """
    expected = model.state_dict()
    taken = Taken({})
    if isinstance(weights, str) and weights == "torchvision":
        found = _fetched(name, "torchvision", _from_torchvision)
    elif isinstance(weights, str) and weights == "timm":
        found = convert(name, _fetched(name, "timm", _from_timm))
    else:
        taken = _from_file(name, weights, expected)
        found = taken.weights
    found = _without_auxiliary({_rename(key, [_LEGACY]): value for key, value in found.items()}, expected)
    _check_numbers(name, found, expected)
    found = _matched(name, found, expected, taken.hint)
    notes = [*taken.notes, *_conversions(found, expected)]
    model.load_state_dict(found)
    if notes:
        warnings.warn(f"weights for {name}: {'; '.join(notes)}", stacklevel=3)
    if str(weights) == "torchvision" and hasattr(model, "transform_input"):
        model.transform_input = True  # type: ignore[assignment]  # these were trained on inputs of another normalisation


def _from_file(name: str, weights: Any, expected: Mapping[str, Tensor]) -> Taken:
    """Read a file and find the network's weights in it."""
    if not isinstance(weights, str | Path):
        raise ValueError(
            f"weights of type {type(weights).__name__}: expected a path, 'torchvision' or 'timm'"
        )
    path = Path(weights).expanduser()
    try:
        here = bool(str(weights).strip()) and path.exists()
    except OSError:  # a text far too long for a path
        here = False
    if not here:
        raise FileNotFoundError(
            f"weights={str(weights)!r}: no such file; expected a path, 'torchvision' or 'timm'"
        )
    return take(
        name,
        read(path),
        expected,
        lambda key: _rename(key, [_LEGACY]),
        lambda found: _from_timm_names(name, found),
    )


def _conversions(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    """Say from which precision weights are converted, if they are."""
    other = {
        str(found[key].dtype).removeprefix("torch.")
        for key in expected
        if found[key].dtype != expected[key].dtype
    }
    return [f"converted from {' and '.join(sorted(other))}"] if other else []


def _without_auxiliary(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Leave out the auxiliary heads of a published file, which serve training alone, where the network has none."""
    if any(key.startswith(_AUXILIARY) for key in expected):
        return dict(found)
    return {key: value for key, value in found.items() if not key.startswith(_AUXILIARY)}


def _check_numbers(name: str, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Refuse tensors that hold no weights as a network of floating-point numbers has them.

    Raises:
        ValueError: names the first and what it is.
    """
    for key, value in found.items():
        if key not in expected:
            continue
        kind = None
        if value.is_meta:
            kind = "a tensor without its numbers (saved on the meta device)"
        elif value.is_quantized or value.layout != torch.strided:
            kind = f"quantised ({value.dtype})" if value.is_quantized else f"sparse ({value.layout})"
        elif expected[key].is_floating_point() and not value.is_floating_point():
            kind = f"of {value.dtype}, no floating-point numbers"
        if kind is not None:
            raise ValueError(
                f"weights for {name}: {key} is {kind}; expected the weights themselves: save the state_dict of the network "
                "before it was converted"
            )


def _rename(key: str, rules: Any) -> str:
    for pattern, replacement in rules:
        key = re.sub(pattern, replacement, key)
    return key


def _matched(
    name: str, found: Mapping[str, Tensor], expected: Mapping[str, Tensor], hint: str = ""
) -> dict[str, Tensor]:
    """Return `found` if keys and shapes are those expected; older files may lack the counters of batch normalisation."""
    counters = {key: value for key, value in expected.items() if key.endswith("num_batches_tracked")}
    found = {**{key: torch.zeros_like(value, device="cpu") for key, value in counters.items()}, **found}
    wrong = sorted(expected.keys() ^ found.keys())
    if wrong:
        missing = len(expected.keys() - found.keys())
        raise ValueError(
            f"weights for {name}: {len(wrong)} keys differ, first {', '.join(wrong[:4])} "
            f"({missing} that the network needs are missing, {len(wrong) - missing} are not its own){hint}"
        )
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
    except ValueError:
        raise
    except (
        OSError,
        RuntimeError,
    ) as error:  # no network, no such host, a proxy that refuses, a transfer that broke off
        raise ConnectionError(
            f"weights={library!r}: {name} is not in {library}'s cache and could not be fetched ({error}). Go online once, or "
            "save a state_dict on a machine that is and pass its path as `weights`"
        ) from error
    return weights


def _from_torchvision(name: str) -> Mapping[str, Tensor]:
    from torchvision import models

    if name not in models.list_models(module=models):
        raise ValueError(f"weights='torchvision': torchvision has no {name}")
    weights = models.get_model_weights(name).IMAGENET1K_V1
    cached = Path(torch.hub.get_dir()) / "checkpoints" / weights.url.rpartition("/")[2]
    if not cached.is_file():
        return weights.get_state_dict(progress=False, check_hash=True)
    try:
        return read(cached)
    except ValueError as error:
        raise ValueError(f"{error}; without this file in its cache torchvision fetches it again") from error


def _from_timm(name: str) -> Mapping[str, Tensor]:
    try:
        import timm
    except ImportError as error:
        raise ConnectionError("weights='timm': timm is not installed; pip install timm") from error
    try:
        return timm.create_model(_TIMM_NAMES.get(name, name), pretrained=True).state_dict()
    except RuntimeError as error:
        raise ValueError(f"weights='timm': timm has no weights for {name} ({error})") from error
