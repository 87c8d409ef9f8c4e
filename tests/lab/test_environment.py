"""`lab.running.environment` and `lab._fabric`: what a record says of its machine, and settings that are put back."""

import json
import logging
import subprocess
from pathlib import Path

import pytest
import torch

from resnetbook.lab import _fabric
from resnetbook.lab.running import environment as _environment


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=n", "-c", "user.email=n@example.org")
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_commit_is_dirty_for_code_and_not_for_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "src" / "resnetbook" / "__init__.py"
    package.parent.mkdir(parents=True)
    package.write_text("")
    monkeypatch.setattr(_environment.resnetbook, "__file__", str(package))
    assert _environment.commit() == "unknown"
    git(tmp_path, "init", "-q")
    assert _environment.commit() == "unknown", "a repository without a commit"
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "one")
    head = git(tmp_path, "rev-parse", "--short=12", "HEAD")
    assert _environment.commit() == head
    (tmp_path / "record.json").write_text("{}")
    assert _environment.commit() == head, "a new record does not make the code dirty"
    package.write_text("x = 1")
    assert _environment.commit() == head + "-dirty"


def test_the_description_is_plain_and_names_no_path() -> None:
    found = _environment.describe("cpu", workers=2, code="abc")
    assert json.loads(json.dumps(found)) == found
    assert found["torch"] == torch.__version__.partition("+")[0] or found["torch"] == torch.__version__
    assert (found["workers"], found["code"], found["threads"]) == (2, "abc", 1)
    assert str(Path.home()) not in json.dumps(found)


def test_peak_memory_grows_with_what_is_held() -> None:
    before = _environment.peak_memory_mb("cpu")
    held = torch.ones(before_bytes := int((before + 80) * 250_000))
    assert _environment.peak_memory_mb("cpu") >= held.numel() * 4 / 1e6
    assert before_bytes > 0


def test_quiet_and_deterministic_put_back_what_they_change() -> None:
    logger, cudnn = logging.getLogger("lightning_fabric"), torch.backends.cudnn
    before = logger.level, cudnn.deterministic, cudnn.benchmark

    def fail_inside() -> None:
        with _fabric.quiet(), _fabric.deterministic():
            assert logger.level == logging.ERROR
            assert (cudnn.deterministic, cudnn.benchmark) == (True, False)
            raise KeyError

    with pytest.raises(KeyError):
        fail_inside()
    assert (logger.level, cudnn.deterministic, cudnn.benchmark) == before


def test_no_bar_is_drawn_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    for progress in (True, False):
        with _fabric.bar(progress, 3) as drawn:
            drawn.update(3)
    assert capsys.readouterr().err == ""
