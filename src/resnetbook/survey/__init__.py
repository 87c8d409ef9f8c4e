"""The map: methods, claims, references, errata and glossary as data, and verdicts computed from records."""

from resnetbook.survey.load import claim, claims, errata, glossary, method, methods, references
from resnetbook.survey.model import Claim, Decision, Erratum, Method, Proof, Reference, Term
from resnetbook.survey.verdict import Outcome, Verdict, interval, totals, verdict, verdicts

__all__ = [
    "Claim",
    "Decision",
    "Erratum",
    "Method",
    "Outcome",
    "Proof",
    "Reference",
    "Term",
    "Verdict",
    "claim",
    "claims",
    "errata",
    "glossary",
    "interval",
    "method",
    "methods",
    "references",
    "totals",
    "verdict",
    "verdicts",
]
