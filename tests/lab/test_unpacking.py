"""From an archive to the folder that the loaders read (`lab.data._unpacking`): what is wanted, and nothing beside it."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from resnetbook.lab.data._unpacking import arrange_wbc, unpack

MEMBERS = {
    "top/a.bin": b"a",
    "top/b.txt": b"b",
    "top/sub/1.png": b"one",
    "top/sub/deep/2.png": b"two",
    "top/../../escape.bin": b"outside",
    "a.bin": b"at the top",
}


def archive(path: Path, kind: str) -> Path:
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as made:
            for name, content in MEMBERS.items():
                made.writestr(name, content)
        return path
    with tarfile.open(path, "w:gz") as made:
        for name, content in MEMBERS.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            made.addfile(member, io.BytesIO(content))
        for name, of_type in (("top/link.bin", tarfile.SYMTYPE), ("top/folder.bin", tarfile.DIRTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = of_type, "/etc/hostname"
            made.addfile(member)
    return path


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_what_is_wanted_is_written_where_it_belongs(kind: str, tmp_path: Path) -> None:
    place = tmp_path / "out"
    unpack(archive(tmp_path / "archive", kind), kind, [["*.bin", "."], ["sub/*.png", "images"]], place)
    found = {p.relative_to(place).as_posix(): p.read_bytes() for p in place.rglob("*") if p.is_file()}
    assert found.pop("a.bin") == b"a"
    assert found == {"images/1.png": b"one"}
    assert not (tmp_path.parent / "escape.bin").exists()


def test_the_cells_get_names_and_png_with_the_same_pixels(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    picture = Image.new("RGB", (3, 2), (10, 20, 30))
    picture.save(tmp_path / "images" / "001.bmp")
    table = "image ID,class label\n1,2\n12,5\nnotes,x\nend\n3,1\n"
    (tmp_path / "Class Labels of Dataset 1.csv").write_text(table)
    arrange_wbc(tmp_path)
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.*")) == [
        "images/001.png",
        "labels.csv",
    ]
    assert Image.open(tmp_path / "images" / "001.png").tobytes() == bytes([10, 20, 30] * 6)
    assert (tmp_path / "labels.csv").read_text().splitlines() == [
        "image,label,class",
        "001,2,lymphocyte",
        "012,5,basophil",
        "003,1,neutrophil",
    ]
