"""What the map is made of: methods, claims, decisions, errata, terms, references. Frozen and free of behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Word = Literal["supported", "opposite", "no gain", "undecided", "not run yet"]
Status = Literal[
    "supported", "refuted", "mixed", "partly supported", "partly refuted", "undecided", "not run yet"
]
Rule = Literal["better", "not_worse", "equal", "exact"]
Unit = Literal["difference", "ratio"]
# What counts as more than nothing: of a share by scale, of a ratio everywhere.
SHARE = {"live": 0.01, "quick": 0.01, "full": 0.005}
RATIO = 0.1


@dataclass(frozen=True)
class Proof:
    """What proves a method: the kind of oracle and the test that applies it.

    Attributes:
        kind: "parity", "count", "identity", "adjoint" or "limit".
        test: pytest id, for example `tests/principle/test_block.py::test_parity`.
    """

    kind: str
    test: str


@dataclass(frozen=True)
class Method:
    """One of the 81 methods that the survey names.

    Attributes:
        id: row of the map, for example `2.residual-block`.
        section: the survey's own number, for example `3(2)`.
        english: name in English.
        chinese: name in the survey.
        says: what the survey says of it, in our words.
        references: keys of the survey's references, for example `s02`.
        corrected: keys that the survey should have cited instead; empty when its own are right.
        object: dotted path of the implementation, None while it is planned.
        notebook: `folder/name#anchor` under `chapters/`, None while it is planned.
        tests: test files that exercise it.
        proof: the test that decides, None while it is planned.
        eight: one of the eight residual models that the survey's abstract counts and does not list: those of groups 1 to
            3 of its section 3, by our reading.
    """

    id: str
    section: str
    english: str
    chinese: str
    says: str = ""
    references: tuple[str, ...] = ()
    corrected: tuple[str, ...] = ()
    object: str | None = None
    notebook: str | None = None
    tests: tuple[str, ...] = ()
    proof: Proof | None = None
    eight: bool = False

    @property
    def status(self) -> Literal["planned", "built"]:
        """Return "built" when code, notebook heading and proof are all named, else "planned"."""
        heading = self.notebook is not None and "#" in self.notebook
        return "built" if self.object and heading and self.proof else "planned"


@dataclass(frozen=True)
class Decision:
    """One comparison that a record decides. Written so that "supported" means: the survey's sentence holds.

    Attributes:
        label: the comparison in words.
        experiment: name of the experiment whose record is read.
        rule: "better", "not_worse", "equal" or "exact"; see `resnetbook.survey.verdict`.
        metric: name of the metric, one number for each seed.
        a: the arm that the claim favours (with `bound` and for `exact`: the only arm).
        unit: "difference" (of values) or "ratio" (of positive values, by their logarithms); None for `exact`.
        margin: smallest difference that counts: "share" (.01 at quick scale, .005 at full), "ratio" (10 %), or a number in
            the unit's own terms (a ratio's .25 means 25 %); None for `exact`.
        why_margin: the reason for a margin that is a number, in one line.
        b: the arm that `a` is compared with, None where that is a number.
        bound: the number that `a` is compared with, None where that is an arm.
        contrast: in place of `b` and `bound`, arms with weights that sum to 0: `d` is the weighted sum of the metric (unit
            "ratio": of its logarithm), signed so that a positive sum favours the sentence; `a` names the arm that it is about.
        better: "higher" or "lower": which direction of the metric favours an arm.
        variant: the record's variant, usually a data set; None where the experiment has one only.
        full: the variant at full scale, None if it is the same.
        scale: the only scale at which the decision is made, None for any.
        reading: name of the reading or data set that the decision belongs to, empty when the claim has one only.
        part_of: whether `reading` names a "reading" or a "data" set.
        op: "==", "<=" or ">=" (`exact`).
        value: the number that `exact` compares with.
    """

    label: str
    experiment: str
    rule: Rule
    metric: str
    a: str
    unit: Unit | None = None
    margin: Literal["share", "ratio"] | float | None = None
    why_margin: str = ""
    b: str | None = None
    bound: float | None = None
    contrast: tuple[tuple[str, float], ...] | None = None
    better: Literal["higher", "lower"] = "higher"
    variant: str | None = None
    full: str | None = None
    scale: str | None = None
    reading: str = ""
    part_of: Literal["reading", "data"] = "reading"
    op: Literal["==", "<=", ">="] | None = None
    value: float | None = None

    @property
    def weights(self) -> dict[str, float]:
        """Return the weight of each arm in the difference: positive for what favours the claim."""
        if self.contrast is not None:
            return dict(self.contrast)
        sign = 1.0 if self.better == "higher" else -1.0
        return {self.a: sign} if self.b is None else {self.a: sign, self.b: -sign}

    def variant_at(self, scale: str) -> str | None:
        """Return the variant of the record that decides at this scale."""
        return self.full if scale == "full" and self.full is not None else self.variant

    def margin_at(self, scale: str) -> float | None:
        """Return the margin as a number, in the unit's own terms; None for `exact`."""
        if self.margin == "share":
            return SHARE[scale]
        return RATIO if self.margin == "ratio" else self.margin


