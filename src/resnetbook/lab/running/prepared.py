"""What a copy of the code without `.git` must know to make a record of the book: its commit, and that it is that commit."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import resnetbook
from resnetbook.lab._files import write_atomically
from resnetbook.lab.running import environment

NAME = "prepared.json"


def root() -> Path:
    """Return the folder that holds `src`."""
    return Path(resnetbook.__file__).resolve().parents[2]


def digest(folder: Path) -> str:
    """Return the SHA-256 of the package's sources and of the map's data under `folder`/src."""
    sha = hashlib.sha256()
    for path in sorted((folder / "src").rglob("*")):
        if path.suffix in (".py", ".toml", ".bib"):
            sha.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return sha.hexdigest()


def prepare(folder: Path | None = None) -> Path:
    """Write `prepared.json` beside `src` and return its path: it travels with a copy of the tree.

    Raises:
        ValueError: the code is not committed, or this is no checkout.
    """
    folder = folder or root()
    head = environment.commit()
    if head == "unknown" or head.endswith("-dirty"):
        raise ValueError(f"commit={head!r}: expected a checkout whose code is committed")
    path = folder / NAME
    write_atomically(path, json.dumps({"commit": head, "sources": digest(folder)}, indent=1).encode() + b"\n")
    return path


def commit(folder: Path) -> str:
    """Return the commit that `prepared.json` names: with "-dirty" where the sources are others, "unknown" without the file."""
    try:
        content = json.loads((folder / NAME).read_text(encoding="utf-8"))
        head, sources = str(content["commit"]), str(content["sources"])
    except FileNotFoundError:
        return "unknown"
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{NAME}: not what `resnetbook full --prepare` writes ({error})") from error
    return head + ("" if digest(folder) == sources else "-dirty")
