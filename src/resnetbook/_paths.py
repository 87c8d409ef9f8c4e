"""Where the package finds the small data that travel with it."""

from pathlib import Path


def data_dir() -> Path:
    """Return the folder with cards and results: `resnetbook/_data` in a wheel, `data/` in a checkout.

    Raises:
        FileNotFoundError: neither exists.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "_data", package.parent.parent / "data"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError("resnetbook's data folder is missing: reinstall the package")
