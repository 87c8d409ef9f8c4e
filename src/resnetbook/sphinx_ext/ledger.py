"""The claims ledger: totals, then one folded group for each section, as HTML."""

import math
from collections.abc import Sequence

from resnetbook.sphinx_ext.html import inline, link, table
from resnetbook.sphinx_ext.links import Links, claim_anchor
from resnetbook.survey import Claim, Outcome, Verdict, claims, totals, verdict

GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Sections 1 and 2: principle", ("1", "2")),
    ("Section 3: networks in time", ("3",)),
    ("Section 4.1: convolution", ("4.1",)),
    ("Section 4.2: pooling", ("4.2",)),
    ("Section 4.3: the residual unit", ("4.3",)),
    ("Section 4.4: the fully connected part", ("4.4",)),
    ("Section 4.5: the whole network", ("4.5",)),
    ("Section 5: medicine", ("5", "6")),
)
READINGS = "Claims that a reading decides"


def group_of(claim: Claim) -> str:
    """Return the title of the group that a claim belongs to."""
    if claim.by_reading is not None:
        return READINGS
    for title, numbers in GROUPS:
        for number in numbers:
            if claim.section == number or claim.section.startswith((number + ".", number + "(")):
                return title
    raise ValueError(f"claim {claim.id}: section {claim.section!r} belongs to no group of the ledger")


def badge(status: str) -> str:
    """Return a verdict as a coloured label; the word itself carries the meaning."""
    return f'<span class="rb-verdict rb-{status.replace(" ", "-")}">{status}</span>'


def number(value: float) -> str:
    """Return a number with three significant digits; a dash where nothing is known."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == int(value) and abs(value) < 1e9:
        return f"{int(value):,}".replace("-", "−")
    text = f"{value:.3g}" if abs(value) < 1e4 else f"{value:,.0f}"
    return text.replace("-", "−")


def measured(outcome: Outcome) -> str:
    """Return mean and interval of an outcome in words that name their unit."""
    if outcome.status == "not run yet":
        return "not run yet"
    interval = f"{number(outcome.mean)} [{number(outcome.low)}, {number(outcome.high)}]"
    if outcome.unit == "ratio":
        return f"ratio {interval}"
    return interval if outcome.unit == "difference" else f"value {interval}"


def outcomes(found: Verdict) -> str:
    """Return the table of a verdict's comparisons, empty where none was run."""
    run = [outcome for outcome in found.outcomes if outcome.status != "not run yet"]
    if not run:
        return ""
    rows = []
    for each in run:
        reading = f"{inline(each.reading)}: " if each.reading else ""
        note = f'<br><span class="rb-note">{inline(each.reason)}</span>' if each.reason else ""
        rows.append(
            (
                f"{reading}{inline(each.label)}",
                inline(each.metric.replace("_", " ")),
                str(each.seeds),
                measured(each),
                number(each.margin),
                badge(each.status) + note,
            )
        )
    head = ("Comparison", "Metric", "Seeds", "Difference [95 % interval]", "Margin", "Outcome")
    records = dict.fromkeys(each.provenance for each in run if each.provenance)
    lines = "".join(f'<p class="rb-note">Record: {inline(line)}</p>' for line in records)
    return table(head, rows, label=f"Comparisons for {found.claim}, {found.scale} scale") + lines


def design(claim: Claim) -> str:
    """Return the fields of a claim that say how it is tested."""
    fields = (
        ("Quick, two CPU cores", claim.quick),
        ("Full, one GPU", claim.full),
        ("Measured", claim.metric),
        ("Refuted if", claim.refuted_if),
        ("Known before", claim.known),
        ("Evidence", claim.evidence),
    )
    items = "".join(f"<dt>{name}</dt><dd>{inline(text)}</dd>" for name, text in fields if text)
    return f'<details class="rb-design"><summary>Design</summary><dl>{items}</dl></details>' if items else ""


def sources(claim: Claim, links: Links) -> str:
    """Return links to the notebooks that show the claim and to its experiments."""
    parts = []
    for docname in links.verdict_pages.get(claim.id, []):
        title = links.env.titles[docname].astext() if docname in links.env.titles else docname.split("/")[-1]
        parts.append(link(inline(title), links.page(docname)))
    for name in claim.experiments:
        parts.append(link(f"<code>{name}</code>", links.experiment(name)))
    return f'<p class="rb-links">Shown and run in: {", ".join(parts)}</p>' if parts else ""


def card(claim: Claim, links: Links) -> str:
    """Return one claim."""
    quick, full = verdict(claim, "quick"), verdict(claim, "full")
    anchor = claim_anchor(claim.id)
    if claim.by_reading is not None:
        badges = badge(claim.by_reading)
    else:
        badges = badge(quick.status)
        if full.status != "not run yet":
            badges += f' <span class="rb-note">full scale:</span> {badge(full.status)}'
    readings = "".join(f"<li>{inline(name)}: {badge(status)}</li>" for name, status in quick.readings)
    sections = ", ".join(claim.sections)
    budget = f'<p class="rb-note">Held equal: {inline(claim.budget)}</p>' if claim.budget else ""
    return (
        f'<article class="rb-card" id="{anchor}"><p class="rb-head"><a class="rb-id" href="#{anchor}">{claim.id}</a>'
        f' {badges} <span class="rb-note">§ {inline(sections)} · {inline(" + ".join(claim.kind))}</span></p>'
        f"<p>{inline(claim.text)}</p>{budget}{f'<ul>{readings}</ul>' if readings else ''}"
        f"{outcomes(quick)}{outcomes(full)}{design(claim)}{sources(claim, links)}</article>"
    )


def counts(group: Sequence[Claim]) -> str:
    """Return the verdicts of a group, counted, in words."""
    found: dict[str, int] = {}
    for claim in group:
        status = claim.by_reading or verdict(claim, "quick").status
        found[status] = found.get(status, 0) + 1
    return ", ".join(f"{count} {status}" for status, count in found.items())


def totals_table() -> str:
    """Return the table of totals for both scales, and the number of comparisons behind it."""
    quick, full = totals("quick"), totals("full")
    names = [name for name in quick if name != "comparisons"]
    rows = [("quick", *(str(quick[name]) for name in names)), ("full", *(str(full[name]) for name in names))]
    head = ("Scale", *(badge(name) for name in names))
    made = quick["comparisons"] + full["comparisons"]
    return table(head, rows, label="Verdicts on claims C01 to C89, by scale", classes="rb-totals") + (
        f"<p>{made} comparisons stand behind these verdicts. Each is tested at 95 %. "
        f"If no claim were true, about {max(1, round(made * 0.025)) if made else 0} of them would pass by luck; "
        "so look at the intervals, not at the labels alone.</p>"
    )


def ledger(links: Links) -> str:
    """Return the whole ledger as HTML."""
    groups: dict[str, list[Claim]] = {}
    for claim in claims():
        groups.setdefault(group_of(claim), []).append(claim)
    parts = [totals_table()]
    for title in (*(name for name, _ in GROUPS), READINGS):
        group = groups.get(title, [])
        if group:
            cards = "".join(card(claim, links) for claim in group)
            parts.append(
                f'<details class="rb-group"><summary><span class="rb-group-title">{title}</span> '
                f'<span class="rb-note">{len(group)} claims: {counts(group)}</span></summary>{cards}</details>'
            )
    return "\n".join(parts)
