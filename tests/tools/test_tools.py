"""The tools behind make: set-up cell, dependencies, execution of notebooks."""

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import dependencies  # noqa: E402
import execute  # noqa: E402
import setup_cell  # noqa: E402


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a configuration and one notebook."""
    (tmp_path / "chapters" / "1").mkdir(parents=True)
    (tmp_path / "_config.yml").write_text(
        'title: x\nrepository:\n  # where\n  url: ""  # set by make\n  branch: main\nother:\n  url: "keep"\n'
    )
    cell = nbformat.v4.new_code_cell(setup_cell.setup_cell(), metadata={"tags": ["setup"]})
    notebook = nbformat.v4.new_notebook(cells=[cell, nbformat.v4.new_code_cell("1 + 1")])
    nbformat.write(notebook, tmp_path / "chapters" / "1" / "a.ipynb")
    return tmp_path


def test_repository_is_written_everywhere_and_removed_again(project: Path) -> None:
    before = {p: p.read_text() for p in project.rglob("*.*") if p.is_file()}
    changed = setup_cell.write("https://example.org/owner/book/", project)
    assert {p.name for p in changed} == {"_config.yml", "a.ipynb"}
    assert setup_cell.configured_url(project) == "https://example.org/owner/book"
    assert 'url: "keep"' in (project / "_config.yml").read_text()
    cells = json.loads((project / "chapters/1/a.ipynb").read_text())["cells"]
    assert "".join(cells[0]["source"]) == setup_cell.setup_cell("https://example.org/owner/book")
    assert "".join(cells[1]["source"]) == "1 + 1"
    assert setup_cell.write("https://example.org/owner/book", project) == []
    setup_cell.write("", project)
    assert setup_cell.configured_url(project) == ""
    assert {p: p.read_text() for p in before} == before


@pytest.mark.parametrize(
    "url", ["example.org/a", "http://example.org/a", 'https://example.org/a"b', "https://example.org"]
)
def test_bad_address_is_refused(url: str, project: Path) -> None:
    with pytest.raises(ValueError, match="URL is"):
        setup_cell.write(url, project)


def test_badges_and_cells_hold_one_address() -> None:
    url = setup_cell.configured_url()
    for path in (ROOT / "chapters").rglob("*.ipynb"):
        for cell in json.loads(path.read_text())["cells"]:
            if "setup" in cell["metadata"].get("tags", []):
                assert "".join(cell["source"]) == setup_cell.setup_cell(url), path.name


def test_set_up_cell_says_what_to_do_without_a_package(tmp_path: Path) -> None:
    """In an interpreter that does not see resnetbook the cell stops with one sentence; `%pip` is IPython's line."""
    source = setup_cell.setup_cell().replace("    %pip install", "    pip = print  #")
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", source], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "upload it beside this notebook" in done.stderr
    (tmp_path / "resnetbook-0.1.0-py3-none-any.whl").touch()
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", source + "\nprint(source)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "resnetbook-0.1.0-py3-none-any.whl"


def test_book_needs_no_torch_and_extras_follow_each_other() -> None:
    book = dependencies.requirements("book")
    assert not any(line.startswith("torch") for line in book)
    assert any(line.startswith("nbval") for line in dependencies.requirements("test"))
    with pytest.raises(ValueError, match="expected one of"):
        dependencies.requirements("bok")


def test_every_requirement_is_pinned_and_every_dependency_is_among_them() -> None:
    import tomllib

    from packaging.requirements import Requirement

    lines = [
        line
        for line in (ROOT / "requirements.txt").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    pins = {r.name.lower().replace("_", "-"): r for r in map(Requirement, lines)}
    assert all(str(r.specifier).startswith("==") for r in pins.values())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = list(project["dependencies"])
    for extra in ("book", "medical", "test", "oracle", "mutants"):
        wanted += dependencies.requirements(extra)
    for requirement in map(Requirement, wanted):
        pin = pins[requirement.name.lower().replace("_", "-")]
        assert requirement.specifier.contains(next(iter(pin.specifier)).version, prereleases=True), (
            requirement
        )


def notebook(*sources: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(s) for s in sources])


@pytest.mark.notebook
def test_two_executions_give_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    nbformat.write(notebook("print(1)", "", "import sys\nprint(2)\nprint(3)\n4"), path)
    assert execute.execute(path)[2] == ""
    first = json.loads(path.read_text())
    assert execute.is_current(nbformat.read(path, as_version=4))
    assert [c["execution_count"] for c in first["cells"]] == [1, None, 2]
    execute.execute(path)
    second = json.loads(path.read_text())
    for done in (first, second):
        done["metadata"]["resnetbook"].pop("seconds")
    assert first == second


@pytest.mark.notebook
@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("import os\nprint(os.path.expanduser('~'))", "a path of this machine"),
        ("import sys\nprint('careful', file=sys.stderr)", "stderr"),
        ("print('x' * 1_100_000)", "the limit is 1 MB"),
    ],
)
def test_what_must_not_be_committed_leaves_the_file_untouched(tmp_path: Path, source: str, said: str) -> None:
    path = tmp_path / "a.ipynb"
    nbformat.write(notebook(source), path)
    before = path.read_bytes()
    assert said in execute.execute(path)[2]
    assert path.read_bytes() == before


def test_a_missing_set_stops_the_execution_of_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from resnetbook.lab import data

    monkeypatch.setattr(data, "available", lambda name: name != "wbc")
    book = notebook("1")
    book.cells[0].metadata["tags"] = ["needs-wbc", "needs-digits"]
    path = tmp_path / "a.ipynb"
    nbformat.write(book, path)
    before = path.read_bytes()
    assert "it needs wbc" in execute.execute(path)[2]
    assert path.read_bytes() == before


def test_edited_code_is_no_longer_current() -> None:
    book = notebook("1")
    book.cells[0].execution_count = 1
    book.metadata["resnetbook"] = {"code": execute.digest(book)}
    assert execute.is_current(book)
    book.cells[0].source = "2"
    assert not execute.is_current(book)


def test_a_stored_output_keeps_no_widget_whose_model_is_gone():
    """A viewer prefers the widget to the page, looks for its model, and shows neither."""
    data = {
        "application/vnd.jupyter.widget-view+json": {"model_id": "a"},
        "text/html": "<p>x</p>",
        "text/plain": "x",
    }
    output = nbformat.v4.new_output("execute_result", data=data, execution_count=7)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1", outputs=[output])])
    execute.normalise(notebook)
    assert notebook.cells[0].outputs[0].data == {"text/html": "<p>x</p>", "text/plain": "x"}
