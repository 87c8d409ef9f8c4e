"""What the pages on verdicts show: a slider from seeds to a word, the flags, both versions of the ledger, later changes."""

from scipy.stats import norm, t

from resnetbook import survey
from resnetbook.sphinx_ext.html import inline, link, table
from resnetbook.sphinx_ext.links import Links
from resnetbook.survey import card, phrases
from resnetbook.survey.outcome import Outcome
from resnetbook.survey.picture import picture
from resnetbook.survey.tables import read_toml
from resnetbook.survey.words import judge

MOST = 40  # seeds that the slider goes up to
# name, label, lowest, highest, step, start, unit
SLIDERS = (
    ("mean", "mean difference", -3.0, 5.0, 0.1, 1.5, "points"),
    ("spread", "spread of the differences", 0.2, 6.0, 0.1, 3.0, "points"),
    ("seeds", "seeds", 2, MOST, 1, 12, ""),
    ("margin", "margin", 0.0, 3.0, 0.1, 1.0, "points"),
)


def example(mean: float, spread: float, seeds: int, margin: float) -> Outcome:
    """Return the part that the slider shows: `seeds` differences with just this mean and standard deviation, in points."""
    raw = [float(norm.ppf((number + 0.5) / seeds)) for number in range(seeds)]
    size = (sum(value**2 for value in raw) / (seeds - 1)) ** 0.5
    values = tuple((mean + spread * value / size) / 100 for value in raw)
    half = float(t.ppf(0.975, seeds - 1)) * spread / seeds**0.5
    p = float(2 * t.sf(abs(mean) / spread * seeds**0.5, seeds - 1))
    low, high = mean - half, mean + half
    word = judge("better", mean, low, high, margin, p)
    return Outcome(
        label="A is more accurate than B", status=word, rule="better", metric="accuracy", seeds=seeds, mean=mean / 100,
        low=low / 100, high=high / 100, margin=margin / 100, p=p, adjusted=p, values=values,
    )  # fmt: skip


def slider() -> str:
    """Return the slider with its start as a prepared picture; the script of the page moves it."""
    start = {name: value for name, *_, value, _ in SLIDERS}
    shown = example(float(start["mean"]), float(start["spread"]), int(start["seeds"]), float(start["margin"]))
    inputs = "".join(
        f"<label><span>{label} <output>{value:g}{f' {unit}' if unit else ''}</output></span>"
        f'<input type="range" name="{name}" min="{low:g}" max="{high:g}" step="{step:g}" value="{value:g}" data-unit="{unit}"></label>'
        for name, label, low, high, step, value, unit in SLIDERS
    )
    quantiles = ",".join(f"{float(t.ppf(0.975, n - 1)):.6f}" for n in range(2, MOST + 1))
    return (
        f'<div class="rb-slider" data-quantiles="{quantiles}"><form hidden>{inputs}</form>'
        f'<div class="rb-slider-picture">{picture(shown)}</div>'
        f'<p aria-live="polite"><strong class="rb-slider-word">{card.badge(shown.status)}</strong> '
        f'<span class="rb-note">{phrases.effect(shown)}; {phrases.basis(shown)}</span></p></div>'
        '<script src="../_static/verdict.js" defer></script>'
    )


def flags() -> str:
    """Return what each flag means."""
    rows = [(inline(name), inline(meaning)) for name, meaning in phrases.FLAGS.items()]
    return table(("Flag", "What it says"), rows, label="Flags")


def why(former: survey.FormerVerdict, now: survey.Verdict) -> str:
    """Return, in a few words, what stands between two verdicts: computed from the parts, never written by hand."""
    if now.status == "not run yet":
        return "not run yet"
    words = [outcome.status for outcome in now.outcomes if outcome.status != "not run yet"]
    counts = ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))
    return f"{len(former.parts)} parts then; now {counts}"


def history(links: Links) -> str:
    """Return both versions of the verdicts at quick scale."""
    rows = []
    for former in survey.version1():
        now = survey.verdict(former.claim, "quick")
        name = link(former.claim, links.claim(former.claim))
        rows.append((name, inline(former.status), card.badge(now.status), inline(why(former, now))))
    head = ("Claim", "Version 1", "Version 2", "Parts")
    return table(head, rows, label="Verdicts of versions 1 and 2, quick scale")


def changes(links: Links) -> str:
    """Return what was changed in decisions or designs after version 2 was first registered, with the reason."""
    rows = [
        (link(row["claim"], links.claim(row["claim"])), inline(row["what"]), inline(row["why"]))
        for row in read_toml("changes").get("changes", [])
    ]
    if not rows:
        return "<p>None so far.</p>"
    return table(("Claim", "What was changed", "Why"), rows, label="Changes after registration")
