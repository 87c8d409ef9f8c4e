"""The records of experiments beside the built pages, so that a reader can download what a verdict was computed from."""

import shutil
from pathlib import Path

from sphinx.application import Sphinx

from resnetbook._paths import data_dir
from resnetbook.sphinx_ext.links import RECORDS


def copy(app: Sphinx, exception: Exception | None) -> None:
    """Copy `data/results` into the built book; records that are gone go there, too."""
    if exception is not None or app.builder.format != "html":
        return
    folder = Path(app.outdir) / RECORDS
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in sorted((data_dir() / "results").glob("*.json")):
        shutil.copyfile(path, folder / path.name)
