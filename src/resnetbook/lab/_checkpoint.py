"""Checkpoints of a training: written atomically, read strictly, with the state of every random generator."""

from __future__ import annotations

import hashlib
import io
import pickle
import random
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from resnetbook.lab._files import write_atomically

FORMAT = 1


def seed_everything(seed: int) -> None:
    """Seed the generators of Python, NumPy and torch (CPU and GPU)."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  (the global generator is what third-party code draws from)
    torch.manual_seed(seed)


def random_state() -> dict[str, Any]:
    """Return the state of all global generators, in types that `torch.load(weights_only=True)` reads."""
    name, keys, position, has_gauss, cached = np.random.get_state()  # noqa: NPY002
    return {
        "python": random.getstate(),
        "numpy": (
            str(name),
            torch.from_numpy(np.asarray(keys).astype(np.int64)),
            position,
            has_gauss,
            cached,
        ),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_state(state: Mapping[str, Any]) -> None:
    """Restore what `random_state` returned."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])


@contextmanager
def own_randomness(seed: int) -> Iterator[None]:
    """Seed all generators inside the block, and give the caller's states back after it."""
    before = random_state()
    seed_everything(seed)
    try:
        yield
    finally:
        set_random_state(before)


def digest(tensors: Iterable[Tensor]) -> str:
    """Return the SHA-256 of the tensors' types, shapes and bytes."""
    sha = hashlib.sha256()
    for tensor in tensors:
        sha.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        sha.update(flat.view(torch.uint8).numpy().data if flat.numel() else b"")
    return sha.hexdigest()


def pack(state: Mapping[str, Any]) -> bytes:
    """Return `state` as bytes."""
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    return buffer.getvalue()


def unpack(content: bytes) -> dict[str, Any]:
    """Return the state that `pack` made into bytes, on the CPU."""
    state: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return state


def write(path: Path, state: Mapping[str, Any]) -> None:
    """Write a checkpoint atomically: a kill at any moment leaves the previous one whole."""
    content = pack({"format": FORMAT, **state})
    # The digest in front tells a damaged file from a whole one, whatever torch's reader lets pass.
    write_atomically(path, hashlib.sha256(content).digest() + content)


def read(path: Path, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the checkpoint at `path`, None where there is none.

    Raises:
        ValueError: the file is damaged, or belongs to a training with another `identity`, whose
            keys name what may differ: "other settings", "another model" and so on.
    """
    if not path.exists():
        return None
    content = path.read_bytes()
    remedy = "delete the file to start this training anew"
    if len(content) < 32 or hashlib.sha256(content[32:]).digest() != content[:32]:
        raise ValueError(f"checkpoint {path.name!r} is damaged or truncated ({len(content)} bytes): {remedy}")
    try:
        state = unpack(content[32:])
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(f"checkpoint {path.name!r} cannot be read: {remedy}") from error
    if state.get("format") != FORMAT:
        raise ValueError(
            f"checkpoint {path.name!r} has format {state.get('format')!r}, not {FORMAT}: {remedy}"
        )
    for difference, expected in identity.items():
        found = state["identity"].get(difference)
        if found != expected:
            which = f"{difference}{_where(found, expected)}"
            raise ValueError(f"checkpoint {path.name!r} belongs to a training with {which}: {remedy}")
    return state


def _where(found: Any, expected: Any) -> str:
    """Return in which entries two mappings differ, at most three of them; nothing for other values."""
    if not (isinstance(found, Mapping) and isinstance(expected, Mapping)):
        return ""
    keys = [key for key in {**expected, **found} if found.get(key) != expected.get(key)]
    shown = ", ".join(f"{key}={found.get(key)!r} instead of {expected.get(key)!r}" for key in keys[:3])
    return f" ({shown}{', ...' if len(keys) > 3 else ''})"
