"""The command `resnetbook`. Each subcommand imports what it needs: neither `--help` nor the survey's lists load torch."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import resnetbook

SCALES = ("live", "quick", "full")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, 2 after an error that the user can mend, 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        options.function(options)
    except (ValueError, OSError, RuntimeError, ImportError) as error:
        print(f"resnetbook {options.command}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            f"resnetbook {options.command}: interrupted; the same command goes on from here", file=sys.stderr
        )
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="resnetbook",
        description="Residual Networks, Executed: experiments, data and grading of the book.",
    )
    parser.add_argument("--version", action="version", version=f"resnetbook {resnetbook.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run an experiment and write its record")
    run.add_argument("name", metavar="NAME", help="an experiment that `resnetbook experiments` lists")
    run.add_argument("--scale", choices=SCALES, default="quick", help="default: quick")
    run.add_argument(
        "--seeds", type=int, metavar="N", help="seeds 100, 101, ...; default: the registered number"
    )
    run.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    run.add_argument(
        "--workers", type=int, metavar="N", help="processes; default: all processors, or 1 on a GPU"
    )
    run.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="change a setting; may be repeated"
    )
    run.add_argument("--folder", type=Path, metavar="DIR", help="where the record goes")
    run.add_argument("--runs", type=Path, metavar="DIR", help="where unfinished runs are kept")
    run.add_argument("--force", action="store_true", default=None, help="run again although a record exists")
    run.set_defaults(function=_run)

    verify = commands.add_parser(
        "verify", help="run one seed of each arm again and compare it with the record"
    )
    verify.add_argument("name", metavar="NAME", help="an experiment that `resnetbook experiments` lists")
    verify.add_argument("--scale", choices=SCALES[1:], default="quick", help="default: quick")
    verify.add_argument(
        "--set", action="append", default=[], metavar="data=SET", help="the record of this set"
    )
    verify.add_argument("--seed", type=int, metavar="N", help="one of the record's seeds; default: its first")
    verify.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    verify.add_argument("--workers", type=int, metavar="N", help="processes; default: all processors")
    verify.add_argument("--folder", type=Path, metavar="DIR", help="where the record lies")
    verify.set_defaults(function=_verify)

    full = commands.add_parser("full", help="make records at full scale for as long as the minutes last")
    full.add_argument("names", nargs="*", metavar="NAME", help="only these experiments, in this order")
    full.add_argument("--minutes", type=float, metavar="M", help="time to spend")
    full.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="DIR",
        help="records and unfinished parts; a later call goes on there",
    )
    full.add_argument(
        "--prepare", action="store_true", help="write prepared.json, which a copy without git needs, and stop"
    )
    full.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    full.add_argument("--workers", type=int, metavar="N", help="processes side by side; default: 8 on a GPU")
    full.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="change a setting in each: a trial"
    )
    full.add_argument("--seeds", type=int, metavar="N", help="default: the registered number")
    full.set_defaults(function=_full)

    listing = commands.add_parser("experiments", help="list experiments, their claims, scales and records")
    listing.set_defaults(function=_experiments)
    methods = commands.add_parser("methods", help="list the survey's methods and what is built")
    methods.set_defaults(function=_methods)

    data = commands.add_parser("data", help="list or fetch data sets")
    actions = data.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="list data sets: size, licence, and whether they are here").set_defaults(
        function=_data_list
    )
    show = actions.add_parser("show", help="print what is known of a data set: shapes, split, licence, traps")
    show.add_argument("name", metavar="NAME")
    show.set_defaults(function=_data_show)
    fetch = actions.add_parser("fetch", help="fetch a data set from its source into the cache")
    fetch.add_argument("name", metavar="NAME", help="as listed; another size as bloodmnist_64")
    fetch.set_defaults(function=_data_fetch)

    export = commands.add_parser(
        "export-js",
        help="train the two networks that run in a page of the book, and write them for the browser",
    )
    export.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="default: book/_static of the checkout"
    )
    export.add_argument(
        "--checkpoints",
        type=Path,
        metavar="DIR",
        help="where trainings are kept; finished ones are only loaded",
    )
    export.set_defaults(function=_export_js)

    release = commands.add_parser("release", help="make the students' notebook from a master")
    release.add_argument("master", type=Path, metavar="MASTER")
    release.add_argument("-o", "--output", type=Path, required=True, metavar="STUDENT.ipynb")
    release.add_argument(
        "--strict", action="store_true", help="refuse what breaks the rules of this book's own assignments"
    )
    release.set_defaults(function=_release)
    grade = commands.add_parser("grade", help="grade submissions against a master")
    grade.add_argument("master", type=Path, metavar="MASTER")
    grade.add_argument("submissions", type=Path, nargs="+", metavar="SUBMISSION", help="notebook or folder")
    grade.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    grade.add_argument(
        "--workers", type=int, default=1, metavar="N", help="submissions at a time; default: 1"
    )
    grade.add_argument(
        "--strict", action="store_true", help="hold the master to the rules of release --strict"
    )
    grade.add_argument("--secret", type=Path, metavar="FILE", help="its bytes seed the inputs of the checks")
    grade.set_defaults(function=_grade)
    report = commands.add_parser("report", help="write the feedback pages of a graded folder")
    report.add_argument("folder", type=Path, metavar="DIR")
    report.add_argument("--book", metavar="URL", help="address of the built book, to link its paragraphs")
    report.set_defaults(function=_report)
    return parser


def _run(options: argparse.Namespace) -> None:
    from resnetbook.experiments import run
    from resnetbook.lab import results

    path = run(
        options.name,
        scale=options.scale,
        seeds=options.seeds,
        device=options.device,
        changes=_changes(options.set),
        workers=options.workers,
        folder=options.folder,
        runs=options.runs,
        force=options.force,
    )
    record = results.load(path)
    print(path)
    print(results.provenance(record))
    rows = [("arm", "metric", "mean", "95 % interval")]
    for arm, metric, (mean, low, high) in results.summary(record):
        # One seed has no interval.
        rows.append((arm, metric, f"{mean:.6g}", f"{low:.6g} to {high:.6g}" if low == low else "-"))
    _print_table(rows)


def _verify(options: argparse.Namespace) -> None:
    from resnetbook.experiments import verify

    checks = verify(
        options.name,
        scale=options.scale,
        changes=_changes(options.set),
        seed=options.seed,
        device=options.device,
        workers=options.workers,
        folder=options.folder,
    )
    worst = max(check.difference for check in checks)
    equal = "all equal to the last bit" if worst == 0 else f"largest difference {worst:.2g}"
    print(f"{options.name}: {len(checks)} metrics compared, {equal}")


def _full(options: argparse.Namespace) -> None:
    from resnetbook import experiments
    from resnetbook.lab.running import full, prepared

    if options.prepare:
        print(prepared.prepare())
        return
    if options.minutes is None or options.output is None:
        raise ValueError("expected --minutes M and --output DIR (or --prepare)")
    names = options.names or experiments.names()
    records = full.plan([experiments.experiment(name) for name in names], options.names or experiments.WORTH)

    def tell(outcome: Any) -> None:
        note = f": {outcome.note}" if outcome.note else ""
        print(f"{outcome.record}  {outcome.state}  {outcome.minutes:.1f} min{note}", flush=True)

    full.full(
        records,
        minutes=options.minutes,
        output=options.output,
        device=options.device,
        workers=options.workers,
        changes=_changes(options.set) or None,
        seeds=options.seeds,
        tell=tell,
    )


def _changes(texts: Sequence[str]) -> dict[str, str]:
    changes = {}
    for text in texts:
        field, equals, value = text.partition("=")
        if not equals or not field.strip():
            raise ValueError(f"--set {text!r}: expected FIELD=VALUE")
        changes[field.strip()] = value
    return changes


def _experiments(options: argparse.Namespace) -> None:
    from resnetbook.experiments import experiments
    from resnetbook.lab import results

    records = results.find()
    rows = [("name", "claims", "scales", "records", "title")]
    for found in experiments():
        made = [
            f"{record.scale}{f' ({record.variant})' if record.variant else ''}"
            for record in records
            if record.experiment == found.name
        ]
        claims, scales = " ".join(found.claims), " ".join(found.scales)
        rows.append((found.name, claims, scales, ", ".join(made) or "not run yet", found.title))
    _print_table(rows)


def _methods(options: argparse.Namespace) -> None:
    from resnetbook import survey

    methods = survey.methods()
    rows = [("section", "method", "status", "English", "Chinese")]
    rows += [(m.section, m.id, m.status, m.english, m.chinese) for m in methods]
    _print_table(rows)
    print(f"{len(methods)} methods, {sum(m.status == 'built' for m in methods)} built")


def _data_list(options: argparse.Namespace) -> None:
    from resnetbook.lab import data

    rows = [("name", "here", "MB", "sizes, * here", "licence", "title")]
    for card in data.cards():
        here = "yes" if data.available(card.name) else "no"
        sizes = " ".join(f"{size}{'*' if size in data.sizes_here(card.name) else ''}" for size in card.sizes)
        megabytes = card.on_disk.replace("at most ", "<").removesuffix(" MB")
        rows.append((card.name, here, megabytes, sizes or "-", card.licence, card.title))
    _print_table(rows)


def _data_show(options: argparse.Namespace) -> None:
    from resnetbook.lab import data

    print(data.card(options.name).text.rstrip())


def _data_fetch(options: argparse.Namespace) -> None:
    from resnetbook.lab import data

    print(data.fetch(options.name))


def _export_js(options: argparse.Namespace) -> None:
    from resnetbook.experiments.principle import _page, _page_script

    script, picture = _page.export(options.output, options.checkpoints, progress=True)
    for path in (script, picture):
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
    for name, entry in _page_script.content(script)["networks"].items():
        print(f"{name}: accuracy {entry['accuracy']:.4f} on the test images")


def _release(options: argparse.Namespace) -> None:
    grading = _grading()
    print(grading.release(options.master, options.output, **_strict(options)))


def _strict(options: argparse.Namespace) -> dict[str, bool]:
    return {"strict": True} if options.strict else {}


def _grade(options: argparse.Namespace) -> None:
    grading = _grading()
    secret = options.secret.read_bytes() if options.secret is not None else None
    rows = grading.grade(
        options.master,
        options.submissions,
        options.output,
        workers=options.workers,
        **_strict(options),
        secret=secret,
        progress=_show_row if sys.stderr.isatty() else None,
    )
    print(f"{len(rows)} submissions graded: {options.output / 'grades.csv'}")
    if (options.output / "assignment.json").exists():
        from resnetbook.grading.results import remarks

        for line in remarks(options.output):
            print(line)


def _show_row(row: Any, done: int, total: int) -> None:
    end = "\n" if done == total else ""
    print(f"\r\x1b[K{done} of {total}: {row.student}, {row.status}", end=end, file=sys.stderr, flush=True)


def _report(options: argparse.Namespace) -> None:
    print(_grading().report(options.folder, book=options.book))


def _grading() -> Any:
    from resnetbook import grading

    return grading


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns; a Chinese character takes two places."""
    widths = [max(_width(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)]
        print("  ".join(cells).rstrip())


def _width(text: str) -> int:
    return sum(2 if "\u2e80" <= character <= "\uffef" else 1 for character in text)


if __name__ == "__main__":
    sys.exit(main())
