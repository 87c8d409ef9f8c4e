"""A claim's verdict as a card: the ledger shows it whole, the chapters with three parts open. HTML that needs no script."""

from __future__ import annotations

import html
from collections.abc import Sequence

from resnetbook.survey import phrases
from resnetbook.survey.history import version1
from resnetbook.survey.model import Claim
from resnetbook.survey.outcome import Outcome, Verdict
from resnetbook.survey.picture import picture, span

OPEN = 3  # parts that a chapter shows; the others are folded
NAMED = 3  # parts of a mixed claim that are named each way; all stand below
# Where the book's style sheet is missing (Colab, JupyterLab) the card brings what it needs.
STYLE = (
    "<style>.rb-parts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,17rem),1fr));gap:.8rem}"
    ".rb-part{display:block;width:100%;max-width:30rem;height:auto}.rb-parts p{margin:.2rem 0}"
    ".rb-word{border:1.5px solid currentcolor;border-radius:1rem;padding:0 .6em;font-size:.82em;font-weight:700;white-space:nowrap}"
    "</style>"
)


def inline(text: str) -> str:
    """Return plain text as HTML, `code` marked up."""
    pieces = html.escape(text, quote=False).split("`")
    return "".join(f"<code>{piece}</code>" if number % 2 else piece for number, piece in enumerate(pieces))


def badge(word: str) -> str:
    """Return a word as a coloured label; the word itself carries the meaning."""
    return f'<span class="rb-word rb-verdict rb-{word.replace(" ", "-")}">{word}</span>'


def part(outcome: Outcome, ends: tuple[float, float] | None = None) -> str:
    """Return one part: what was compared, its word, the picture, the numbers, what to beware of."""
    reading = f"<strong>{inline(outcome.reading)}:</strong> " if outcome.reading else ""
    label = f"<p>{reading}{inline(outcome.label)} {badge(outcome.status)}</p>"
    numbers = [phrases.effect(outcome), phrases.basis(outcome), phrases.chance(outcome)]
    notes = [f"{flag}: {meaning}" for flag, meaning in phrases.warnings(outcome)]
    if outcome.underpowered:
        notes.append(f"underpowered: {phrases.FLAGS['underpowered']}")
    if outcome.reached:
        shares = " and ".join(f"{100 * share:.0f} %" for share in outcome.reached)
        notes.append(f"target reached in {shares} of the seeds")
    if outcome.reason:
        notes.append(outcome.reason)
    if outcome.registered == "after":
        notes.append("registered after the run")
    small = "".join(f'<p class="rb-note"><small>{inline(line)}</small></p>' for line in notes)
    text = "; ".join(piece for piece in numbers if piece)
    return f'<div>{label}{picture(outcome, ends)}<p class="rb-note"><small>{inline(text)}</small></p>{small}</div>'


def parts(outcomes: Sequence[Outcome]) -> list[str]:
    """Return the parts that were run; those of one metric stand on one axis."""
    run = phrases.order(outcomes)

    def kin(one: Outcome) -> list[Outcome]:
        return [
            other
            for other in run
            if (other.unit, other.metric) == (one.unit, one.metric) and other.rule != "exact"
        ]

    return [part(each, span(kin(each)) if kin(each) else None) for each in run]


def folded(outcomes: Sequence[Outcome], shown: int) -> str:
    """Return the parts, `shown` of them open and the others in a fold."""
    made = parts(outcomes)
    if not made:
        return ""
    rest = made[shown:]
    fold = (
        f'<details class="rb-design"><summary>{len(rest)} more part{"s" if len(rest) > 1 else ""}</summary>'
        f'<div class="rb-parts">{"".join(rest)}</div></details>'
        if rest
        else ""
    )
    return f'<div class="rb-parts">{"".join(made[:shown])}</div>{fold}'


def repeat(outcomes: Sequence[Outcome]) -> list[tuple[str, str, str, str]]:
    """Return (command, minutes, record, provenance) for each record that decides, each once."""
    rows = {
        (phrases.command(each), phrases.minutes(each), each.record, each.provenance): None
        for each in outcomes
        if each.experiment
    }
    return list(rows)


def waiting(claim: Claim, found: Verdict) -> list[str]:
    """Return what is still to be run, and what version 1 of the rules said of a claim that waits as a whole."""
    count = sum(outcome.status == "not run yet" for outcome in found.outcomes)
    lines = [f"{count} of {len(found.outcomes)} parts not run yet."] if count else []
    former = next((each.status for each in version1() if each.claim == claim.id), "")
    if found.status == "not run yet" and found.scale == "quick" and former:
        lines.append(f"Under version 1 of the rules it was called: {former}.")
    return lines


def summary(claim: Claim, found: Verdict) -> str:
    """Return what a card says below its title: narrowed, what waits, which parts of a mixed claim hold and which do not."""
    lines = []
    if claim.narrowed:
        lines.append(f"Narrowed: the test leaves out {claim.narrowed}.")
    for title, names in (("Holds", found.supported), ("Does not hold", found.refuted)):
        which = [*names.readings, *names.data]
        if which:
            rest = f"; and {len(which) - NAMED} more" if len(which) > NAMED else ""
            lines.append(f"{title}: {'; '.join(which[:NAMED])}{rest}.")
    lines += waiting(claim, found)
    return "".join(f'<p class="rb-note">{inline(line)}</p>' for line in lines)


def short(claim: Claim, found: Verdict) -> str:
    """Return the card of a chapter."""
    rows = repeat(found.outcomes)
    commands = "".join(
        f"<li><code>{html.escape(line)}</code>{f', {length} on 2 cores' if length else ''}"
        f"{f'; {html.escape(where)}' if where else ''}</li>"
        for line, length, _, where in rows
    )
    again = (
        f'<details class="rb-design"><summary>Repeat it</summary><ul>{commands}</ul></details>'
        if rows
        else ""
    )
    registered = {each.registered for each in found.outcomes if each.registered}
    stamp = f" · registered {' and '.join(sorted(registered))} the run" if registered else ""
    return (
        f'{STYLE}<div class="resnetbook-verdict" data-status="{html.escape(found.status)}" role="group" '
        f'aria-label="Verdict on claim {claim.id}"><p><strong>{inline(claim.text)}</strong></p>'
        f'<p>{badge(found.status)} <span class="rb-note">{claim.id} · {found.scale} scale{stamp}</span></p>'
        f"{summary(claim, found)}{folded(found.outcomes, OPEN)}{again}</div>"
    )


def text(claim: Claim, found: Verdict) -> str:
    """Return the card as plain text that names each number, for terminals."""
    lines = [f"{claim.id}: {found.status} ({found.scale} scale)", claim.text]
    if claim.narrowed:
        lines.append(f"narrowed: the test leaves out {claim.narrowed}")
    lines += [phrases.plain(outcome) for outcome in phrases.order(found.outcomes)]
    lines += waiting(claim, found)
    sources = dict.fromkeys(outcome.provenance for outcome in found.outcomes if outcome.provenance)
    return "\n".join([*lines, *sources])
