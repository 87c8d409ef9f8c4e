"""Print what an extra of pyproject.toml asks for, one requirement a line, without installing the package.

`make book` uses it: the book's own list is short and does not bring torch.
"""

import sys
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"


def requirements(extra: str, pyproject: Path = PYPROJECT) -> list[str]:
    """Return the requirements of `extra`; those that name another extra of ours are followed.

    Raises:
        ValueError: there is no such extra.
    """
    project = tomllib.loads(pyproject.read_text())["project"]
    extras = project["optional-dependencies"]
    if extra not in extras:
        raise ValueError(f"extra is {extra!r}; expected one of {', '.join(sorted(extras))}")
    found: list[str] = []
    for line in extras[extra]:
        own = line.startswith(project["name"] + "[")
        found += requirements(line.partition("[")[2].rstrip("]"), pyproject) if own else [line]
    return found


if __name__ == "__main__":
    try:
        print("\n".join(requirements(*sys.argv[1:2])))
    except (TypeError, ValueError) as error:
        sys.exit(f"usage: dependencies.py EXTRA ({error})")
