"""Write _build/bench.md: build times, notebook times, the recorder's cost, networks beside their counterparts, import times.

Times are medians of repeats on this machine; what is compared is compared side by side, alternating, in one run.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench_networks import networks

ROOT = Path(__file__).resolve().parent.parent
BUILD = [str(Path(sys.executable).with_name("jupyter-book")), "build", ".", "--quiet", "--path-output"]


def seconds(work: Callable[[], object]) -> float:
    """Return the wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def python(code: str) -> Callable[[], object]:
    """Return a function that runs `code` in a fresh interpreter."""
    return lambda: subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def builds() -> list[str]:
    """Build the book from nothing, again unchanged, and with one page changed."""
    rows = ["| build | seconds |", "|---|---|"]
    page = ROOT / "book" / "how_to_read.md"
    text = page.read_text()
    environment = {**os.environ, "PYTHONPATH": "src"}
    with tempfile.TemporaryDirectory() as folder:

        def build() -> None:
            subprocess.run([*BUILD, folder], cwd=ROOT, env=environment, check=True, capture_output=True)

        rows.append(f"| cold | {seconds(build):.1f} |")
        rows.append(f"| nothing changed | {seconds(build):.1f} |")
        try:
            page.write_text(text + "\n")
            rows.append(f"| one page changed | {seconds(build):.1f} |")
        finally:
            page.write_text(text)
    return rows


def notebooks() -> list[str]:
    """List what each notebook took when it was last executed (its own metadata)."""
    rows = ["| notebook | seconds | executed | MB |", "|---|---|---|---|"]
    total = 0
    for path in sorted((ROOT / "chapters").rglob("*.ipynb")):
        meta = json.loads(path.read_text())["metadata"].get("resnetbook")
        if meta and "seconds" in meta:  # a released student's notebook was not executed
            total += meta["seconds"]
            size = path.stat().st_size / 1e6
            rows.append(
                f"| {path.relative_to(ROOT / 'chapters')} | {meta['seconds']} | {meta['executed']} | {size:.2f} |"
            )
    return [*rows, f"| all | {total} | | |"]


def recorder(repeats: int = 20) -> list[str]:
    """Compare training steps with and without GradientFlow, alternating in one run.

    The first two rows are the training step of He et al. 2016, section 4.2: 32x32 pixels, batches of 128. On the 8-pixel
    digits a step is so short that the calls of the hooks themselves show.
    """
    import torch
    from torch.nn.functional import cross_entropy

    from resnetbook.principle.gradient_flow import GradientFlow
    from resnetbook.principle.twins import TwinNet

    torch.manual_seed(0)
    rows = [
        "| network, batch | step with the recorder / step without: median | middle half |",
        "|---|---|---|",
    ]
    for depth, size, batch in ((20, 32, 128), (56, 32, 128), (20, 8, 64)):
        model = TwinNet(depth)
        optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        x, y = torch.randn(batch, 1, size, size), torch.randint(10, (batch,))

        def step(model=model, optimiser=optimiser, x=x, y=y) -> None:  # type: ignore[no-untyped-def]
            optimiser.zero_grad()
            cross_entropy(model(x), y).backward()
            optimiser.step()

        ratios = []
        flow = GradientFlow(model)
        for repeat in range(repeats + 2):
            with flow:
                with_it = min(seconds(step) for _ in range(3))
            without = min(seconds(step) for _ in range(3))
            if repeat >= 2:
                ratios.append(with_it / without)
        low, _, high = statistics.quantiles(ratios, n=4)
        rows.append(
            f"| TwinNet({depth}) at {size} px, {batch} | {statistics.median(ratios):.3f} | {low:.3f} to {high:.3f} |"
        )
    return rows


def imports() -> list[str]:
    """Time imports in fresh interpreters."""
    rows = ["| import | seconds, median of 5 |", "|---|---|"]
    for code in ("pass", "import resnetbook", "import resnetbook.cli", "import resnetbook.survey", "import torch",
                 "import resnetbook.principle", "import resnetbook.lab.data", "import resnetbook.lab.training"):  # fmt: skip
        times = [seconds(python(code)) for _ in range(5)]
        rows.append(f"| `{code}` | {statistics.median(times):.2f} |")
    return rows


def main() -> None:
    """Write the table and print it."""
    head = [
        "# Bench",
        "",
        f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}.",
        "",
    ]
    text = head
    for title, part in (
        ("Build", builds),
        ("Notebooks", notebooks),
        ("Gradient recorder", recorder),
        ("Networks beside their counterparts", networks),
        ("Imports", imports),
    ):
        print(f"{title} …", flush=True)
        text += [f"## {title}", "", *part(), ""]
    path = ROOT / "_build" / "bench.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(text))
    print("\n".join(text))
    print(f"written to {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
