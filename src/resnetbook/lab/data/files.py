"""Whether a data set is here and the right one, and how it is fetched from its source (`places` says where it may lie).

The network is used by `fetch` alone.
"""

from __future__ import annotations

import hashlib
import http.client
import shutil
import tarfile
import tempfile
import urllib.request
import zipfile
from pathlib import Path

from resnetbook.lab.data._sums import file_sum, matching, problem
from resnetbook.lab.data._unpacking import arrange_wbc, unpack
from resnetbook.lab.data.cards import Card, card
from resnetbook.lab.data.places import VARIABLE, cache_dir, mistake, named_dir, places, searched, shown

_checked: set[tuple[str, Path]] = set()


class DataMissing(FileNotFoundError):
    """A data set is not here, or not as published. The message is one sentence that says what to do."""


def _explain(entry: Card, problem: str, remedy: str = "") -> str:
    """One sentence: the set, its size, licence and source, what is wrong, and what to do (`remedy`, else how to get it)."""
    if not remedy:
        other = f"set {VARIABLE} to a folder that holds it"
        named = named_dir()
        if named is not None and not mistake():
            other = f"put it into one of these folders ({VARIABLE} names {shown(named)})"
        remedy = f"run `resnetbook data fetch {entry.name}` or {other}"
        if not entry.fetchable:
            remedy = f"{other} (it cannot be fetched: {entry.fetch['reason']})"
    return (
        f"data set {entry.name!r} ({entry.on_disk}, licence: {entry.licence}, "
        f"source: {entry.source}) {problem}: {remedy}"
    )


def located(entry: Card) -> Path | None:
    """The folder that `find` would check: the first that holds something of the set. No sum is looked at."""
    for place in places(entry):
        counts = [len(matching(place.folder, part)) == part.count for part in entry.files]
        if all(counts) or (place.own and any(matching(place.folder, part) for part in entry.files)):
            return place.folder
    return None


def find(name: str, *, download: bool = False) -> Path:
    """Return the folder that holds the set, after its sums were checked (once per process).

    A damaged copy is an error, and no other set is ever put in its place.

    Args:
        name: a name of `cards()`, or one with a size of its own such as ``bloodmnist_64``.
        download: fetch the set from its original source when it is nowhere here.

    Raises:
        ValueError: there is no set of that name.
        DataMissing: the set is nowhere, or incomplete, or not as published.
    """
    entry = card(name)
    if not entry.files:
        raise ValueError(f"name={name!r}: expected a set made of files ({entry.fetch['reason']})")
    doubtful = ""  # what lies in a folder of all kinds of data under names that tell nothing, and may be another set's
    for place in places(entry):
        folder = place.folder
        if not any(matching(folder, part) for part in entry.files):
            continue
        if (name, folder) not in _checked:
            wrong = problem(folder, entry)
            if wrong and place.own:
                raise DataMissing(_explain(entry, f"{wrong} in {shown(folder)}", _replace(entry)))
            if wrong:
                doubtful = doubtful or f"what {shown(folder)} holds {wrong}"
                continue
            _checked.add((name, folder))
        return folder
    if download:
        return fetch(name)
    looked = "; ".join(filter(None, (mistake(), searched(entry), doubtful)))
    raise DataMissing(_explain(entry, f"is not on this machine ({looked})"))


def _replace(entry: Card) -> str:
    """What to do about a damaged copy: it hides a good one, so it has to go first."""
    wanted = ", ".join(part.path for part in entry.files)
    again = f"run `resnetbook data fetch {entry.name}`" if entry.fetchable else "put a good copy there"
    if not entry.fetchable:
        again += f" (it cannot be fetched: {entry.fetch['reason']})"
    return f"remove {wanted} there, or name another folder with {VARIABLE}, then {again}"


def checksum(name: str) -> str:
    """SHA-256 of the files that `find` returns: the published one, else computed from files whose MD5 was checked.

    Raises:
        ValueError: there is no set of that name.
        DataMissing: the set is not here, or not as published.
    """
    entry = card(name)
    if entry.sha256:
        return entry.sha256
    folder = find(name)
    if len(entry.files) == 1:
        return file_sum(folder / entry.files[0].path, "sha256")
    lines = "".join(f"{file_sum(folder / part.path, 'sha256')}  {part.path}\n" for part in entry.files)
    return hashlib.sha256(lines.encode()).hexdigest()


def available(name: str) -> bool:
    """Whether `find` would succeed without the network.

    Raises:
        ValueError: there is no set of that name.
    """
    if not card(name).files:
        return True
    try:
        find(name)
    except DataMissing:
        return False
    return True


def _download(url: str, target: Path) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "resnetbook"})
    with urllib.request.urlopen(request, timeout=60) as answer, target.open("wb") as out:
        shutil.copyfileobj(answer, out)


def fetch(name: str) -> Path:
    """Fetch a set from its original source into the user's cache; the only function that uses the network.

    The files are checked before they take their place, and each takes it by a rename, so a broken
    transfer leaves nothing that looks like the set.

    Returns:
        the folder that holds the set.

    Raises:
        ValueError: there is no set of that name.
        DataMissing: the set has no source that can be fetched, the transfer failed, or a sum differs.
    """
    entry = card(name)
    if not entry.fetchable:
        raise DataMissing(_explain(entry, "has no source to fetch from"))
    cache_dir().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_dir(), prefix=".fetch-") as scratch:
        folder = Path(scratch) / "set"
        folder.mkdir()
        try:
            if entry.fetch["kind"] == "file":
                _download(entry.fetch["url"], folder / entry.files[0].path)
            else:
                _download(entry.fetch["url"], Path(scratch) / "archive")
                unpack(Path(scratch) / "archive", entry.fetch["kind"], entry.fetch["take"], folder)
            if name == "wbc":
                arrange_wbc(folder)
        except (
            OSError,
            http.client.HTTPException,
            zipfile.BadZipFile,
            tarfile.TarError,
            EOFError,
            ValueError,
        ) as error:
            raise DataMissing(_explain(entry, f"could not be fetched ({error})")) from error
        wrong = problem(folder, entry)
        if wrong:
            raise DataMissing(_explain(entry, f"was fetched but {wrong}"))
        home = cache_dir() / entry.folder
        for part in entry.files:
            for path in matching(folder, part):
                target = home / path.relative_to(folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                path.replace(target)
    _checked.add((name, home))
    return home
