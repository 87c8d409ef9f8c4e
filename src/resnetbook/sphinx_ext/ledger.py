"""The claims ledger: totals, a filter, then one folded group for each section with a card for each claim."""

from collections.abc import Iterable, Sequence

from resnetbook._paths import data_dir
from resnetbook.sphinx_ext.html import attribute, inline, link, table
from resnetbook.sphinx_ext.links import Links, claim_anchor
from resnetbook.survey import Claim, Verdict, card, claims, phrases, totals, verdict

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


def sources_of_data(names: Iterable[str | None]) -> str:
    """Return where someone outside gets the data sets, as the sets' own cards say."""
    known = [(name, _origin(name)) for name in dict.fromkeys(names) if name]
    items = "".join(
        f"<li><code>{inline(name)}</code>: {inline(origin)}</li>" for name, origin in known if origin
    )
    return f"<p>The data:</p><ul>{items}</ul>" if items else ""


def _origin(name: str) -> str:
    path = data_dir() / "cards" / f"{name}.md"
    if not path.is_file():
        return ""
    line = next(
        (row for row in path.read_text(encoding="utf-8").splitlines() if row.startswith("- **Origin:**")), ""
    )
    origin = line.removeprefix("- **Origin:**").strip()
    if name == "cifar10_jpeg":
        origin += " `--set data=cifar10` runs the same experiment on CIFAR-10 from its original source."
    return origin


def repeat(found: Verdict, links: Links) -> str:
    """Return the commands that make the records again, with their minutes, the records to download, and the data."""
    rows = []
    for command, minutes, record, where in card.repeat(found.outcomes):
        file = f" · {link('the record', links.record(record))}" if record else " · not run yet"
        length = f", {minutes} on 2 cores" if minutes and found.scale == "quick" else ""
        rows.append(
            f'<li><code>{inline(command)}</code>{length}{file}<br><span class="rb-note">{inline(where)}</span></li>'
        )
    if not rows:
        return ""
    data = sources_of_data(outcome.variant for outcome in found.outcomes)
    return f'<details class="rb-design"><summary>Repeat it ({found.scale} scale)</summary><ul>{"".join(rows)}</ul>{data}</details>'


def marks(found: Verdict) -> list[str]:
    """Return the flags that are raised by a part of a verdict, each once; "underpowered" and "narrowed" count as flags here."""
    flags = [flag for outcome in found.outcomes for flag in outcome.flags]
    flags += ["underpowered"] * any(outcome.underpowered for outcome in found.outcomes)
    flags += ["registered after the run"] * any(outcome.registered == "after" for outcome in found.outcomes)
    flags += ["narrowed"] * bool(found.narrowed)
    return list(dict.fromkeys(flags))


def stamps(found: Verdict) -> str:
    """Return when the parts of a verdict were registered, in words."""
    times = dict.fromkeys(outcome.registered for outcome in found.outcomes if outcome.registered)
    return f"registered {' and '.join(times)} the run" if times else ""


def claim_card(claim: Claim, links: Links) -> str:
    """Return one claim."""
    found = [verdict(claim, scale) for scale in ("quick", "full")]
    run = [each for each in found if each.status != "not run yet"] or found[:1]
    anchor = claim_anchor(claim.id)
    if claim.by_reading is not None:
        words, badges = [claim.by_reading], card.badge(claim.by_reading)
    else:
        words = [each.status for each in run]
        badges = " ".join(
            f'<span class="rb-note">{each.scale}:</span> {card.badge(each.status)}' for each in run
        )
    flags = list(dict.fromkeys(flag for each in run for flag in marks(each)))
    budget = f'<p class="rb-note">Held equal: {inline(claim.budget)}</p>' if claim.budget else ""
    shown = "".join(
        f"{card.summary(claim, each)}{card.folded(each.outcomes, card.OPEN)}{repeat(each, links)}"
        for each in run
    )
    told = " · ".join(filter(None, (stamps(run[0]), ", ".join(flags))))
    about = f'<p class="rb-note">{inline(told)}</p>' if told else ""
    data: dict[str, list[str]] = {
        "words": [str(word) for word in words],
        "section": [group_of(claim)],
        "scales": [each.scale for each in run if each.comparisons],
        "flags": flags,
    }
    attributes = "".join(f' data-{name}="{attribute("|".join(values))}"' for name, values in data.items())
    return (
        f'<article class="rb-card" id="{anchor}"{attributes}><p class="rb-head"><a class="rb-id" href="#{anchor}">{claim.id}</a>'
        f' {badges} <span class="rb-note">§ {inline(", ".join(claim.sections))} · {inline(" + ".join(claim.kind))}</span></p>'
        f"<p>{inline(claim.text)}</p>{about}{budget}{shown}{design(claim)}{sources(claim, links)}</article>"
    )


def choice(name: str, title: str, options: Sequence[str]) -> str:
    """Return one list of the filter."""
    items = "".join(f'<option value="{attribute(option)}">{inline(option)}</option>' for option in options)
    return f'<label>{title} <select name="{name}"><option value="">all</option>{items}</select></label>'


def chooser() -> str:
    """Return the filter: by word, section, scale and flag. It appears where scripts run; without them all cards stand open to search."""
    titles = [*(title for title, _ in GROUPS), READINGS]
    words = [name for name in totals("quick") if name != "comparisons"]
    flags = [*phrases.FLAGS, "narrowed", "registered after the run"]
    return (
        '<form class="rb-filter" hidden aria-label="Filter the claims">'
        f"{choice('words', 'Verdict', words)}{choice('section', 'Section', titles)}"
        f"{choice('scales', 'Scale', ('quick', 'full'))}{choice('flags', 'Flag', flags)}"
        '<button type="reset">Show all</button> <output aria-live="polite"></output></form>'
    )


def counts(group: Sequence[Claim]) -> str:
    """Return the verdicts of a group, counted, in words."""
    found: dict[str, int] = {}
    for claim in group:
        status = claim.by_reading or verdict(claim, "quick").status
        found[status] = found.get(status, 0) + 1
    return ", ".join(f"{count} {status}" for status, count in found.items())


def totals_table() -> str:
    """Return the table of totals for both scales, and how many comparisons stand behind them."""
    quick, full = totals("quick"), totals("full")
    names = [name for name in quick if name != "comparisons"]
    rows = [(card.badge(name), str(quick[name]), str(full[name])) for name in names]
    head = ("Verdict", "quick scale", "full scale")
    made = quick["comparisons"] + full["comparisons"]
    return table(head, rows, label="Verdicts on claims C01 to C89, by scale", classes="rb-totals") + (
        f"<p>{made} comparisons stand behind these verdicts. Their p values are adjusted together (Benjamini and Hochberg), so that "
        "of all parts called supported or opposite about one in twenty at most is expected to be so by luck.</p>"
    )


def ledger(links: Links) -> str:
    """Return the whole ledger as HTML."""
    groups: dict[str, list[Claim]] = {}
    for claim in claims():
        groups.setdefault(group_of(claim), []).append(claim)
    parts = [totals_table(), chooser()]
    for title in (*(name for name, _ in GROUPS), READINGS):
        group = groups.get(title, [])
        if group:
            cards = "".join(claim_card(claim, links) for claim in group)
            parts.append(
                f'<details class="rb-group"><summary><span class="rb-group-title">{title}</span> '
                f'<span class="rb-note">{len(group)} claims: {counts(group)}</span></summary>{cards}</details>'
            )
    return "\n".join(parts)
