"""Mutants: what is drawn, which tests hold a module, a run on a small package, the report."""

import ast
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
mutants = pytest.importorskip("mutants", reason="needs cosmic-ray, of the extra `mutants`")
import mutants_report as reporting  # noqa: E402
import mutants_sample as sampling  # noqa: E402
import mutants_tests as holding  # noqa: E402

SOURCE = '''\
"""A module of 3 lines, or not 4: True."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Pair:
    """Two numbers (1 or 2)."""

    a: "int | None" = None
    b: tuple[int, "x == 1"] | None = None


def first(é: int | None = 7, *, kept: bool = False, **rest: dict[str, int]) -> list[int] | None:
    """Return 1 if a < 2 and not b."""
    word = "1 + 1 == 2 and True"
    if not kept and é == 3:
        return [*rest, "é é é", é * -2]
    while len(word) > 100 or é is None:
        word += f"{é + 1} == 2"
    return None if é >= 5 else {**rest}
'''


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A tree with one module in each package."""
    for name in holding.PACKAGES:
        (tmp_path / holding.SOURCES / name).mkdir(parents=True)
        (tmp_path / holding.SOURCES / name / "thing.py").write_text(SOURCE, encoding="utf-8")
    return tmp_path


def told(source: str) -> list[str]:
    """What must not change: strings and annotations."""
    tree, found = ast.parse(source), []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
        for name in ("annotation", "returns"):
            if isinstance(getattr(node, name, None), ast.AST):
                found.append(ast.unparse(getattr(node, name)))
    return found


def mutated(root: Path, mutant: sampling.Mutant) -> str:
    source = (root / mutant.module).read_text(encoding="utf-8")
    return sampling.mutate_code(source, sampling.get_operator(mutant.operator)(), mutant.occurrence)


def test_what_is_drawn_changes_one_place_and_neither_strings_nor_annotations(package: Path) -> None:
    drawn = sampling.draw(package, "survey", 1000, seed=1)
    # 1 truth value in the decorator, 2 defaults; `if`: and, not, ==, 3, the whole; return: *, -, 2; `while`: >, 100, or, is,
    # the whole; + and 1 in the f-string; return: >=, 5, the whole.
    assert len(drawn) == 1 + 2 + 5 + 3 + 5 + 2 + 3 == len({(m.start, m.end) for m in drawn})
    assert {m.kind for m in drawn} == {"comparison", "operator", "number", "truth value", "condition"}
    for mutant in drawn:
        text = mutated(package, mutant)
        assert told(text) == told(SOURCE)
        assert [arg.arg for arg in ast.parse(text).body[-1].args.kwonlyargs] == ["kept"]  # type: ignore[attr-defined]
        assert ast.dump(ast.parse(text)) != ast.dump(ast.parse(SOURCE))
        assert mutant.removed == SOURCE.split("\n")[mutant.start[0] - 1].strip()
        assert mutant.added in [" ".join(line.split()) for line in text.split("\n")]


def test_a_draw_follows_from_its_seed_and_a_changed_line_leaves_the_others(package: Path) -> None:
    def drawn(seed: int) -> list[tuple[str, str]]:
        return [(m.removed, m.added) for m in sampling.draw(package, "lab", 12, seed)]

    first = drawn(1)
    assert first == drawn(1)
    assert len({tuple(drawn(seed)) for seed in range(5)}) == 5
    path = package / holding.SOURCES / "lab" / "thing.py"
    path.write_text("# Two lines more.\n\n" + SOURCE.replace("100 or", "200 or"), encoding="utf-8")
    here = [pair for pair in first if "100" not in pair[0]]
    assert 0 < len(here) < len(first)  # the line itself was among them
    assert [pair for pair in drawn(1) if "200" not in pair[0]][: len(here)] == here


def test_packages_share_a_sample_equally(package: Path) -> None:
    """The same module in each: the draws differ, since the module's name is part of the chance."""
    drawn = [sampling.draw(package, name, 8, seed=0) for name in holding.PACKAGES]
    assert [len(part) for part in drawn] == [8] * 5
    assert len({tuple(m.added for m in part) for part in drawn}) > 1


def test_every_module_that_can_be_drawn_is_held_by_tests_of_its_folder() -> None:
    for package in holding.PACKAGES:
        found = holding.modules(package)
        assert len(found) == len(set(found)) > 5
        for module in found:
            tests = holding.own_tests(module)
            assert tests
            assert all(path.parts[:2] == ("tests", package) and (ROOT / path).is_file() for path in tests)
            named = Path("tests", package, f"test_{module.stem.lstrip('_')}.py")
            assert tests[0] == named or not (ROOT / named).exists()
    with pytest.raises(ValueError, match="package is 'labs'; expected one of principle, timeline"):
        holding.modules("labs")


