"""Reports from the results: a table, JSON, a page of feedback for each student and an index for the instructor."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from resnetbook.grading.limits import OUTPUT_LIMIT
from resnetbook.grading.results import BY_HAND, CheckRow, Row, read_rows, write

__all__ = ["report"]

_STYLE = """
:root { color-scheme: light dark; --ground: #ffffff; --text: #1c1f23; --soft: #5a6068; --line: #c9ced6; --good: #1a6b2f;
 --bad: #a3231f; --code: #f2f4f7; --link: #0b57a4; }
@media (prefers-color-scheme: dark) { :root { --ground: #16181c; --text: #e8eaed; --soft: #aab1bb; --line: #444b55;
 --good: #7fd894; --bad: #ff9d95; --code: #22262c; --link: #8ec1ff; } }
body { background: var(--ground); color: var(--text); font: 1rem/1.5 system-ui, sans-serif; margin: 0 auto;
 max-width: 50rem; padding: 1rem; overflow-wrap: anywhere; }
a { color: var(--link); } .soft { color: var(--soft); } .good { color: var(--good); } .bad { color: var(--bad); }
table { border-collapse: collapse; width: 100%; } th, td { border-bottom: 1px solid var(--line); padding: .3rem .5rem;
 text-align: left; vertical-align: top; } .wide { overflow-x: auto; }
pre { background: var(--code); padding: .5rem; overflow-x: auto; } li { margin: .5rem 0; } h2 { margin-top: 2rem; }
"""
_VERDICTS = {
    "right": "right",
    "wrong": "gives another value than expected",
    "error": "ends in an error",
    "timeout": "took too long and was stopped",
    "died": "ended the Python process (the system stopped it, or the code did)",
    "flood": f"sent more than {OUTPUT_LIMIT // 10**6} MB of output and was stopped before its end",
    "no value": "gives no value",
    "two values": "gives more than one value",
    "not run": "was not run",
    "unanswered": "not answered",
    BY_HAND: "is to be marked by hand",
}
_STATUS = {
    "unreadable": "Your notebook could not be read, so nothing was graded.",
    "other assignment": "This is not the notebook of this assignment, so nothing was graded.",
    "stopped": "The grading was cut off; what had been judged until then counts.",
    "failed": "The grader could not grade this notebook. No points were given; your instructor will look at it.",
}


def report(folder: str | Path, *, book: str | None = None) -> Path:
    """Write `report.csv`, `report.json`, `index.html` and `feedback/STUDENT.html` into a folder of results.

    Pages hold a verdict for each check, the author's hint where it is not right, the student's own lines of a
    traceback and the paragraph of the book to read again. They hold no expected value and no source of a check.

    Args:
        folder: the folder that `grade` wrote.
        book: address of the built book, to make links of the paragraphs; without it they are named.

    Returns:
        The path of `index.html`.

    Raises:
        FileNotFoundError: the folder holds no results.
    """
    folder = Path(folder)
    if not (folder / "results.jsonl").exists() or not (folder / "assignment.json").exists():
        raise FileNotFoundError(
            f"report {folder}: no results.jsonl and assignment.json in it; run grade first"
        )
    assignment = json.loads((folder / "assignment.json").read_text(encoding="utf-8"))
    rows = [row for row in read_rows(folder) if row.master == assignment["master"]]
    (folder / "feedback").mkdir(exist_ok=True)
    names = {row.student: f"feedback/{_file_name(row.student)}" for row in rows}
    for row in rows:
        write(folder / names[row.student], _student_page(assignment, row, book))
    write(folder / "report.csv", _table(rows))
    write(folder / "report.json", json.dumps(_summary(assignment, rows), indent=1, ensure_ascii=False) + "\n")
    write(folder / "index.html", _index(assignment, rows, names))
    return folder / "index.html"


def _file_name(student: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", student)[:60]
    mark = "" if plain == student else "-" + hashlib.sha256(student.encode()).hexdigest()[:8]
    return f"{plain}{mark}.html"


def _table(rows: Sequence[Row]) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["student", "status", "exercise", "check", "verdict", "points", "max_points"])
    for row in rows:
        student = f"'{row.student}" if row.student[:1] in "=+-@" else row.student
        for c in row.checks:
            table.writerow(
                [student, row.status, c.exercise, c.id, c.verdict, f"{c.points:g}", f"{c.max_points:g}"]
            )
        if not row.checks:
            table.writerow([student, row.status, "", "", "", "", f"{row.max_points:g}"])
    return text.getvalue()


def _summary(assignment: Mapping[str, Any], rows: Sequence[Row]) -> dict[str, Any]:
    checks: dict[str, dict[str, int]] = {check["id"]: {} for check in assignment["checks"]}
    for row in rows:
        for check in row.checks:
            count = checks.setdefault(check.id, {})
            count[check.verdict] = count.get(check.verdict, 0) + 1
    return {
        "title": assignment["title"],
        "students": [
            {
                "student": r.student,
                "status": r.status,
                "reason": r.reason,
                "exercises": r.exercises,
                "points": r.points,
                "by_hand": r.by_hand,
            }
            | {"max_points": r.max_points, "cage": r.cage, "notes": r.notes}
            for r in rows
        ],
        "checks": checks,
    }


def _page(title: str, body: str) -> str:
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _student_page(assignment: Mapping[str, Any], row: Row, book: str | None) -> str:
    title = f"{assignment['title']}: {row.student}"
    parts = [f"<h1>{escape(title)}</h1>"]
    if row.status in _STATUS:
        parts.append(f'<p class="bad">{_STATUS[row.status]}</p>')
    if row.status in ("unreadable", "other assignment"):
        parts.append(f"<p>{escape(row.reason)}</p>")
    if row.status != "failed":
        more = f", and {row.by_hand:g} more are to be marked by hand" if row.by_hand else ""
        parts.append(f"<p><strong>{row.points:g} of {row.max_points:g} points</strong>{more}</p>")
    if row.checks:
        parts += [_exercise(assignment, exercise, row, book) for exercise in assignment["exercises"]]
    if row.notes:
        notes = "".join(f"<li>{escape(note)}</li>" for note in row.notes)
        parts.append(f"<h2>How your notebook was read</h2>\n<ul>{notes}</ul>")
    return _page(title, "\n".join(parts))


def _exercise(assignment: Mapping[str, Any], exercise: Mapping[str, Any], row: Row, book: str | None) -> str:
    details = {check["id"]: check for check in assignment["checks"]}
    checks = [check for check in row.checks if check.exercise == exercise["id"]]
    most = sum(check.max_points for check in checks)
    got = row.exercises.get(exercise["id"], 0.0)
    waiting = bool(checks) and all(check.verdict == BY_HAND for check in checks)
    shown = f"{most:g} points, {BY_HAND}" if waiting else f"{got:g} of {most:g} points"
    parts = [f"<h2>{escape(exercise['title'])}: {shown}</h2>"]
    if not checks:
        return "\n".join([*parts, "<p>No check looks at this exercise.</p>"])
    if all(check.verdict == "unanswered" for check in checks):
        return "\n".join([*parts, "<p>You did not answer this exercise.</p>"])
    if exercise["id"] in row.trouble:
        found = row.trouble[exercise["id"]]
        text = _VERDICTS.get(found.get("verdict", ""), "did not end well")
        parts.append(f'<p class="bad">The cell of your answer {escape(text)}.</p>{_error(found)}')
    items = "".join(_check(check, details.get(check.id, {}), book) for check in checks)
    return "\n".join([*parts, f"<ul>{items}</ul>"])


def _check(check: CheckRow, details: Mapping[str, Any], book: str | None) -> str:
    good, waiting = check.verdict == "right", check.verdict == BY_HAND
    text = _VERDICTS.get(check.verdict, check.verdict)
    tone = "good" if good else "soft" if waiting else "bad"
    head = f'{escape(check.id)}: <span class="{tone}">{escape(text)}</span>'
    head += f' <span class="soft">({check.points:g} of {check.max_points:g})</span>'
    if good or waiting:
        return f"<li>{head}</li>"
    hint = f"<p>{escape(str(details.get('hint', '')))}</p>" if details.get("hint") else ""
    link = _link(str(details.get("link", "")), book)
    return f"<li>{head}{_error(check.problem)}{hint}{link}</li>"


def _error(problem: Mapping[str, Any]) -> str:
    """The error's type and text, and the lines of the student's own code on the way to it."""
    if not problem.get("error"):
        return f'<p class="soft">{escape(problem["message"])}</p>' if problem.get("message") else ""
    text = escape(str(problem["error"]))
    if problem.get("error_text"):
        text += f": {escape(str(problem['error_text']))}"
    lines = "\n".join(
        f"{escape(str(line['exercise']))}, line {line['line']}: {escape(str(line['text']))}"
        for line in problem.get("lines", ())
    )
    shown = (
        f'<pre tabindex="0" aria-label="Your own lines on the way to the error">{lines}</pre>'
        if lines
        else ""
    )
    return f"<p>{text}</p>{shown}"


def _link(target: str, book: str | None) -> str:
    """A link into the book, from a target such as `2_principle/gradient_flow#the-split`."""
    if not target:
        return ""
    page, _, anchor = target.partition("#")
    if book is None:
        where = f"{page}, paragraph {anchor}" if anchor else page
        return f'<p class="soft">Read again in the book: {escape(where)}</p>'
    address = f"{book.rstrip('/')}/chapters/{page}.html" + (f"#{anchor}" if anchor else "")
    if not re.match(r"https?://|[./\w-]", address) or re.match(
        r"(?i)\s*(javascript|data|vbscript):", address
    ):
        return ""
    return f'<p>Read again: <a href="{escape(address)}">{escape(target)}</a></p>'


def _index(assignment: Mapping[str, Any], rows: Sequence[Row], names: Mapping[str, str]) -> str:
    exercises = [exercise["id"] for exercise in assignment["exercises"]]
    head = "".join(
        f'<th scope="col">{escape(t)}</th>' for t in ("student", "status", *exercises, "points", "remarks")
    )
    lines = []
    for row in rows:
        remark = escape("; ".join(([row.reason] if row.reason else []) + row.notes))
        waiting = {check.exercise for check in row.checks if check.verdict == BY_HAND}
        shown = ["by hand" if name in waiting else f"{row.exercises.get(name, 0.0):g}" for name in exercises]
        shown.append(f"{row.points:g} of {row.max_points:g}")
        cells = "".join(f"<td>{'' if row.status == 'failed' else value}</td>" for value in shown)
        link = f'<a href="{escape(names[row.student])}">{escape(row.student)}</a>'
        lines.append(
            f'<tr><th scope="row">{link}</th><td>{escape(row.status)}</td>{cells}<td class="soft">{remark}</td></tr>'
        )
    checks = []
    for identifier, count in _summary(assignment, rows)["checks"].items():
        others = ", ".join(
            f"{verdict}: {number}" for verdict, number in sorted(count.items()) if verdict != "right"
        )
        right = f"{count.get('right', 0)} of {sum(count.values())}"
        checks.append(
            f'<tr><th scope="row">{escape(identifier)}</th><td>{right}</td><td>{escape(others)}</td></tr>'
        )
    said = [*assignment.get("notes", ())]
    if assignment.get("left_out"):
        said.insert(0, f"left out, for they are no submissions: {', '.join(assignment['left_out'])}")
    notes = "".join(f"<li>{escape(note)}</li>" for note in said)
    cages = sorted({row.cage for row in rows})
    title = f"{assignment['title']}: results"
    body = (
        f"<h1>{escape(title)}</h1>\n<p>{len(rows)} students. Cage of the kernels: {escape(', '.join(cages) or 'none')}."
        ' Tables: <a href="grades.csv">grades.csv</a>, <a href="report.csv">report.csv</a>,'
        ' <a href="report.json">report.json</a>.</p>\n'
        '<div class="wide" tabindex="0" role="region" aria-label="Points of each student"><table>'
        f"<caption>Points of each student</caption><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>\n"
        '<h2>Checks</h2>\n<div class="wide" tabindex="0" role="region" aria-label="Verdicts of each check"><table>'
        "<caption>How often each check was right</caption><thead><tr>"
        '<th scope="col">check</th><th scope="col">right</th><th scope="col">other verdicts</th></tr></thead>'
        f"<tbody>{''.join(checks)}</tbody></table></div>"
        + (f"\n<h2>Notes</h2>\n<ul>{notes}</ul>" if notes else "")
    )
    return _page(title, body)
