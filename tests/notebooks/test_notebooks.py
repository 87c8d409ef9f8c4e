"""Rules for the notebooks as files (DESIGN section 2). That they run and print what they say is nbval's part of `make test`."""

import html
import inspect
import json
import pkgutil
import re
import sys
import textwrap
from pathlib import Path

import pytest
from nbval.plugin import find_metadata_tags

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import execute  # noqa: E402
import setup_cell  # noqa: E402

CHAPTERS = sorted(p for p in (ROOT / "chapters").rglob("*.ipynb") if p.name != "student.ipynb")
PAGES = [p for p in CHAPTERS if "assignments" not in p.parts]
NAMES = [str(p.relative_to(ROOT / "chapters")) for p in CHAPTERS]
PAGE_NAMES = [str(p.relative_to(ROOT / "chapters")) for p in PAGES]


def cells(path: Path, kind: str) -> list[dict]:
    return [
        c
        for c in json.loads(path.read_text())["cells"]
        if c["cell_type"] == kind and "".join(c["source"]).strip()
    ]


def tags(cell: dict) -> list[str]:
    return cell["metadata"].get("tags", [])


def checked(cell: dict) -> bool:
    """Whether nbval compares what the cell prints: by its tag, or by the comment of chapters not yet rewritten."""
    return "nbval-check-output" in tags(cell) or "".join(cell["source"]).startswith("# NBVAL_CHECK_OUTPUT\n")


def test_there_are_notebooks() -> None:
    assert len(PAGES) >= 5


@pytest.mark.parametrize("path", CHAPTERS, ids=NAMES)
def test_executed_in_order_without_error_or_stderr(path: Path) -> None:
    code = cells(path, "code")
    assert [c["execution_count"] for c in code] == list(range(1, len(code) + 1))
    outputs = [o for c in code for o in c["outputs"]]
    assert not [o for o in outputs if o["output_type"] == "error"]
    assert not [o["text"] for o in outputs if o["output_type"] == "stream" and o["name"] == "stderr"]


@pytest.mark.parametrize("path", CHAPTERS, ids=NAMES)
def test_code_is_the_code_that_was_executed(path: Path) -> None:
    """An edited cell whose outputs are old shows in the hash that `make execute` leaves."""
    import nbformat

    assert execute.is_current(nbformat.read(path, as_version=4)), "run make execute"


@pytest.mark.parametrize("path", CHAPTERS, ids=NAMES)
def test_size_and_no_path_of_a_machine(path: Path) -> None:
    text = path.read_text()
    assert path.stat().st_size <= execute.LIMIT
    assert not re.findall(
        r"(?:/(?:home|Users|tmp|work)/\w+|/roo[t]/|site-packages|[A-Z]:\\\\Users)[^\s\"]{0,40}", text
    )


@pytest.mark.parametrize("path", CHAPTERS, ids=NAMES)
def test_normalised(path: Path) -> None:
    notebook = json.loads(path.read_text())
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert "widgets" not in notebook["metadata"]
    assert not [c for c in notebook["cells"] if "execution" in c["metadata"]]
    ids = [c["id"] for c in notebook["cells"]]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("path", CHAPTERS, ids=NAMES)
def test_set_up_cell_is_the_common_one(path: Path) -> None:
    code = cells(path, "code")
    assert "setup" in tags(code[0])
    assert "".join(code[0]["source"]) == setup_cell.setup_cell(setup_cell.configured_url())
    assert not any("setup" in tags(c) for c in code[1:])


@pytest.mark.parametrize("path", PAGES, ids=PAGE_NAMES)
def test_figures_have_alt_text_and_caption(path: Path) -> None:
    """In the page's metadata for images; in the HTML itself for moving figures."""
    for cell in cells(path, "code"):
        kinds = {m for o in cell["outputs"] for m in o.get("data", {})}
        if kinds & {"image/png", "image/svg+xml"} and "text/html" not in kinds:
            meta = cell["metadata"].get("mystnb", {})
            alt = meta.get("image", {}).get("alt", "")
            assert len(alt) >= 20, f"a figure without alt text: {''.join(cell['source'])[:80]}"
            assert meta.get("figure", {}).get("caption"), (
                f"a figure without caption: {''.join(cell['source'])[:80]}"
            )
        for page in (
            "".join(o["data"]["text/html"]) for o in cell["outputs"] if "text/html" in o.get("data", {})
        ):
            assert all(re.search(r'\balt="[^"]{10,}"', image) for image in re.findall(r"<img\b[^>]*>", page))
            assert not re.findall(r"(?:src|href)=[\"']https?://", page)


