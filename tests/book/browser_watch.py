"""A browser's page that records what it asks for and what it complains of."""

import re
from urllib.parse import urlsplit

# Noise of the theme itself: it complains once about a mode that nobody has chosen yet.
NOISE = re.compile(r"Got invalid theme mode", re.I)


class Watch:
    """A page that records what it asks for and what it complains of. Other hosts are never reached."""

    def __init__(
        self, browser, root: str, *, theme: str = "light", width: int = 1280, height: int = 900, **options
    ):
        self.root = root
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, reduced_motion="reduce", **options
        )
        self.context.set_default_timeout(120_000)  # a machine that is busy with other work is slow, not wrong
        self.context.add_init_script(
            f"localStorage.setItem('mode', '{theme}'); localStorage.setItem('theme', '{theme}')"
        )
        self.foreign: list[str] = []
        self.problems: list[str] = []
        self.context.route("**/*", self._route)
        self.page = self.context.new_page()
        self.page.on("console", lambda m: self._complain(m.text, m.type))
        self.page.on("pageerror", lambda error: self.problems.append(f"{self.page.url}: {error}"))
        self.page.on("response", lambda r: r.status >= 400 and self.problems.append(f"{r.status} {r.url}"))
        self.page.on("requestfailed", self._failed)

    def _route(self, route):
        url = route.request.url
        if urlsplit(url).scheme in ("http", "https", "ws", "wss") and not url.startswith(self.root):
            self.foreign.append(f"{self.page.url} asks {url}")
            route.abort()
        else:
            route.continue_()

    def _failed(self, request) -> None:
        # A page that is left early drops what it still waits for; that is no failure.
        if "ERR_ABORTED" not in (request.failure or ""):
            self._complain(f"failed {request.url}: {request.failure}", "error")

    def _complain(self, text: str, kind: str) -> None:
        if kind == "error" and not NOISE.search(text):
            self.problems.append(f"{self.page.url}: {text}")

    def open(self, name: str):
        self.page.goto(f"{self.root}/{name}", wait_until="load")
        if self.page.locator(".math").count():
            self.page.wait_for_function(
                "!window.MathJax?.startup?.promise || window.rbMath === true || "
                "(window.MathJax.startup.promise.then(() => window.rbMath = true), false)"
            )
        return self.page

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.context.close()