def test_tests_are_found_by_name_by_table_and_by_import(tmp_path: Path) -> None:
    folder = tmp_path / "tests" / "lab"
    folder.mkdir(parents=True)
    for name, text in {
        "test_thing.py": "",
        "test_thing_more.py": "",
        "test_thinglike.py": "",
        "test_a.py": "from resnetbook.lab.data import (\n    other,\n    thing,\n)",
        "test_b.py": "import resnetbook.lab.data.thing as t",
        "test_c.py": "from resnetbook.lab.data.things import other\nfrom resnetbook.lab.data import things",
        "test_d.py": "thing = 1",
    }.items():
        (folder / name).write_text(text)
    table = tmp_path / "table.toml"
    table.write_text(
        '["lab.data"]\nthing = ["d"]\nwrong = ["thing", "none"]\nheld = ["d"]\n"*" = ["c"]\n[lab]\nthing = ["c"]\n'
    )

    def found(name: str) -> list[str]:
        module = holding.SOURCES / "lab" / "data" / f"{name}.py"
        return [path.name for path in holding.own_tests(module, tmp_path, table)]

    own, table_says, imports = (
        ["test_thing.py", "test_thing_more.py"],
        ["test_d.py"],
        ["test_a.py", "test_b.py"],
    )
    assert found("thing") == [*own, *table_says, "test_c.py", *imports]
    assert found("_thing") == ["test_thing.py", "test_thing_more.py", "test_c.py"]
    assert found("held") == ["test_d.py"]  # what holds all is added to tests of its own
    with pytest.raises(ValueError, match="wrong is held by 'none'; expected a file in"):
        found("wrong")
    with pytest.raises(ValueError, match=r"expected a row in table\.toml"):
        found("unheard")


