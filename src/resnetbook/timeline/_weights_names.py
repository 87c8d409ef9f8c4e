"""The weights of one network among the keys of a file: out of a checkpoint, without the prefixes of wrappers.

Training scripts save more than weights, and wrappers rename them: DataParallel and DistributedDataParallel write `module.`,
torch.compile `_orig_mod.`, a class that holds the network as an attribute that name. What was taken away is told.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["Taken", "take"]

# Wrappers that may stand in the middle of a name too, where a part of the network was wrapped.
WRAPPERS = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
# What checkpoints call the weights themselves, and what they call averages of them over the training.
PLAIN = (
    "state_dict", "model_state_dict", "model_state", "model", "net", "network", "backbone", "weights", "params", *WRAPPERS,
)  # fmt: skip
AVERAGES = (
    "ema",
    "model_ema",
    "ema_model",
    "state_dict_ema",
    "ema_state_dict",
    "model_ema_state_dict",
    "averaged",
    "swa",
)
_DEPTH = 4


@dataclass(frozen=True)
class Taken:
    """Weights under the network's names; in words what was done to them; and, where they do not fit, where they lay."""

    weights: dict[str, Tensor]
    notes: tuple[str, ...] = ()
    hint: str = ""


@dataclass(frozen=True)
class _Candidate:
    """One set of tensors in the file: where it was nested, the prefix of its keys, and how many the network knows."""

    path: tuple[str, ...]
    prefix: str
    weights: dict[str, Tensor]
    known: int
    complete: bool
    removed: tuple[str, ...]
    outside: tuple[str, ...]

    @property
    def rank(self) -> int:
        """0 where the names say that these are the weights, 1 where they say nothing, 2 where they say: an average."""
        words = {*self.path, *self.prefix.split("."), *self.removed} - {""}
        if words & set(AVERAGES):
            return 2
        return 0 if words <= set(PLAIN) else 1

    @property
    def place(self) -> str:
        """Nesting and prefix in words."""
        nesting = "".join(f"[{word!r}]" for word in self.path)
        return (
            " ".join(filter(None, (nesting, f"with the prefix {self.prefix!r}" if self.prefix else "")))
            or "the top"
        )


def take(
    name: str,
    found: Any,
    expected: Collection[str],
    rename: Callable[[str], str],
    translate: Callable[[dict[str, Tensor]], Mapping[str, Tensor] | None],
) -> Taken:
    """Find the weights of the network `name`, whose keys are `expected`, in what a file holds.

    Args:
        rename: brings an older key to the present one.
        translate: brings another library's weights to our names; None where it cannot.

    Raises:
        ValueError: no tensors, or several sets of them that would all fit; the message names what there is.
    """
    says = f"weights for {name}: "
    if isinstance(found, Tensor):
        raise ValueError(
            f"{says}the file holds one tensor of shape {tuple(found.shape)}, expected a state_dict"
        )
    if not isinstance(found, Mapping):
        raise ValueError(
            f"{says}the file holds a {type(found).__name__}, expected a state_dict, names and tensors"
        )
    if {"state", "param_groups"} <= set(found) <= {"state", "param_groups"}:
        raise ValueError(f"{says}the file holds an optimiser's state, expected a network's")
    candidates = [
        candidate
        for path, tensors in _mappings(found)
        for candidate in _grouped(path, tensors, expected, rename)
    ]
    if not candidates:
        keys = ", ".join(map(repr, list(found)[:4])) or "nothing"
        raise ValueError(
            f"{says}the file holds no tensors under names (it holds {keys}), expected a state_dict"
        )
    complete = [candidate for candidate in candidates if candidate.complete]
    if not complete:
        return _translated(candidates, expected, translate) or _nearest(candidates)
    chosen, *others = sorted(complete, key=lambda candidate: candidate.rank)
    rivals = [other for other in others if other.rank == chosen.rank and not _equal(chosen, other)]
    if rivals:
        places = " and ".join(candidate.place for candidate in (chosen, *rivals))
        raise ValueError(f"{says}the file holds several that fit, {places}; save the one that you mean")
    return Taken(chosen.weights, _notes(chosen, [other for other in others if other.rank != chosen.rank]))


def _needed(expected: Collection[str]) -> set[str]:
    """The keys that a file must have; older ones lack the counters of batch normalisation."""
    return {key for key in expected if not key.endswith("num_batches_tracked")}


