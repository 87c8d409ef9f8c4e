"""Read the map's data files. Each loader returns frozen dataclasses and is read once in a process."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from resnetbook.survey.bibtex import parse
from resnetbook.survey.model import Claim, Decision, Erratum, Method, Proof, Reference, Term

T = TypeVar("T")
PROOFS = ("parity", "count", "identity", "adjoint", "limit")
KINDS = ("count", "identity", "init", "train", "time", "reading")
# What each rule needs, beside label, experiment, rule, metric and arm a.
NEEDS: Mapping[str, tuple[str, ...]] = {
    "difference": ("b",),
    "ratio": ("b",),
    "equal": ("b",),
    "not_worse": ("b",),
    "bound": ("bound",),
    "exact": ("op", "value"),
}


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
    if made.rule not in NEEDS:
        raise ValueError(f"{where}: rule {made.rule!r}, expected one of {tuple(NEEDS)}")
    for key in NEEDS[made.rule]:
        if getattr(made, key) is None:
            raise ValueError(f"{where}, {made.label!r}: rule {made.rule!r} needs {key!r}")
    if made.better not in ("higher", "lower"):
        raise ValueError(f"{where}, {made.label!r}: better {made.better!r}, expected 'higher' or 'lower'")
    if made.op not in (None, "==", "<=", ">="):
        raise ValueError(f"{where}, {made.label!r}: op {made.op!r}, expected '==', '<=' or '>='")
    return made


@cache
def claims() -> tuple[Claim, ...]:
    """Return the claims C01 to C86, then the readings A1 to A8."""
    rows = []
    for row in read_toml("claims")["claims"]:
        where = f"claims.toml, {row.get('id')}"
        decisions = [decision(each, where) for each in row.pop("decision", ())]
        claim = build(Claim, {**row, "decisions": decisions}, where)
        if not claim.kind or not set(claim.kind) <= set(KINDS):
            raise ValueError(f"{where}: kind {claim.kind!r}, expected some of {KINDS}")
        if (claim.kind == ("reading",)) != (claim.by_reading is not None):
            raise ValueError(f"{where}: by_reading belongs to claims of kind 'reading', and to these alone")
        rows.append(claim)
    return unique(rows, "claims.toml")


@cache
def errata() -> tuple[Erratum, ...]:
    """Return the errata of the survey, E1 to E24."""
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
