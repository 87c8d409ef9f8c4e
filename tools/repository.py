"""Write the repository's address into every file that names it: what `make repository URL=…` calls.

`_config.yml` and the notebooks' set-up cells are tools/setup_cell.py's. The other files hold a block between the marks
`>>> make repository` and `<<<`, which is written anew each time; an empty URL leaves it as it was without a repository.
On GitHub and GitLab the address of the published pages follows from that of the repository.
"""

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import setup_cell

ROOT = setup_cell.ROOT
BLOCK = re.compile(
    r"^(?P<indent> *)(?P<head>(?:#|<!--) >>> make repository.*\n)(?:.*\n)*?(?P<foot> *(?:#|<!--) <<<)", re.M
)


def pages_url(url: str) -> str:
    """Return where the pages of the repository at `url` are published; "" for other hosts than GitHub and GitLab."""
    parts = urlsplit(url)
    host = {"github.com": "github.io", "gitlab.com": "gitlab.io"}.get(parts.netloc)
    owner, _, name = parts.path.strip("/").partition("/")
    if not host or not name or "/" in name:
        return ""
    site = f"{owner.lower()}.{host}"
    return f"https://{site}/" if name.lower() == site else f"https://{site}/{name}/"


def on_github(url: str) -> str:
    """Return owner/name of a repository on GitHub, else an empty string."""
    return urlsplit(url).path.strip("/") if urlsplit(url).netloc == "github.com" else ""


def config(url: str, pages: str) -> list[str]:
    """Return the lines of `_config.yml`: the address that link previews and search engines are told."""
    return [f'baseurl: "{pages}"']


def citation(url: str, pages: str) -> list[str]:
    """Return the lines of CITATION.cff."""
    return ([f'repository-code: "{url}"'] if url else []) + ([f'url: "{pages}"'] if pages else [])


def project(url: str, pages: str) -> list[str]:
    """Return the lines of pyproject.toml."""
    lines = ["[project.urls]", f'Repository = "{url}"'] if url else []
    return lines + ([f'Documentation = "{pages}"'] if pages else [])


def publishing(url: str, pages: str) -> list[str]:
    """Return the condition in the workflow that publishes: it holds in this repository alone, in a fork never."""
    return [f"if: github.repository == '{on_github(url)}'"]


def readme(url: str, pages: str) -> list[str]:
    """Return the lines of README.md."""
    lines = [f"**Read it online: <{pages}>**"] if pages else []
    if on_github(url):
        badge = f"{url}/actions/workflows/pages.yml"
        lines += ["", f"[![tests and pages]({badge}/badge.svg)]({badge})"]
    return ["", *lines, ""] if lines else []


BLOCKS: dict[str, Callable[[str, str], list[str]]] = {
    "_config.yml": config,
    "CITATION.cff": citation,
    "pyproject.toml": project,
    "README.md": readme,
    ".github/workflows/pages.yml": publishing,
}


def fill(text: str, lines: list[str]) -> str:
    """Return `text` with `lines` between the two marks, indented as the first mark is.

    Raises:
        ValueError: the marks are missing, or there is more than one pair.
    """
    if len(BLOCK.findall(text)) != 1:
        raise ValueError(
            f"text has {len(BLOCK.findall(text))} blocks `>>> make repository` to `<<<`, expected 1"
        )

    def block(match: re.Match[str]) -> str:
        indented = "".join(f"{match['indent']}{line}".rstrip() + "\n" for line in lines)
        return match["indent"] + match["head"] + indented + match["foot"]

    return BLOCK.sub(block, text)


def write(url: str, root: Path = ROOT) -> list[Path]:
    """Write the address everywhere below `root`; return the files that changed.

    Raises:
        ValueError: `url` is neither empty nor an https address, or a file lacks its marks; nothing is written then.
    """
    url = setup_cell.check_url(url)
    new = {}
    for name, lines in BLOCKS.items():
        text = (root / name).read_text(encoding="utf-8")
        try:
            new[root / name] = fill(text, lines(url, pages_url(url)))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    changed = []
    for path, text in new.items():
        if path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    return list(dict.fromkeys(changed + setup_cell.write(url, root)))


def main() -> int:
    """Command line: `--url URL`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True, help="https address of the repository; empty to remove it")
    try:
        changed = write(parser.parse_args().url)
    except ValueError as error:
        print(f"repository: {error}", file=sys.stderr)
        return 2
    for path in changed:
        print(path.relative_to(ROOT))
    print(f"{len(changed)} files changed. Run `make book` to see it in the pages.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
