"""What a file of weights holds: the object that was saved in it, or a ValueError that says what the file is instead.

Read are files of torch.save (both forms), of safetensors, and arrays of numpy.savez. Nothing that a file names is called
but what makes tensors, arrays and plain containers.
"""

import argparse
import codecs
import pickletools
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any

import numpy as np
import torch

from resnetbook._content import foreign

__all__ = ["read"]

_WANTED = "expected a state_dict: torch.save(model.state_dict(), path)"
# Harmless things that training scripts save beside the weights: options, paths, and the best score as a number of numpy.
_HARMLESS: list[Any] = [
    argparse.Namespace,
    codecs.encode,
    np.ndarray,
    np.dtype,
    *(type(np.dtype(code)) for code in ("f2", "f4", "f8", "i4", "i8", "u1", "?")),
    *((PurePosixPath, f"pathlib.{module}PosixPath") for module in ("", "_local.")),
    *((PureWindowsPath, f"pathlib.{module}WindowsPath") for module in ("", "_local.")),
    # numpy 2 moved these two; files of either version name them.
    *((np.zeros(0).__reduce__()[0], f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
    *((np.float64(0).__reduce__()[0], f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
]
_TENSORS = re.compile(
    r"^(torch(\.(_utils|_tensor|nn\.parameter|storage|serialization|cuda|sparse))*\.\w+|collections\.\w+|_codecs\.encode"
    r"|numpy\.(_?core\.multiarray\.\w+|ndarray|dtype|dtypes\.\w+)|argparse\.Namespace)$"
)


def read(path: Path) -> Any:
    """Return what was saved in `path`, on the CPU.

    Raises:
        ValueError: the file is empty, damaged, of another kind, or holds objects that are no weights; the message says
            which and what to do.
    """
    says = f"weights={str(path)!r}: "
    if path.is_dir():
        inside = sorted(
            entry.name for entry in path.iterdir() if entry.suffix in (".pt", ".pth", ".bin", ".safetensors")
        )
        held = f"; it holds {', '.join(inside[:4])}" if inside else ""
        raise ValueError(f"{says}this is a folder, expected a file{held}")
    try:
        kind = foreign(path)
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise ValueError(f"{says}the file cannot be read ({error.strerror or error})") from error
    if kind is not None:
        raise ValueError(f"{says}this is {kind}; {_WANTED}")
    # Eight bytes for the length of a header in JSON, then that header.
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") < 100_000_000:
        return _safetensors(path, says)
    if start.startswith(b"PK"):
        return _zip(path, says)
    return _torch(path, says)


def _safetensors(path: Path, says: str) -> dict[str, Any]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise ValueError(
            f"{says}this is a file of safetensors, and that package is missing: pip install safetensors"
        ) from error
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        raise ValueError(
            f"{says}this begins as a file of safetensors but is damaged or broke off ({error})"
        ) from error


def _zip(path: Path, says: str) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            broken = archive.testzip()  # torch reads a record whose sum is wrong without a word
        if broken is not None:
            raise ValueError(f"{says}this is a damaged archive (the sum of {broken} is wrong); get it again")
        if names and all(name.endswith(".npy") for name in names):
            return dict(np.load(path, allow_pickle=False))
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{says}this is a damaged zip archive ({error}); get it again") from error
    except ValueError as error:
        if str(error).startswith(says):
            raise
        raise ValueError(
            f"{says}this is an archive of numpy with something else than numbers in it; {_WANTED}"
        ) from error
    if any(name.endswith("/constants.pkl") for name in names):
        raise ValueError(
            f"{says}this is a TorchScript archive, a program with its weights; expected a state_dict: "
            "torch.save(torch.jit.load(path).state_dict(), other_path)"
        )
    if not any(name.endswith("data.pkl") for name in names):
        raise ValueError(f"{says}this is a zip archive of {', '.join(names[:4]) or 'nothing'}; {_WANTED}")
    return _torch(path, says)


def _torch(path: Path, says: str) -> Any:
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_HARMLESS):
            warnings.simplefilter("ignore")  # about pickles that are refused anyway
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged pickle brings about
        refused = re.search(r"nsupported (?:global: GLOBAL|class) ([A-Za-z_][\w.]+)", str(error))
        line = str(error).partition("\n")[0]
    # Raised here, so that torch's own error, which recommends to run what the file says, is not shown with it.
    objects = _objects(path) or ([refused[1]] if refused else [])
    first = ", ".join(objects[:3])
    if any(name.startswith(("torch.nn.", "torch.fx.")) for name in objects):
        problem = (
            f"this is a whole module, pickled with its class ({first}), which runs code when it is read; {_WANTED}, made where "
            "that class is at hand"
        )
    elif objects:
        problem = (
            f"this holds objects of {first}, which run code when they are read; {_WANTED}, made where the file was made, of "
            "the network or of the checkpoint's entry with the weights"
        )
    elif not _by_torch(path):
        problem = f"this is not a file that torch.save wrote; {_WANTED}"
    else:
        reason = f": {line}" if line and "eights" not in line else ""
        problem = f"this file of torch.save is damaged or broke off ({path.stat().st_size:,} bytes{reason}); get it again"
    raise ValueError(f"{says}{problem}")


def _by_torch(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(16)
    # The older form begins with torch's magic number, pickled.
    return start.startswith((b"PK", b"\x80\x02\x8a\n\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"))


def _objects(path: Path) -> list[str]:
    """The classes and functions that a file of torch.save names, without those of tensors and plain containers."""
    found = []
    # pickletools and zipfile bring about many kinds of error on a damaged file; what was named before it counts.
    with suppress(Exception), _pickles(path) as file:
        for _ in range(5):  # the older form is a row of pickles: magic number, version, system, object, keys
            for name in _named(file):
                found.append(name)
    return [name for name in dict.fromkeys(found) if not _TENSORS.match(name)]


@contextmanager
def _pickles(path: Path) -> Iterator[IO[bytes]]:
    """The part of a file that is pickled."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            yield file
        return
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        with archive.open(name) as file:
            yield file


def _named(file: IO[bytes]) -> Iterator[str]:
    """The names of one pickle. Protocol 4 composes them from two texts on its stack, new ones or repeated from its memo."""
    texts: list[str] = []
    memo: dict[int, str] = {}
    kept, last = 0, None
    for opcode, argument, _ in pickletools.genops(file):
        if opcode.name == "MEMOIZE":
            if last is not None:
                memo[kept] = last
            kept += 1
            continue
        last = argument if isinstance(argument, str) and opcode.name != "GLOBAL" else None
        if opcode.name == "GLOBAL":
            yield str(argument).replace(" ", ".")
        elif opcode.name == "STACK_GLOBAL":
            yield ".".join(texts[-2:])
        elif last is not None:
            texts.append(last)
        elif opcode.name in ("BINGET", "LONG_BINGET") and argument in memo:
            texts.append(memo[argument])
