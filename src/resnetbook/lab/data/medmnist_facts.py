"""What is known of the 18 sets of MedMNIST v2 before a file is opened: the table of `medmnist.toml`, and its cards.

Source: J. Yang et al., Scientific Data 10:41, 2023; Zenodo record 10519652; sums from the table of the package medmnist.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files as package_files

from resnetbook.lab.data._card import Card, DataFile

# Cards written by hand, for the sets that the book itself uses.
_WRITTEN = ("pneumoniamnist", "adrenalmnist3d")


@dataclass(frozen=True)
class Facts:
    """One set of MedMNIST.

    Attributes:
        task: binary, multi-class, multi-label or ordinal.
        samples: in training, validation and test part.
        classes: names; for a multi-label set, of the labels.
        md5: of the file for each published size.
        sha256, megabytes: the same where they are known.
        unit, split: what a sample is called, and how the parts were made, in words.
        original, credit: citation of the set that the images come from, and its short form; empty for a new one.
    """

    name: str
    title: str
    task: str
    channels: int
    samples: tuple[int, int, int]
    licence: str
    classes: tuple[str, ...]
    md5: dict[int, str]
    sha256: dict[int, str] = field(default_factory=dict)
    megabytes: dict[int, float] = field(default_factory=dict)
    unit: str = "images"
    split: str = "official split"
    original: str = ""
    credit: str = ""
    traps: tuple[str, ...] = ()

    @property
    def dimensions(self) -> int:
        """Dimensions of one sample, without channels: 2 or 3."""
        return 3 if self.name.endswith("3d") else 2

    @property
    def sizes(self) -> tuple[int, ...]:
        """Published sides in pixels or voxels, ascending."""
        return tuple(self.md5)

    def stem(self, size: int) -> str:
        """Name of the file (and of the card) of one size: the first has no number."""
        return self.name if size == self.sizes[0] else f"{self.name}_{size}"

    def shape(self, size: int) -> str:
        """One sample's sides in words."""
        return " x ".join([str(size)] * self.dimensions)


@cache
def _table() -> dict[str, dict]:
    return tomllib.loads(package_files(__package__).joinpath("medmnist.toml").read_text(encoding="utf-8"))


@cache
def facts() -> dict[str, Facts]:
    """The sets by name, in the order of their publisher."""
    found = {}
    for name, row in _table().items():
        if name == "general":
            continue
        tables = {
            key: {int(size): value for size, value in row.get(key, {}).items()}
            for key in ("md5", "sha256", "megabytes")
        }
        lists = {key: tuple(row.get(key, ())) for key in ("samples", "classes", "traps")}
        found[name] = Facts(name=name, **{**row, **tables, **lists})
    return found


def card(entry: Facts, size: int) -> Card:
    """The card of one set at one published size."""
    general, stem = _table()["general"], entry.stem(size)
    file = f"{stem}.npz"
    decoded = sum(entry.samples) * size**entry.dimensions * entry.channels / 1e6
    sha256 = entry.sha256.get(size, "")
    known = {
        "title": f"{entry.title}, {entry.shape(size)}",
        "licence": entry.licence,
        "source": general["source"],
        "attribution": " and ".join(filter(None, (general["credit"], entry.credit))) + f", {entry.licence}",
        "citation": "; ".join(filter(None, (general["citation"], entry.original))),
    }
    return Card(
        name=stem,
        **known,
        megabytes=entry.megabytes.get(size, round(decoded, 1)),
        measured=size in entry.megabytes,
        medical=True,
        printable="NC" not in entry.licence,
        folder="medmnist",
        layouts=(".medmnist",),
        home="~/.medmnist",
        files=(DataFile(file, 1, sha256, md5="" if sha256 else entry.md5[size]),),
        fetch={"kind": "file", "url": general["url"].format(file=file)},
        sha256=sha256,
        sizes=entry.sizes,
        words="" if entry.name in _WRITTEN else _words(entry, size, known),
    )


def _words(entry: Facts, size: int, known: dict[str, str]) -> str:
    """The card in words, in the form of those written by hand."""
    grey = "grey" if entry.channels == 1 else "colour"
    kind = "volumes" if entry.dimensions == 3 else "images"
    names = "; ".join(f"{name} {number}" for number, name in enumerate(entry.classes))
    labels = {
        "multi-label": f"Labels are {len(entry.classes)} numbers, 0 or 1, float32 (N, {len(entry.classes)}): {names}.",
        "ordinal": f"{len(entry.classes)} grades in an order: {names}.",
    }.get(entry.task, f"{len(entry.classes)} classes: {names}.")
    shown = (
        "Single figures may be shown, with the attribution line."
        if "NC" not in entry.licence
        else "Show no images of this set, beyond scientific quotation with citation."
    )
    several = ", ".join(map(str, entry.sizes))
    gigabytes = 4 * sum(entry.samples) * size**entry.dimensions * entry.channels / 1e9
    other = "is resampled" if entry.dimensions == 2 else "is resampled with `resample=True` alone"
    traps = [
        *entry.traps,
        "Classes may have unequal shares: give balanced accuracy or AUC beside accuracy.",
        f"In memory, as floating-point numbers, this size takes {gigabytes:.2g} GB.",
        "Not for clinical use.",
    ]
    lines = [
        f"# {known['title']}",
        "",
        f"- **Origin:** {known['source']}. `resnetbook data fetch {entry.stem(size)}` gets it from its source.",
        f"- **Licence:** {known['licence']}. {shown}",
        f"- **Attribution:** {known['attribution']}.",
        f"- **Cite:** {known['citation']}.",
        f"- **Shapes:** {sum(entry.samples):,} {grey} {kind} of {entry.shape(size)}, 8 bit. {labels}",
        f"- **Task:** {entry.task}.",
        f"- **Sizes:** {several}, each in a file of its own (`size=`). Another size {other}; `split` says from which file.",
        f"- **Split:** The official one, {' / '.join(map(str, entry.samples))}.",
        "",
        "Traps:",
        "",
        *(f"- {trap}" for trap in traps),
        "",
    ]
    return "\n".join(lines)
