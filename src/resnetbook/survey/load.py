"""Read the map's data files. Each loader returns frozen dataclasses and is read once in a process."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from resnetbook.survey.bibtex import parse
from resnetbook.survey.model import Claim, Decision, Erratum, Exemption, Method, Proof, Reference, Term

T = TypeVar("T")
PROOFS = ("parity", "count", "identity", "adjoint", "limit")
KINDS = ("count", "identity", "init", "train", "time", "reading")
RULES = ("better", "not_worse", "equal", "exact")
UNITS = ("difference", "ratio")
# The claims by the chapter whose experiments decide them; the ledger's own order is that of the ids.
FILES = ("2_principle", "3_timeline", "4_structure", "5_medical", "readings")
# Named margins, and the unit that each belongs to.
MARGINS = {"share": "difference", "ratio": "ratio"}


def folder() -> Path:
    """Return the folder with the data files."""
    return Path(__file__).resolve().parent / "data"


def read_toml(name: str) -> dict[str, Any]:
    """Return the content of one data file.

    Raises:
        ValueError: it is not valid TOML; the message names the file.
    """
    path = folder() / f"{name}.toml"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path.name}: not valid TOML: {error}") from error


def build(kind: type[T], row: Mapping[str, Any], where: str) -> T:
    """Make a dataclass from a table; lists become tuples.

    Raises:
        ValueError: a key is unknown, missing or of another type than text, number or list; names file, row and key.
    """
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(row) - known)
    if unknown:
        raise ValueError(f"{where}: unknown key {unknown[0]!r}, expected one of {sorted(known)}")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(f"{where}: {error}") from error


def unique(rows: Iterable[T], where: str) -> tuple[T, ...]:
    """Return the rows as a tuple, after checking that no `.id` appears twice.

    Raises:
        ValueError: an id is repeated.
    """
    result = tuple(rows)
    seen: set[str] = set()
    for row in result:
        name = row.id  # type: ignore[attr-defined]
        if name in seen:
            raise ValueError(f"{where}: id {name!r} appears twice")
        seen.add(name)
    return result


@cache
def methods() -> tuple[Method, ...]:
    """Return the 81 methods in the survey's order."""
    rows = []
    for row in read_toml("methods")["methods"]:
        where = f"methods.toml, {row.get('id')}"
        proof = row.pop("proof", None)
        if proof is not None:
            proof = build(Proof, proof, where)
            if proof.kind not in PROOFS:
                raise ValueError(f"{where}: proof kind {proof.kind!r}, expected one of {PROOFS}")
        rows.append(build(Method, {**row, "proof": proof}, where))
    return unique(rows, "methods.toml")


def decision(row: Mapping[str, Any], where: str) -> Decision:
    """Make one decision from its table, whose `record` names experiment, variant and scale.

    Raises:
        ValueError: a key is unknown, or one that the rule needs is absent.
    """
    row = dict(row)
    record = dict(row.pop("record", {}))
    row.update({key: value for key, value in record.items() if value is not None})
    made = build(Decision, row, where)
    where = f"{where}, {made.label!r}"
    for key, found, wanted in (
        ("rule", made.rule, RULES),
        ("better", made.better, ("higher", "lower")),
        ("part_of", made.part_of, ("reading", "data")),
        ("scale", made.scale, (None, "quick", "full")),
    ):
        if found not in wanted:
            raise ValueError(f"{where}: {key} {found!r}, expected one of {wanted}")
    check = check_exact if made.rule == "exact" else check_comparison
    check(made, where)
    return made


def check_exact(made: Decision, where: str) -> None:
    """Hold an exact decision to `op` and `value`; ValueError if it has another form."""
    if made.op not in ("==", "<=", ">="):
        raise ValueError(f"{where}: op {made.op!r}, expected '==', '<=' or '>='")
    if made.value is None:
        raise ValueError(f"{where}: rule 'exact' needs 'value'")
    for key in ("b", "bound", "contrast", "unit", "margin"):
        if getattr(made, key) is not None:
            raise ValueError(f"{where}: rule 'exact' has no {key!r}")


