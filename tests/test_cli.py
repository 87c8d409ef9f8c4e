"""The command: what it prints, what it refuses in one line, and that its light parts stay light."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import resnetbook
from resnetbook import cli
from resnetbook.lab import results

LIGHT = """
import contextlib, io, sys
from resnetbook import cli
with contextlib.redirect_stdout(io.StringIO()):
    try:
        status = cli.main({arguments!r})
    except SystemExit as end:
        status = end.code
heavy = {{"torch", "numpy", "scipy", "matplotlib", "sklearn"}} & set(sys.modules)
sys.exit(f"status {{status}}, loaded {{heavy}}" if status or heavy else 0)
"""


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"], ["methods"]])
def test_help_and_the_survey_load_nothing_heavy(arguments):
    code = LIGHT.format(arguments=arguments)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_installed_command_is_this_one():
    command = Path(sys.executable).with_name("resnetbook")
    done = subprocess.run([str(command), "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"resnetbook {resnetbook.__version__}"


def test_methods_prints_every_row_of_the_survey_with_its_status(capsys):
    from resnetbook import survey

    assert cli.main(["methods"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 81 + 2
    for method, line in zip(survey.methods(), lines[1:], strict=False):
        assert line.split()[1:3] == [method.id, method.status]
        assert method.chinese in line
    built = sum(method.status == "built" for method in survey.methods())
    assert lines[-1] == f"81 methods, {built} built"


def test_experiments_lists_claims_scales_and_records(capsys, tmp_path, monkeypatch):
    record = results.Record("degradation", "digits", "quick", {}, (0,), {"a": {"m": [1.0]}})
    results.write(record, tmp_path / "degradation-digits.quick.json")
    monkeypatch.setattr(results, "_folders", lambda chosen: [tmp_path])
    assert cli.main(["experiments"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "C03" in lines["degradation"]
    assert "live quick full" in lines["degradation"]
    assert "quick (digits)" in lines["degradation"]
    assert "not run yet" in lines["growth"]


def test_run_passes_its_options_and_prints_path_and_table(capsys, tmp_path, monkeypatch):
    from resnetbook import experiments

    table = {
        "plain-20": {"loss": [1.0, 2.0, 3.0], "curve": [[1.0]] * 3},
        "residual-20": {"loss": [0.5, 0.5, 0.5]},
    }
    record = results.Record(
        "toy", "digits", "quick", {}, (0, 1, 2), table, data={"name": "digits"}, environment={"device": "a CPU"},
        created="2026-01-02T00:00:00Z",
    )  # fmt: skip
    path = results.write(record, tmp_path / "toy-digits.quick.json")
    calls = []
    monkeypatch.setattr(experiments, "run", lambda name, **how: calls.append((name, how)) or path)
    words = "run toy --scale full --seeds 3 --device cpu --workers 2 --set epochs=3 --set depths=8,20 --force"
    assert cli.main(words.split()) == 0
    ((name, how),) = calls
    assert name == "toy"
    assert how["changes"] == {"epochs": "3", "depths": "8,20"}
    assert (how["scale"], how["seeds"], how["device"], how["workers"], how["force"]) == (
        "full",
        3,
        "cpu",
        2,
        True,
    )
    out = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert out[0] == [str(path)]
    assert " ".join(out[1]) == "3 seeds, digits, scale quick, a CPU, 2026-01-02"
    # t(0.975; 2) / sqrt(3) = 2.484
    assert out[3] == ["plain-20", "loss", "2", "-0.484138", "to", "4.48414"]
    assert out[4] == ["residual-20", "loss", "0.5", "0.5", "to", "0.5"]
    assert len(out) == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("run degradatoin", "experiment='degradatoin': expected one of"),
        ("run degradation --set depths=deep", "depths='deep': expected a list with commas"),
        ("run degradation --set depths", "--set 'depths': expected FIELD=VALUE"),
        ("run degradation --set deep=1", "unknown setting 'deep': expected one of data"),
        ("run degradation --seeds 0", "seeds=0"),
        ("data fetch imagenet", "imagenet"),
    ],
)
def test_errors_are_one_line_and_status_2(capsys, arguments, message):
    assert cli.main(arguments.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith(f"resnetbook {arguments.split()[0]}: ")
    assert message in err


def test_an_interrupt_says_that_the_run_goes_on(capsys, monkeypatch):
    from resnetbook import experiments

    def interrupted(name, **how):
        raise KeyboardInterrupt

    monkeypatch.setattr(experiments, "run", interrupted)
    assert cli.main(["run", "degradation"]) == 130
    assert capsys.readouterr().err == "resnetbook run: interrupted; the same command goes on from here\n"


def test_data_lists_each_card_and_whether_it_is_here(capsys):
    from resnetbook.lab import data

    assert cli.main(["data", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.split()[0] for line in lines] == [card.name for card in data.cards()]
    for line, card in zip(lines, data.cards(), strict=True):
        assert line.split()[1] == ("yes" if data.available(card.name) else "no")


def test_grading_commands_pass_their_options(capsys, tmp_path, monkeypatch):
    calls = []

    def grade(*given, **how):
        calls.append((given, how))
        return ["row", "row"]

    grading = SimpleNamespace(
        release=lambda *given: calls.append(given),
        grade=grade,
        report=lambda folder, book: folder / f"{book}.html",
    )
    monkeypatch.setattr(cli, "_grading", lambda: grading)
    secret = tmp_path / "secret"
    secret.write_bytes(b"hush")
    assert cli.main(["release", "master.ipynb", "-o", "student.ipynb"]) == 0
    assert calls.pop() == (Path("master.ipynb"), Path("student.ipynb"))
    words = ["grade", "m.ipynb", "a.ipynb", "b", "-o", "out", "--workers", "2", "--secret", str(secret)]
    assert cli.main(words) == 0
    ((given, how),) = calls
    assert given == (Path("m.ipynb"), [Path("a.ipynb"), Path("b")], Path("out"))
    assert how == {"workers": 2, "secret": b"hush", "progress": None}
    assert cli.main(["report", "out", "--book", "b"]) == 0
    out = capsys.readouterr().out
    assert "2 submissions graded" in out
    assert out.splitlines()[-1] == str(Path("out/b.html"))


def test_a_chinese_character_takes_two_places():
    assert cli._width("残差块") == 6
    assert cli._width("ResNet") == 6
