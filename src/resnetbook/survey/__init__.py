"""The map: methods, claims, references, errata and glossary as data, and verdicts computed from records."""

from resnetbook.survey.history import FormerPart, FormerVerdict, version1
from resnetbook.survey.load import claim, claims, errata, glossary, method, methods, references
from resnetbook.survey.model import Claim, Decision, Erratum, Exemption, Method, Proof, Reference, Term
from resnetbook.survey.outcome import Names, Outcome, Verdict
from resnetbook.survey.verdict import interval, totals, verdict, verdicts

__all__ = [
    "Claim",
    "Decision",
    "Erratum",
    "Exemption",
    "FormerPart",
    "FormerVerdict",
    "Method",
    "Names",
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
    "version1",
]
