"""What a run of mutants found: the share killed for each package, and each survivor with place and change.

A survivor that changes nothing a test could see stands in mutants_equivalent.toml with the reason. It is found again by
module, function, the line as it is and the line as the mutant has it; where the line stands does not matter.
"""

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mutants_sample import Mutant
from mutants_tests import ROOT

EQUIVALENT = Path(__file__).with_name("mutants_equivalent.toml")
_FIELDS = {"module", "function", "line", "mutant", "reason"}

Key = tuple[str, str, str, str]


@dataclass(frozen=True)
class Drawn:
    """A mutant of a sample and what its tests said: "killed", "survived" or why it has not been run."""

    package: str
    mutant: Mutant
    outcome: str


def key(mutant: Mutant) -> Key:
    """Return what `mutant` is recognised by in the list of equivalents."""
    return mutant.module, mutant.function, mutant.removed, mutant.added


def equivalents(path: Path = EQUIVALENT, root: Path = ROOT) -> dict[Key, str]:
    """Return the mutants judged equivalent, each with the reason.

    Raises:
        ValueError: an entry lacks a field or a reason, stands there twice, or names a line that its module no longer has.
    """
    found: dict[Key, str] = {}
    for entry in tomllib.loads(path.read_text(encoding="utf-8")).get("mutant", []):
        if set(entry) != _FIELDS or not entry["reason"].strip():
            raise ValueError(f"{path.name}: entry is {entry}; expected {', '.join(sorted(_FIELDS))}")
        name: Key = (entry["module"], entry["function"], entry["line"], entry["mutant"])
        lines = [line.strip() for line in (root / name[0]).read_text(encoding="utf-8").split("\n")]
        if not all(part in lines for part in name[2].split("\n")):
            raise ValueError(f"{path.name}: {name[0]} has no line {name[2]!r}; remove or renew the entry")
        if name in found:
            raise ValueError(f"{path.name}: {name[0]} has two entries for {name[2]!r}")
        found[name] = entry["reason"]
    return found


def _row(name: str, drawn: Sequence[Drawn], known: Callable[[Mutant], bool]) -> str:
    killed = sum(d.outcome == "killed" for d in drawn)
    alive = [d for d in drawn if d.outcome == "survived"]
    same = sum(known(d.mutant) for d in alive)
    judged = killed + len(alive) - same
    share = f"{100 * killed / judged:.1f} %" if judged else "-"
    return f"| {name} | {len(drawn)} | {killed + len(alive)} | {killed} | {same} | {len(alive) - same} | {share} |"


def report(drawn: Sequence[Drawn], known: dict[Key, str]) -> str:
    """Return the report as Markdown; the share is of the mutants that were run and are not equivalent."""

    def judged(mutant: Mutant) -> bool:
        return key(mutant) in known

    packages = list(dict.fromkeys(d.package for d in drawn))
    lines = [
        "| package | drawn | run | killed | equivalent | survived | share killed |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [_row(p, [d for d in drawn if d.package == p], judged) for p in packages]
    lines += [_row("all", drawn, judged), ""]
    for one in drawn:
        m = one.mutant
        if one.outcome == "survived" and not judged(m):
            lines.append(f"survived: {m.module}:{m.start[0]} in {m.function or 'the module'} ({m.kind})")
            lines += [f"    - {line}" for line in m.removed.split("\n")]
            lines += [f"    + {line}" for line in m.added.split("\n")]
    reasons = dict.fromkeys(d.outcome for d in drawn if d.outcome not in ("killed", "survived", "not run"))
    return "\n".join([*lines, *reasons])
