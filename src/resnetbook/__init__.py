"""Residual Networks, Executed: networks, experiments and graders of an executable textbook.

Importing this package imports nothing heavy: `resnetbook.principle`, `resnetbook.lab` and so on are imported by name.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("resnetbook")
except PackageNotFoundError:  # the book builds from src without installing the package
    __version__ = "0.1.0"

__all__ = ["__version__"]
