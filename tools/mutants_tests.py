"""Which test files hold a module: the table mutants_tests.toml, by name, and by import.

A module's own tests lie in the folder of tests/ that is named after its package: `test_<module>.py` and
`test_<module>_*.py` first (without the underscore of a private one), then what the table adds, then the files that import
the module.
"""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLE = Path(__file__).with_name("mutants_tests.toml")
SOURCES = Path("src/resnetbook")
PACKAGES = ("principle", "timeline", "lab", "survey", "grading")


def modules(package: str, root: Path = ROOT) -> list[Path]:
    """Return the modules of `package` that hold any code of their own, relative to `root`, in order of their names.

    Raises:
        ValueError: there is no such package.
    """
    if package not in PACKAGES:
        raise ValueError(f"package is {package!r}; expected one of {', '.join(PACKAGES)}")
    found = (root / SOURCES / package).rglob("*.py")
    return sorted(p.relative_to(root) for p in found if p.read_text(encoding="utf-8").count("\n") > 1)


def _imports(text: str, module: Path) -> bool:
    dotted = ".".join(module.relative_to("src").with_suffix("").parts).removesuffix(".__init__")
    parent, _, name = dotted.rpartition(".")
    listed = rf"from {re.escape(parent)} import (?:\([^)]*|[^\n]*)\b{name}\b"
    return re.search(rf"{re.escape(dotted)}(?![\w.])|{listed}", text) is not None


def own_tests(module: Path, root: Path = ROOT, table: Path = TABLE) -> list[Path]:
    """Return the test files that hold `module` (relative to `root`, as they are), the closest first.

    Raises:
        ValueError: nothing holds it, or the table names a test file that does not exist.
    """
    package, *inner = module.relative_to(SOURCES).parent.parts
    folder = root / "tests" / package
    name = module.stem.lstrip("_") if module.stem != "__init__" else module.parent.name
    found = [folder / f"test_{name}.py", *sorted(folder.glob(f"test_{name}_*.py"))]
    found = [path for path in found if path.is_file()]
    rows = tomllib.loads(table.read_text(encoding="utf-8")).get(".".join([package, *inner]), {})
    for pattern in [*rows.get(module.stem, []), *(rows.get("*", []) if found else [])]:
        if not (named := sorted(folder.glob(f"test_{pattern}.py"))):
            raise ValueError(
                f"{table.name}: {module.stem} is held by {pattern!r}; expected a file in {folder}"
            )
        found += named
    found += [p for p in sorted(folder.glob("test_*.py")) if _imports(p.read_text(encoding="utf-8"), module)]
    if not found:
        raise ValueError(
            f"module is {module}; expected a row in {table.name}, since no test is named after it"
        )
    return [path.relative_to(root) for path in dict.fromkeys(found)]