@pytest.mark.parametrize("path", PAGES, ids=PAGE_NAMES)
def test_chapter_has_its_parts(path: Path) -> None:
    text = "\n".join("".join(c["source"]) for c in cells(path, "markdown"))
    first = "".join(cells(path, "markdown")[0]["source"])
    assert first.startswith("# ")
    assert "After this" in first
    assert "Prerequisite" in first
    assert re.search(r"\bCPU\b", first)
    assert re.search(r"\bGPU\b", first)
    exercises = re.findall(r"\{exercise-start\}[^\n]*\n:label: ([\w-]+)", text)
    solutions = re.findall(r"\{solution-start\} ([\w-]+)", text)
    assert len(exercises) >= 5
    assert exercises == solutions
    assert text.count("{exercise-start}") == text.count("{exercise-end}")
    assert text.count("{solution-start}") == text.count("{solution-end}")
    for body in re.findall(r"\{solution-start\}.*?\{solution-end\}", text, re.S):
        assert "<details>" in body, "a solution must be folded in plain viewers too"
        assert "</details>" in body
    assert re.search(r"^#+ Summary", text, re.M)
    assert re.search(r"^#+ References", text, re.M)


@pytest.mark.parametrize("path", CHAPTERS, ids=NAMES)
def test_a_fold_is_headed_by_html(path: Path) -> None:
    """In the book the line of a <summary> is raw HTML: mathematics and Markdown would stand there as typed."""
    for cell in cells(path, "markdown"):
        for head in re.findall(r"<summary>(.*?)</summary>", "".join(cell["source"])):
            assert not set(head) & set("$`*"), head


@pytest.mark.parametrize("path", PAGES, ids=PAGE_NAMES)
def test_code_cells_are_short_and_import_only_ours(path: Path) -> None:
    for cell in cells(path, "code"):
        source = "".join(cell["source"])
        if "setup" not in tags(cell):
            assert source.count("\n") < 25, source[:200]
    assert any(checked(c) for c in cells(path, "code"))


@pytest.mark.parametrize("path", CHAPTERS, ids=NAMES)
def test_checked_cells_print_only_what_holds_everywhere(path: Path) -> None:
    """nbval compares SVG and HTML letter by letter, so a checked cell may only print; seconds are never compared."""
    for cell in cells(path, "code"):
        if checked(cell):
            assert {m for o in cell["outputs"] for m in o.get("data", {})} <= {"text/plain"}
            assert any(
                "".join(o.get("text", o.get("data", {}).get("text/plain", ""))) for o in cell["outputs"]
            )
            assert "perf_counter" not in "".join(cell["source"])


def test_nbval_knows_the_tag() -> None:
    """The tag is nbval's own word for the comparison: a misspelt one would be passed over in silence."""
    assert dict(find_metadata_tags({"tags": ["nbval-check-output"]})) == {"check": True}


def shown_code(notebook: dict) -> list[tuple[str, str]]:
    """(dotted name, code) of what `figures.source` shows in a notebook's stored outputs."""
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    page = "\n".join("".join(output.get("data", {}).get("text/html", "")) for output in outputs)
    found = re.findall(r'<p class="rb-where" data-object="([\w.]+)">.*?<pre[^>]*>(.*?)</pre>', page, re.S)
    return [(name, html.unescape(re.sub(r"<[^>]+>", "", markup))) for name, markup in found]


def outdated(notebook: dict) -> list[str]:
    """What a notebook shows of the package and no longer stands there; code of other packages is theirs to change."""
    found = []
    for name, shown in shown_code(notebook):
        if name.startswith("resnetbook."):
            try:
                today = inspect.getsource(inspect.unwrap(pkgutil.resolve_name(name)))
            except (AttributeError, ImportError):
                today = ""
            if textwrap.dedent(today).rstrip("\n") != shown:
                found.append(name)
    return found


@pytest.mark.parametrize("path", CHAPTERS, ids=NAMES)
def test_shown_code_is_the_code_of_today(path: Path) -> None:
    assert outdated(json.loads(path.read_text())) == [], "execute the notebook again"


def test_outdated_code_is_seen() -> None:
    from resnetbook.lab import blocks, figures

    def book(markup: str) -> dict:
        return {"cells": [{"outputs": [{"data": {"text/html": [markup]}}]}]}

    fresh = figures.source(blocks.Block, blocks.not_run).markup
    assert len(shown_code(book(fresh))) == 2
    assert outdated(book(fresh)) == []
    assert outdated(book(fresh.replace("No record", "no record"))) == ["resnetbook.lab.blocks.not_run"]
    assert outdated(book(fresh.replace("blocks.Block", "blocks.Gone"))) == ["resnetbook.lab.blocks.Gone"]
