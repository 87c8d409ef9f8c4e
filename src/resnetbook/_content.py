"""What a file really is, by its first bytes: what people receive when they meant to download something else."""

import zipfile
from pathlib import Path

_STARTS = (
    (
        b"version https://git-lfs.github.com/spec",
        "a Git LFS pointer, not the file it stands for (`git lfs pull` gets that)",
    ),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes them"),
    (b"\x93NUMPY", "one NumPy array (.npy)"),
    (b"\x1f\x8b", "a gzip archive: unpack it first"),
    (b"BZh", "a bzip2 archive: unpack it first"),
    (b"\xfd7zXZ\x00", "an xz archive: unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it first"),
    (b"Rar!\x1a\x07", "a RAR archive: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive: unpack it first"),
    (b"%PDF-", "a PDF document"),
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"\x7fELF", "a program"),
)


def foreign(path: Path) -> str | None:
    """Say what `path` holds if that is plainly something else than data or weights; None if it may be either.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(512)
        if not start:
            return "an empty file (0 bytes)"
        file.seek(257)
        if file.read(5) == b"ustar":
            return "a tar archive: unpack it first"
    for magic, kind in _STARTS:
        if start.startswith(magic):
            return kind
    if not start.strip(b"\x00"):
        return "nothing but zeros at its start, as a download that was never filled leaves it"
    if start.startswith(b"PK") and not zipfile.is_zipfile(path):
        return f"a zip archive without its end, so a download that broke off ({path.stat().st_size:,} bytes)"
    return _text(start)


def _text(start: bytes) -> str | None:
    """Say what kind of text this is, or None where it is none."""
    for bom, encoding in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"), (b"\xef\xbb\xbf", "utf-8")):
        if start.startswith(bom):
            start = start[len(bom) :].decode(encoding, "ignore").encode()
    words = start.lstrip().lower()
    if words.startswith((b"<!doctype html", b"<html", b"<head", b"<body", b"<script")):
        return "an HTML page, as a server sends it instead of a download that needs a login or a click"
    if words.startswith((b"<?xml", b"<")) and b">" in words and b"\x00" not in words:
        return "an XML or HTML text, perhaps a server's error message"
    try:
        text = start[:400].decode()  # a character may be cut at 512 bytes, so fewer are asked
    except UnicodeDecodeError as error:
        if error.start < 390:
            return None
        text = start[: error.start].decode()
    if all(character.isprintable() or character in "\r\n\t" for character in text):
        first = " ".join(text.split())[:60]
        return f"a text that begins {first!r}"
    return None
