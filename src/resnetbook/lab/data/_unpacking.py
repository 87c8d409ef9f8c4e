"""From the archive that a source publishes to the folder that the loaders read."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from PIL import Image


def _wanted(names: Iterable[str], take: list[list[str]]) -> Iterator[tuple[str, Path]]:
    """Pairs (member, relative target) of the files wanted; the archive's top folder is ignored."""
    for member in names:
        inside = PurePosixPath(*PurePosixPath(member).parts[1:])
        for pattern, target in take:
            if inside.parent == PurePosixPath(pattern).parent and fnmatchcase(str(inside), pattern):
                yield member, Path(target) / inside.name


def unpack(archive_path: Path, kind: str, take: list[list[str]], folder: Path) -> None:
    """Write the members wanted of a zip or tar archive into `folder`; nothing else leaves the archive."""

    def write(target: Path, content: bytes) -> None:
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        (folder / target).write_bytes(content)

    if kind == "zip":
        with zipfile.ZipFile(archive_path) as archive:
            for member, target in _wanted(archive.namelist(), take):
                write(target, archive.read(member))
        return
    with tarfile.open(archive_path) as tar:
        regular = {member.name: member for member in tar.getmembers() if member.isfile()}
        for name, target in _wanted(regular, take):
            content = tar.extractfile(regular[name])
            if content is not None:
                write(target, content.read())


def arrange_wbc(folder: Path) -> None:
    """Bring the original layout of `wbc` into ours: BMP to PNG without loss, class names into the table."""
    for path in sorted((folder / "images").glob("*.bmp")):
        Image.open(path).save(path.with_suffix(".png"))
        path.unlink()
    source = folder / "Class Labels of Dataset 1.csv"
    names = ("neutrophil", "lymphocyte", "monocyte", "eosinophil", "basophil")
    rows = [line.split(",") for line in source.read_text(encoding="utf-8").split()[1:] if "," in line]
    rows = [row for row in rows if row[0].isdigit()]
    lines = [f"{int(image):03d},{label},{names[int(label) - 1]}" for image, label in rows]
    (folder / "labels.csv").write_text("\n".join(["image,label,class", *lines]) + "\n", encoding="utf-8")
    source.unlink()
