"""The first code cell of every notebook, and the repository's address in it and in `_config.yml`.

`make repository URL=…` (tools/repository.py) writes it; an empty URL removes it again.
"""

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# `%pip` stands in the cell as IPython's own command, so that Colab's kernel sees the new package at once.
SETUP_CELL = """\
# Set-up: on Colab this installs the book's package; where the package is installed it does nothing.
REPOSITORY = "{url}"  # written by `make repository URL=...`
import glob, importlib.util

if importlib.util.find_spec("resnetbook") is None:
    wheels = sorted(glob.glob("resnetbook-*.whl"))
    source = wheels[-1] if wheels else f"resnetbook @ git+{{REPOSITORY}}" if REPOSITORY else ""
    if not source:
        raise ModuleNotFoundError(
            "resnetbook is not installed, and this notebook knows no repository. Make the wheel with `make wheel`, "
            "upload it beside this notebook (Files, then Upload), and run this cell again."
        )
    %pip install --quiet "{{source}}\""""


def setup_cell(url: str = "") -> str:
    """Return the source of the set-up cell for a repository at `url` ("" while there is none)."""
    return SETUP_CELL.format(url=url)


def configured_url(root: Path = ROOT) -> str:
    """Return the repository's address as it stands in `_config.yml`."""
    match = re.search(
        r"^repository:\n(?:  .*\n)*?  url: *\"?([^\"\n#]*?)\"? *(?:#.*)?$",
        (root / "_config.yml").read_text(),
        re.M,
    )
    return match.group(1).strip() if match else ""


def check_url(url: str) -> str:
    """Return `url` without a final slash or `.git`.

    Raises:
        ValueError: it is neither empty nor an https address.
    """
    if url and not re.fullmatch(r"https://[\w.-]+(:\d+)?/[\w./~-]+", url):
        raise ValueError(
            f"URL is {url!r}; expected an address such as https://host/owner/name, or an empty string"
        )
    return url.removesuffix("/").removesuffix(".git")


def write(url: str, root: Path = ROOT) -> list[Path]:
    """Write the address into `_config.yml` and every notebook's set-up cell; return the files that changed."""
    url = check_url(url)
    changed = []
    config = root / "_config.yml"
    text = config.read_text()
    new = re.sub(
        r"(^repository:\n(?:  .*\n)*?  url:)[^\n#]*?(?=[ \t]*(?:#|$))",
        lambda m: f'{m.group(1)} "{url}"',
        text,
        count=1,
        flags=re.M,
    )
    if new != text:
        config.write_text(new)
        changed.append(config)
    for path in sorted((root / "chapters").rglob("*.ipynb")):
        notebook = json.loads(path.read_text())
        for cell in notebook["cells"]:
            if "setup" in cell["metadata"].get("tags", []):
                lines = setup_cell(url).splitlines(keepends=True)
                if cell["source"] != lines:
                    cell["source"] = lines
                    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
                    changed.append(path)
    return changed
