"""One kernel: what a cell may send, and which lines cost nothing because they serve another machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from resnetbook.grading.kernel import Outcome
from resnetbook.grading.limits import FLOOD_LIMIT, OUTPUT_LIMIT
from resnetbook.grading.session import Session

SHOW = (
    "from IPython.display import publish_display_data as show\n"
    "for _ in range({count}):\n    show({{'image/png': 'a' * {size}}})\n"
)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    limits = {"memory_mb": 2048, "cpu_seconds": 120, "file_mb": 32}
    session = Session(Path(tmp_path_factory.mktemp("k", numbered=True)), limits)
    yield session
    session.close()


def run(session: Session, source: str) -> Outcome:
    return session.run(source, 60.0, keep=True)


@pytest.mark.parametrize(
    "source",
    [
        SHOW.format(count=1, size=1_180_000),
        SHOW.format(count=16, size=600_000),
        "print('x' * 1_200_000)",
        "import sys\nsys.stderr.write('x' * 3_000_000)",
    ],
)
def test_output_is_cut_and_the_cell_goes_on(session: Session, source: str) -> None:
    outcome = run(session, f"{source}\nreached = 1\nprint('behind the cut')")
    assert (outcome.status, outcome.cut) == ("ok", True)
    outcome = run(session, "print(reached)")
    assert (outcome.status, outcome.cut, outcome.printed) == ("ok", False, "1\n")


def test_an_error_behind_the_cut_is_heard(session: Session) -> None:
    outcome = run(session, f"{SHOW.format(count=2, size=OUTPUT_LIMIT)}\nraise KeyError('late')")
    assert (outcome.status, outcome.error, outcome.message) == ("error", "KeyError", "'late'")


def test_a_value_behind_the_cut_is_taken(session: Session) -> None:
    value = "sys.modules['resnetbook.grading._kernel'].publish(7)"
    outcome = run(session, f"{SHOW.format(count=2, size=OUTPUT_LIMIT)}\nimport sys\n{value}")
    assert outcome.values == [7]
    assert run(session, f"import sys\nfor _ in range(9): {value}").values == [
        7,
        7,
    ]  # as many as it takes to refuse them


def test_a_flood_is_stopped(session: Session) -> None:
    count = 2 * FLOOD_LIMIT // 1_000_000
    assert run(session, SHOW.format(count=count, size=1_000_000)).status == "flood"
    assert run(session, "print(1)").status == "ok"


# What stands at the top of an answer from another machine; "reached" must be set behind it.
LINES = [
    "from google.colab import files",
    "from google.colab import drive, files as f\ndrive.mount('/content/drive')\nfor name in f.upload():\n    print(name)",
    "import google.colab.patches as patches\npatches.cv2_imshow(None)",
    "import not_installed_here as nih, json",
    "from not_installed_here.some import *\nfrom not_installed_here import thing",
    "!pip install not-installed-here",
    "%pip install not-installed-here\n%conda install x\n!python -m pip install x\nout = !pip list",
    "%load_ext not_installed_here\n%no_such_magic on\n%reload_ext autoreload",
    "%%no_such_cell_magic",
    "try:\n    import google.colab\n    on_colab = True\nexcept ImportError:\n    on_colab = False\nassert not on_colab",
    "from __future__ import annotations\nimport not_installed_here",
    "%matplotlib widget\n%matplotlib agg\nimport matplotlib\nassert 'inline' in matplotlib.get_backend()",
    "len?\nlen??",
    "files = !echo here\nassert files == ['here']",
]


@pytest.mark.parametrize("source", LINES)
def test_lines_for_another_machine_cost_nothing(session: Session, source: str) -> None:
    run(session, "reached = 0")
    outcome = run(session, f"{source}\nreached = 1")
    assert outcome.status == "ok", (outcome.error, outcome.message)
    assert run(session, "print(reached)").printed == "1\n"


def test_nothing_is_installed(session: Session) -> None:
    source = (
        "%pip --version\n!pip --version\n!python -m pip --version\nout = !pip3 --version\nprint(len(out))"
    )
    assert run(session, source).printed == "0\n"


def test_what_is_missing_fails_where_it_is_used(session: Session) -> None:
    run(session, "import not_installed_here as nih\ndef f():\n    return nih.thing(1)")
    outcome = run(session, "1\nf()")
    assert (outcome.error, [line for _, line in outcome.frames]) == ("ModuleNotFoundError", [2, 3])
    assert "No module named 'not_installed_here'" in outcome.message
    assert run(session, "def g():\n    import not_installed_here\ng()").error == "ModuleNotFoundError"