@dataclass(frozen=True)
class Exemption:
    """A record of a claim's experiments that does not decide, registered before the run.

    Attributes:
        experiment: name of the experiment.
        variant: the record's variant, None where the experiment has one only.
        scale: "quick" or "full".
        reason: why it does not decide.
    """

    experiment: str
    scale: str
    reason: str
    variant: str | None = None


@dataclass(frozen=True)
class Claim:
    """One testable sentence of the survey, or one that a reading decides.

    Attributes:
        id: `C01` to `C89`, or `A1` to `A8` for those that a reading decides.
        sections: where the survey says it.
        text: the claim, in our words.
        kind: what decides it: "count", "identity", "init", "train", "time" or "reading".
        budget: what is held equal between the arms.
        quick: design on two CPU cores.
        full: design on one GPU.
        metric: what is measured.
        refuted_if: which result would refute it.
        known: published numbers or pilots; notes, never a verdict.
        decisions: comparisons that decide it; empty: not run yet.
        narrowed: the words of the survey's sentence that the test leaves out, empty where it leaves out none.
        exempt: records of the claim's experiments that do not decide.
        by_reading: the status that a reading gives (`A1` to `A8` only).
        evidence: what the reading rests on (`A1` to `A8` only).
    """

    id: str
    sections: tuple[str, ...]
    text: str
    kind: tuple[str, ...]
    budget: str = ""
    quick: str = ""
    full: str = ""
    metric: str = ""
    refuted_if: str = ""
    known: str = ""
    decisions: tuple[Decision, ...] = ()
    narrowed: str = ""
    exempt: tuple[Exemption, ...] = ()
    by_reading: Status | None = None
    evidence: str = ""

    @property
    def section(self) -> str:
        """Return the first place where the survey says it."""
        return self.sections[0]

    @property
    def experiments(self) -> tuple[str, ...]:
        """Return the names of the experiments that decide it, each once, in order."""
        return tuple(dict.fromkeys(decision.experiment for decision in self.decisions))


@dataclass(frozen=True)
class Erratum:
    """One place where the survey's text does not hold.

    Attributes:
        id: `E1` to `E25`.
        place: section of the survey.
        says: what the survey says, in our words.
        holds: what holds instead.
        evidence: what that rests on, and whether a paper was read by a summary or a quotation only.
        book: where this book takes it up.
        methods: rows of the map that it concerns.
        claims: claims that it concerns.
    """

    id: str
    place: str
    says: str
    holds: str
    evidence: str
    book: str
    methods: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()


@dataclass(frozen=True)
class Term:
    """One entry of the bilingual glossary."""

    id: str
    english: str
    chinese: str
    definition: str


@dataclass(frozen=True)
class Reference:
    """One bibliography entry.

    Attributes:
        id: BibTeX key: `s01` to `s69` for the survey's own list, author, year and word for all others.
        kind: BibTeX entry type.
        authors: names as in the entry.
        title: title in English.
        chinese: original title where the paper is in Chinese, else empty.
        venue: journal, proceedings or publisher.
        year: year of publication.
        doi: DOI without resolver, empty where none is known.
        arxiv: arXiv number, empty where none is known.
        url: address, empty where DOI or arXiv serve.
        note: remarks, such as corrections of the survey's entry.
    """

    id: str
    kind: str
    authors: tuple[str, ...]
    title: str
    chinese: str
    venue: str
    year: int
    doi: str = ""
    arxiv: str = ""
    url: str = ""
    note: str = ""