def _translated(
    candidates: list[_Candidate],
    expected: Collection[str],
    translate: Callable[[dict[str, Tensor]], Mapping[str, Tensor] | None],
) -> Taken | None:
    """The weights under another library's names, if that is what the file holds."""
    for candidate in sorted(candidates, key=lambda candidate: candidate.rank):
        theirs = translate(candidate.weights)
        if theirs is not None and _needed(expected) <= theirs.keys():
            return Taken(dict(theirs), (*_notes(candidate, []), "timm's names were brought to ours"))
    return None


def _nearest(candidates: list[_Candidate]) -> Taken:
    """What comes nearest, to be refused key by key, and where it lay."""
    best = max(candidates, key=lambda candidate: (candidate.known, len(candidate.weights)))
    hint = f"; compared was what lies at {best.place}" if best.path or best.prefix else ""
    return Taken(
        best.weights, hint=hint if best.known else f"{hint}; none of the file's names is of this network"
    )


def _equal(one: _Candidate, other: _Candidate) -> bool:
    """Whether two candidates hold the same numbers."""

    def same(a: Tensor, b: Tensor) -> bool:
        plain = a.layout == b.layout == torch.strided and not (
            a.is_meta or b.is_meta or a.is_quantized or b.is_quantized
        )
        return a.shape == b.shape and a.dtype == b.dtype and plain and torch.equal(a, b)

    return one.weights.keys() == other.weights.keys() and all(
        same(value, other.weights[key]) for key, value in one.weights.items()
    )


def _notes(chosen: _Candidate, others: list[_Candidate]) -> tuple[str, ...]:
    """What was done, in words."""
    notes = []
    if chosen.path:
        notes.append(f"taken from {''.join(f'[{word!r}]' for word in chosen.path)}")
    if chosen.outside:
        notes.append(f"left out what does not belong to it: {', '.join(chosen.outside[:3])}")
    for prefix in filter(None, (chosen.prefix, *(f"{word}." for word in chosen.removed))):
        notes.append(f"without the prefix {prefix!r}")
    if others:
        notes.append(f"not taken: {', '.join(other.place for other in others)}")
    return tuple(notes)


def _mappings(
    found: Mapping[Any, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], dict[str, Tensor]]]:
    """Every mapping of names to tensors in `found`, with the keys that lead to it; arrays of numbers count as tensors."""
    tensors = {}
    for key, value in found.items():
        if not isinstance(key, str):
            continue
        if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
            native = np.float64 if value.dtype.itemsize > 8 else value.dtype.newbyteorder("=")
            value = torch.from_numpy(
                np.array(value, dtype=native, order="C")
            )  # keeps 0 dimensions, as counters have
        if isinstance(value, Tensor):
            tensors[key] = value
        elif isinstance(value, Mapping) and len(path) < _DEPTH:
            yield from _mappings(value, (*path, key))
    if tensors:
        yield path, tensors


def _grouped(
    path: tuple[str, ...],
    tensors: Mapping[str, Tensor],
    expected: Collection[str],
    rename: Callable[[str], str],
) -> Iterator[_Candidate]:
    """One candidate for each prefix under which names of the network occur, and one for the keys as they are."""
    known, whole, removed = set(expected), {}, []
    for key, value in tensors.items():
        first, *rest = key.split(".")
        removed += [part for part in rest if part in WRAPPERS]
        whole[rename(".".join([first, *(part for part in rest if part not in WRAPPERS)]))] = value
    prefixes = {""}
    for key in whole:
        parts = key.split(".")
        wrapped = next((n for n, part in enumerate(parts) if part not in {*PLAIN, *AVERAGES}), 0)
        cuts = {cut for cut in range(1, len(parts)) if cut == wrapped or ".".join(parts[cut:]) in known}
        prefixes |= {".".join(parts[:cut]) + "." for cut in cuts}
    for prefix in sorted(prefixes, key=len):
        weights = {key.removeprefix(prefix): value for key, value in whole.items() if key.startswith(prefix)}
        outside = tuple(key for key in whole if not key.startswith(prefix))
        hits = known & weights.keys()
        yield _Candidate(
            path, prefix, weights, len(hits), _needed(known) <= hits, tuple(dict.fromkeys(removed)), outside
        )
