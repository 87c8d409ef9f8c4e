"""The built book, once for all tests, and a browser to look at it."""

import fcntl
import functools
import http.server
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / "_build" / "html"
sys.path.insert(0, str(Path(__file__).parent))  # for browser_watch
NO_CHROMIUM = "Chromium is not installed: `apt-get install chromium` (Debian's package) brings it"


def sources() -> list[Path]:
    """Everything that the pages are made from."""
    files = [ROOT / name for name in ("_config.yml", "_toc.yml", "CITATION.cff", "CHANGELOG.md")]
    for folder, pattern in (
        ("book", "**/*"),
        ("chapters", "**/*.ipynb"),
        ("src/resnetbook", "**/*.py"),
        ("src/resnetbook/survey/data", "*"),
        ("data/results", "*.json"),
    ):
        files += [path for path in (ROOT / folder).glob(pattern) if path.is_file()]
    return [
        path for path in files if "__pycache__" not in path.parts and ".ipynb_checkpoints" not in path.parts
    ]


def is_current(html: Path) -> bool:
    """Whether a build is newer than all its sources."""
    stamp = html / "index.html"
    return stamp.is_file() and stamp.stat().st_mtime > max(path.stat().st_mtime for path in sources())


def build() -> None:
    """Build the book as `make book` does: warnings are errors, no package is installed."""
    jupyter_book = Path(sys.executable).with_name("jupyter-book")  # it cannot be called by `python -m`
    command = [jupyter_book, "build", ".", "-W", "-n", "--keep-going"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        (BUILT / "index.html").unlink(missing_ok=True)
        pytest.fail(f"the book does not build:\n{(done.stdout + done.stderr)[-6000:]}", pytrace=False)


@pytest.fixture(scope="session")
def html() -> Path:
    """The folder with the built pages; built anew only when a source is newer. One worker builds, others wait."""
    (ROOT / "_build").mkdir(exist_ok=True)
    with (ROOT / "_build" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_current(BUILT):
            build()
    return BUILT


@pytest.fixture(scope="session")
def pages(html: Path) -> list[str]:
    """All pages, relative to the folder."""
    return sorted(
        path.relative_to(html).as_posix() for path in html.rglob("*.html") if "_static" not in path.parts
    )


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture(scope="session")
def server(html: Path) -> Iterator[str]:
    """The address of the book on a local server."""
    handler = functools.partial(_Quiet, directory=str(html))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium; without it the tests are skipped, and fail in CI."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if executable is None:
        if os.environ.get("CI") == "true":
            pytest.fail(NO_CHROMIUM, pytrace=False)
        pytest.skip(NO_CHROMIUM)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(params=["served", "from disk"])
def root(request, html, server) -> str:
    return server if request.param == "served" else f"file://{html}"
