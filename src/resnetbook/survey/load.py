"""Read the map's data files. Each loader returns frozen dataclasses and is read once in a process."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import TypeVar

from resnetbook.survey.bibtex import parse
from resnetbook.survey.decisions import decision
from resnetbook.survey.model import Claim, Erratum, Exemption, Method, Proof, Reference, Term
from resnetbook.survey.tables import build, folder, read_toml, unique

T = TypeVar("T")
PROOFS = ("parity", "count", "identity", "adjoint", "limit")
KINDS = ("count", "identity", "init", "train", "time", "reading")
# The claims by the chapter whose experiments decide them; the ledger's own order is that of the ids.
FILES = ("2_principle", "3_timeline", "4_structure", "5_medical", "readings")


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
