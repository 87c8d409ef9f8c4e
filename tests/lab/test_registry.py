"""Experiments are found by name, their settings read from text, and their code hashed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from resnetbook.experiments import experiment, experiments
from resnetbook.lab.running import Context, Experiment, code_hash


@dataclass(frozen=True)
class Settings:
    data: str = "noise"
    depths: tuple[int, ...] = (1, 2)
    epochs: int = 4
    rate: float = 0.1
    wide: bool = False
    clip: float | None = None
    kind: Literal["a", "b"] = "a"


TOY = Experiment("toy", "A toy", (), {"quick": Settings()}, lambda settings: [], lambda *job: {})


def test_unknown_names_list_what_exists():
    with pytest.raises(ValueError, match=r"experiment='degradatoin': expected one of .*degradation"):
        experiment("degradatoin")
    with pytest.raises(ValueError, match=r"experiment='_runner'"):
        experiment("_runner")


def test_every_experiment_of_the_book_is_found_and_complete():
    found = experiments()
    assert "degradation" in [item.name for item in found]
    for item in found:
        assert experiment(item.name) is item
        assert "quick" in item.scales
        for scale in item.scales:
            arms = list(item.arms(item.settings(scale)))
            assert arms
            assert len(set(arms)) == len(arms)
        assert len(code_hash(item)) == 64


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("epochs", "7", 7), ("rate", "1e-3", 0.001), ("wide", "yes", True), ("depths", "(3, 5)", (3, 5)),
        ("depths", "8", (8,)), ("clip", "none", None), ("clip", "0.5", 0.5), ("kind", "b", "b"), ("data", "wbc", "wbc"),
    ],
)  # fmt: skip
def test_settings_are_read_as_their_type(field, text, value):
    changed = TOY.settings("quick", {field: text})
    assert getattr(changed, field) == value
    assert type(getattr(changed, field)) is type(value)


@pytest.mark.parametrize(
    ("field", "text", "message"),
    [
        ("epochs", "7.5", "epochs='7.5': expected a whole number"),
        ("rate", "fast", "rate='fast': expected a number"),
        ("wide", "maybe", "wide='maybe': expected true or false"),
        (
            "depths",
            "8,x",
            "depths='8,x': expected a list with commas, any number of values, each a whole number",
        ),
        ("clip", "x", "clip='x': expected a number or none"),
        ("kind", "c", "kind='c': expected one of a, b"),
        (
            "depth",
            "8",
            "unknown setting 'depth': expected one of data, depths, epochs, rate, wide, clip, kind",
        ),
    ],
)
def test_bad_settings_name_the_field_and_what_is_allowed(field, text, message):
    with pytest.raises(ValueError, match=message):
        TOY.settings("quick", {field: text})


def test_each_training_of_a_job_has_a_checkpoint_of_its_own():
    context = Context("cpu", Path("checkpoints/net-1.0.pt"))
    assert context.checkpoint_for("first") == Path("checkpoints/net-1.0.first.pt")