MODULE = """\
def small(n):
    if n < 3:
        return True
    return False


def endless(n):
    while n > 0:
        n -= 1
    return n
"""
WEAK = """\
from resnetbook.survey.thing import endless, small

def test_it():
    assert small(1) and not small(9)
    assert endless(2) == 0
"""


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small package with one module and a weak test, as the copy that a run works in."""
    for name, text in {
        "src/resnetbook/__init__.py": "",
        "src/resnetbook/survey/__init__.py": "",
        "src/resnetbook/survey/thing.py": MODULE,
        "tests/survey/test_thing.py": WEAK,
        "pyproject.toml": '[tool.pytest.ini_options]\naddopts = "--import-mode=importlib"\n',
    }.items():
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_text(text)
    monkeypatch.chdir(tmp_path / "tree")
    paths = [str(tmp_path / "tree" / "src"), str(ROOT / "tools"), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    return tmp_path / "tree"


def change(tree: Path, removed: str, added: str) -> sampling.Mutant:
    module = "src/resnetbook/survey/thing.py"
    source = (tree / module).read_text()
    for (start, end), changes in sampling.places(source).items():
        for name, occurrence, function in changes:
            mutant = sampling.Mutant(module, function, "", name, occurrence, start, end, removed, added)
            if source.replace(removed, added).split() == mutated(tree, mutant).split():
                return mutant
    raise AssertionError(f"no change makes {added}")


@pytest.mark.slow
def test_a_run_tells_what_tests_notice_goes_on_and_leaves_the_module_as_it_was(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = change(tree, "if n < 3:", "if n >= 3:")
    edge = change(tree, "if n < 3:", "if n <= 3:")
    hangs = change(tree, "n -= 1", "n -= 0")

    def outcomes(*chosen: sampling.Mutant, limit: int = 120) -> list[str]:
        with mutants.use_db(tmp_path / "results.sqlite") as db:
            run = mutants.Run(db, tree, limit)
            return [run.run(m) for m in chosen]

    assert outcomes(seen, edge) == ["killed", "survived"]
    with monkeypatch.context() as patched:
        patched.setattr(mutants, "_PATIENCE", 1000)
        assert outcomes(hangs, limit=10) == ["killed"]
    with mutants.use_db(tmp_path / "results.sqlite") as db:
        assert "timeout" not in [result.output for _, result in db.results]  # its work was over, not its time
    assert (tree / "src/resnetbook/survey/thing.py").read_text() == MODULE

    with monkeypatch.context() as patched:
        patched.setattr(mutants, "mutate_and_test", lambda *a: pytest.fail("it was known"))
        assert outcomes(seen, edge, hangs) == ["killed", "survived", "killed"]
    test = tree / "tests/survey/test_thing.py"
    test.write_text(WEAK + "    assert not small(3)\n")
    assert outcomes(edge) == ["killed"]  # it was tried again, with the better test
    test.write_text(WEAK + "    assert False\n")
    (tree / "src/resnetbook/survey/thing.py").write_text(MODULE + "\nX = 1\n")
    (failed,) = outcomes(edge)
    assert "fail without a change, so that nothing was tried" in failed
    test.write_text(WEAK + "\n\ndef test_more():\n    assert False\n")
    assert outcomes(seen) == ["killed"]  # by a test that passes without a change; another does not matter


def drawn(outcome: str, added: str, package: str = "survey") -> reporting.Drawn:
    mutant = sampling.Mutant(
        "src/x.py", "f", "number", "core/NumberReplacer", 0, (3, 4), (3, 5), "a = 1", added
    )
    return reporting.Drawn(package, mutant, outcome)


def test_the_share_is_of_what_was_run_and_is_not_equivalent() -> None:
    sample = [drawn("killed", f"a = {n}") for n in range(2, 8)]
    sample += [drawn("survived", "a = 0"), drawn("survived", "a = 9"), drawn("not run", "a = 10")]
    sample += [drawn("killed", "b", "lab"), drawn("the tests of x fail", "c", "lab")]
    text = reporting.report(sample, {("src/x.py", "f", "a = 1", "a = 9"): "no matter"})
    assert "| survey | 9 | 8 | 6 | 1 | 1 | 85.7 % |" in text
    assert "| lab | 2 | 1 | 1 | 0 | 0 | 100.0 % |" in text
    assert "| all | 11 | 9 | 7 | 1 | 1 | 87.5 % |" in text
    assert text.count("survived: ") == 1
    assert "survived: src/x.py:3 in f (number)\n    - a = 1\n    + a = 0" in text
    assert text.endswith("the tests of x fail")
    assert "| lab | 1 | 0 | 0 | 0 | 0 | - |" in reporting.report([drawn("not run", "a", "lab")], {})


def test_the_list_of_equivalents_is_kept_up_with_the_code(tmp_path: Path) -> None:
    reporting.equivalents()  # ours
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "x.py").write_text("def f():\n\n        a = 1\n")
    path = tmp_path / "list.toml"
    entry = (
        '[[mutant]]\nmodule = "src/x.py"\nfunction = "f"\nline = "a = 1"\nmutant = "a = 9"\nreason = "r"\n'
    )
    path.write_text(entry)
    assert reporting.equivalents(path, tmp_path) == {("src/x.py", "f", "a = 1", "a = 9"): "r"}
    for text, message in {
        entry + entry: "two entries for 'a = 1'",
        entry.replace('"r"', '" "'): "expected function, line, module, mutant, reason",
        entry.replace("function", "def"): "expected function, line",
        entry.replace('line = "a = 1"', 'line = "a = 2"'): "has no line 'a = 2'; remove or renew the entry",
    }.items():
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            reporting.equivalents(path, tmp_path)


def test_a_run_uses_the_copy_and_quick_tests_first(tmp_path: Path) -> None:
    import mutants_order

    quick, slow = SimpleNamespace(name="quick"), SimpleNamespace(name="slow")
    for item, mark in ((quick, None), (slow, object())):
        item.get_closest_marker = lambda name, mark=mark: mark if name == "slow" else None
    items = [slow, quick]
    mutants_order.pytest_collection_modifyitems(items)  # type: ignore[arg-type]
    assert [item.name for item in items] == ["quick", "slow"]
    with pytest.raises(pytest.UsageError, match=f"expected {tmp_path}/src"):
        mutants_order.pytest_configure(SimpleNamespace(rootpath=tmp_path))  # type: ignore[arg-type]


def test_the_copy_holds_what_git_does_not_ignore(tmp_path: Path) -> None:
    import subprocess

    root, target = tmp_path / "root", tmp_path / "copy"
    (root / "a").mkdir(parents=True)
    for name in ("a/kept.py", "a/gone.py", "new.py", "left.pyc", ".gitignore"):
        (root / name).write_text("*.pyc" if name == ".gitignore" else name)
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    subprocess.run(["git", "add", "a"], cwd=root, check=True)
    (root / "a" / "gone.py").unlink()
    target.mkdir()
    (target / "old.py").touch()
    mutants.copy_tree(target, root)
    found = {p.relative_to(target).as_posix() for p in target.rglob("*") if p.is_file()}
    assert found == {"a/kept.py", "new.py", ".gitignore"}