def check_comparison(made: Decision, where: str) -> None:
    """Hold a comparison to its unit, what it compares with, and a registered margin; ValueError if it lacks one."""
    if made.unit not in UNITS:
        raise ValueError(f"{where}: unit {made.unit!r}, expected one of {UNITS}")
    if sum(each is not None for each in (made.b, made.bound, made.contrast)) != 1:
        raise ValueError(
            f"{where}: expected one of 'b' (an arm), 'bound' (a number) and 'contrast' (weights)"
        )
    if made.contrast is not None:
        check_contrast(made, where)
    if made.unit == "ratio" and made.bound is not None and made.bound <= 0:
        raise ValueError(f"{where}: bound {made.bound!r}, expected a positive number for a ratio")
    if made.op is not None or made.value is not None:
        raise ValueError(f"{where}: 'op' and 'value' belong to rule 'exact'")
    margin = made.margin
    if isinstance(margin, str):
        if MARGINS.get(margin) != made.unit:
            raise ValueError(f"{where}: margin {margin!r} does not belong to unit {made.unit!r}")
        if made.why_margin:
            raise ValueError(f"{where}: 'why_margin' belongs to a margin that is a number")
        return
    if margin is None or isinstance(margin, bool) or not math.isfinite(margin) or margin < 0:
        raise ValueError(f"{where}: margin {margin!r}, expected 'share', 'ratio' or a number of 0 or more")
    if not made.why_margin:
        raise ValueError(f"{where}: margin {margin!r} is a number, so 'why_margin' is needed")
    if margin == 0 and made.rule != "better":
        raise ValueError(f"{where}: margin 0, expected more for rule {made.rule!r}")


def check_contrast(made: Decision, where: str) -> None:
    """Hold a contrast to weights of two arms or more that sum to 0, that of `a` among them; ValueError if they do not."""
    weights = made.contrast or {}
    if any(isinstance(weight, bool) or not isinstance(weight, int | float) for weight in weights.values()):
        raise ValueError(f"{where}: contrast {weights!r}, expected a number for each arm")
    if len(weights) < 2 or made.a not in weights or not all(map(math.isfinite, weights.values())):
        raise ValueError(f"{where}: contrast {weights!r}, expected finite weights of 'a' and other arms")
    if abs(math.fsum(weights.values())) > 1e-9:
        raise ValueError(f"{where}: contrast sums to {math.fsum(weights.values()):g}, expected 0")
    if made.better != "higher":
        raise ValueError(f"{where}: a contrast carries its sign in its weights, expected better = 'higher'")


def in_ledger_order(claim: Claim) -> tuple[bool, int]:
    """Return what sorts C01, C02, ... before A1, A2, ..."""
    return claim.id.startswith("A"), int(claim.id[1:])


@cache
def claims() -> tuple[Claim, ...]:
    """Return the claims C01 to C89, then the readings A1 to A8."""
    rows = []
    for name in FILES:
        for row in read_toml(f"claims/{name}")["claims"]:
            where = f"{name}.toml, {row.get('id')}"
            decisions = [decision(each, where) for each in row.pop("decision", ())]
            exempt = [build(Exemption, each, where) for each in row.pop("exempt", ())]
            claim = build(Claim, {**row, "decisions": decisions, "exempt": exempt}, where)
            if not claim.kind or not set(claim.kind) <= set(KINDS):
                raise ValueError(f"{where}: kind {claim.kind!r}, expected some of {KINDS}")
            if (claim.kind == ("reading",)) != (claim.by_reading is not None):
                raise ValueError(
                    f"{where}: by_reading belongs to claims of kind 'reading', and to these alone"
                )
            rows.append(claim)
    return unique(sorted(rows, key=in_ledger_order), "claims")


@cache
def errata() -> tuple[Erratum, ...]:
    """Return the errata of the survey, E1 to E25."""
    rows = read_toml("errata")["errata"]
    return unique((build(Erratum, row, f"errata.toml, {row.get('id')}") for row in rows), "errata.toml")


@cache
def glossary() -> tuple[Term, ...]:
    """Return the bilingual glossary, ordered by the English term."""
    terms = []
    for row in read_toml("glossary")["terms"]:
        slug = re.sub(r"[^a-z0-9]+", "-", row.get("english", "").lower()).strip("-")
        terms.append(build(Term, {"id": slug, **row}, f"glossary.toml, {row.get('english')}"))
    return unique(sorted(terms, key=lambda term: term.english.lower()), "glossary.toml")


@cache
def references() -> tuple[Reference, ...]:
    """Return every bibliography entry: the survey's s01 to s69 first, then the book's own."""
    path = folder() / "references.bib"
    entries = parse(path.read_text(encoding="utf-8"), path.name)
    return unique(entries, path.name)


def find(rows: Iterable[T], name: str) -> T:
    """Return the row whose `.id` is `name`.

    Raises:
        ValueError: there is none.
    """
    known = {row.id: row for row in rows}  # type: ignore[attr-defined]
    if name not in known:
        raise ValueError(f"id {name!r} is unknown, expected one of {', '.join(known)}")
    return known[name]


def method(name: str) -> Method:
    """Return the method with this id; ValueError if there is none."""
    return find(methods(), name)


def claim(name: str) -> Claim:
    """Return the claim with this id; ValueError if there is none."""
    return find(claims(), name)
