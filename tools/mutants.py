"""Run the tests of a module against small changes of it: `make mutants`. Says which changes no test notices.

A sample of mutants is drawn with a seed, the same number from each package, so that each share is as exact as the others.
All work is done in a copy of the tree under _build/mutants. Results are kept there: a run that was stopped goes on, a
survivor is tried again when its tests have changed, everything is tried again when its module has changed. A mutant
counts as killed if the test that fails with it passes without it.
"""

import argparse
import contextlib
import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.testing import run_tests
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkerOutcome, WorkItem
from mutants_report import Drawn, equivalents, report
from mutants_sample import Mutant, draw
from mutants_tests import PACKAGES, ROOT, own_tests

FOLDER = ROOT / "_build" / "mutants"
_PLUGINS = "-p no:nbval -p no:anyio -p no:xdist -p no:xdist.looponfail"  # they take long to start
_PATIENCE = 12  # times as long as they may work, tests may take by the clock: the machine has other work
_LEFT_OUT = "not notebook and not browser and not book and not colab and not long"


def _digest(*parts: str | bytes) -> str:
    return hashlib.sha256(b"\0".join(p.encode() if isinstance(p, str) else p for p in parts)).hexdigest()[:20]


def copy_tree(target: Path, root: Path = ROOT) -> None:
    """Make `target` a copy of the files of the working tree that git does not ignore."""
    shutil.rmtree(target, ignore_errors=True)
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=root, check=True, capture_output=True, text=True).stdout.split(
        "\0"
    ):
        if name and (root / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / name, target / name)


class Run:
    """Mutants of one tree, their tests and what is known about them.

    Args:
        db: where results are kept.
        tree: the copy; the current folder, since Cosmic Ray keeps relative paths.
        limit: seconds that the tests of one mutant may work (processor); a mutant that takes longer is killed.
    """

    def __init__(self, db: WorkDB, tree: Path, limit: int) -> None:
        self.db, self.tree, self.limit = db, tree, limit
        self.known = {job: result.test_outcome for job, result in db.results}
        self.tests = cache(self._tests)

    def _tests(self, module: str) -> tuple[str, str]:
        """Return the command that runs the module's tests, and what it depends on as one name."""
        paths = own_tests(Path(module), self.tree)
        helpers = (p for folder in {p.parent for p in paths} for p in (self.tree / folder).glob("[!t]*.py"))
        texts = [(self.tree / p).read_bytes() for p in [*paths, *sorted(helpers)]]
        time = f"--work {self.limit} --timeout {_PATIENCE * self.limit}"
        quiet = f"-x -q {_PLUGINS} -p mutants_order --hypothesis-seed 0 {time}"
        command = (
            f"{sys.executable} -m pytest {quiet} -m {shlex.quote(_LEFT_OUT)} {' '.join(map(str, paths))}"
        )
        return command, _digest(*texts)

    def _job(self, m: Mutant) -> str:
        return _digest((self.tree / m.module).read_bytes(), m.operator, str(m.occurrence))

    def outcome(self, m: Mutant) -> str | None:
        """Return "killed" or "survived" if that is known, and for these tests; killed once stays killed."""
        job = self._job(m)
        if any(
            job == known.partition("-")[0] and found == TestOutcome.KILLED
            for known, found in self.known.items()
        ):
            return "killed"
        return "survived" if f"{job}-{self.tests(m.module)[1]}" in self.known else None

    def _sound(self, command: str) -> str | None:
        """Return None if the tests that failed last pass without a change, all of them if none had its say."""
        outcome, output = run_tests(f"{command} --last-failed", _PATIENCE * self.limit)
        return None if outcome == TestOutcome.SURVIVED else output[-2000:]

    def run(self, m: Mutant) -> str:
        """Return what the tests say of `m`: "killed", "survived", or why that is not known."""
        if (known := self.outcome(m)) is not None:
            return known
        command, digest = self.tests(m.module)
        change = MutationSpec(Path(m.module), m.operator, m.occurrence, m.start, m.end)
        shutil.rmtree(self.tree / ".pytest_cache", ignore_errors=True)  # what failed last
        result = mutate_and_test([change], command, _PATIENCE * self.limit)
        if result.worker_outcome != WorkerOutcome.NORMAL or result.test_outcome == TestOutcome.INCOMPETENT:
            return f"{m.module}:{m.start[0]} could not be tried: {result.output}"
        killed = result.test_outcome == TestOutcome.KILLED
        if killed and (wrong := self._sound(command)) is not None:
            return f"the tests of {m.module} fail without a change, so that nothing was tried: {wrong}"
        job = f"{self._job(m)}-{digest}"
        self.db.add_work_item(WorkItem(job, (change,)))
        self.db.set_result(job, result)
        self.known[job] = result.test_outcome
        return "killed" if killed else "survived"


@contextlib.contextmanager
def _workplace() -> Iterator[Path]:
    """Copy the tree and go there; one run at a time."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(f"another run of mutants works in {FOLDER}")
        copy_tree(FOLDER / "tree")
        os.chdir(FOLDER / "tree")
        paths = [
            *(str(FOLDER / "tree" / name) for name in ("src", "tools")),
            os.environ.get("PYTHONPATH", ""),
        ]
        os.environ |= {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1"}
        yield FOLDER / "tree"


def main() -> None:
    """Draw, run what has not been run, and report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--packages", nargs="+", choices=PACKAGES, default=PACKAGES)
    parser.add_argument(
        "--count", type=int, default=200, help="mutants in all, the same number from each of the five"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, default=300, help="seconds of work for the tests of one mutant")
    parser.add_argument("--most", type=int, help="run no more than so many now")
    parser.add_argument("--report", action="store_true", help="run nothing, report what is known")
    asked = parser.parse_args()
    os.nice(10)
    left = 0 if asked.report else asked.most
    drawn = []
    with _workplace() as tree, use_db(FOLDER / "results.sqlite") as db:
        run = Run(db, tree, asked.limit)
        sample = [
            (p, m) for p in asked.packages for m in draw(tree, p, asked.count // len(PACKAGES), asked.seed)
        ]
        for number, (package, mutant) in enumerate(sample, 1):
            found = run.outcome(mutant)
            if found is None and left != 0:
                found = run.run(mutant)
                left = None if left is None else left - 1
                print(
                    f"{number}/{len(sample)} {mutant.module}:{mutant.start[0]} {found.partition(':')[0]}",
                    flush=True,
                )
            drawn.append(Drawn(package, mutant, found or "not run"))
        text = report(drawn, equivalents(tree / "tools" / "mutants_equivalent.toml", tree))
    (FOLDER / "report.md").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
