"""Schedules and the order of images against their definitions; bad settings are named."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from resnetbook.lab.settings import Settings, batches, device, generator, learning_rate


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs=0: expected a number of at least 1"),
        ({"learning_rate": math.nan}, "learning_rate=nan"),
        ({"schedule": "linear"}, "schedule='linear': expected one of constant, step, cosine"),
        ({"precision": "16"}, "precision='16'"),
        ({"milestones": (0.9, 0.1)}, "milestones=.*rising"),
        ({"warmup_epochs": 4}, "warmup_epochs=4: expected a number of at least 0 and at most 3"),
        ({"clip": 0.0}, "clip=0.0"),
        ({"device": "tpu"}, "device='tpu'"),
    ],
)
def test_bad_settings_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        Settings(**{"epochs": 3, **changes})


@pytest.mark.parametrize(
    ("name", "allowed", "refused"),
    [
        ("epochs", [1, 500], [0, math.inf]),
        ("batch_size", [1, 10_000], [0]),
        ("learning_rate", [0.0, 1e-9, 100.0], [-1e-9, math.inf, math.nan]),
        ("momentum", [0.0, 0.9, 1.0], [-0.01, 1.01]),
        ("weight_decay", [0.0, 1.0], [-1e-9]),
        ("warmup_epochs", [0, 8], [-1, 9]),  # of 8 epochs
        ("seed", [0, 2**63 - 1], [-1, 2**63]),
        ("devices", [1, 8], [0]),
        ("nodes", [1, 2], [0]),
        ("milestones", [(), (0.0, 1.0), (0.5, 0.5)], [(-0.01,), (1.01,), (0.6, 0.5)]),
        ("clip", [None, 1e-9, 5], [0, -1.0, math.nan]),
        ("schedule", ["constant", "step", "cosine"], ["Step"]),
        ("optimizer", ["sgd", "adamw"], ["adam"]),
        ("precision", ["32-true", "bf16-mixed"], ["64-true"]),
        ("device", ["auto", "cpu", "cuda", "mps"], [""]),
        ("strategy", ["auto", "ddp", "ddp_spawn", "ddp_fork", "ddp_notebook"], ["dp"]),
    ],
)
def test_the_ends_of_each_setting(name, allowed, refused):
    for value in allowed:
        assert getattr(Settings(**{name: value}), name) == value
    for value in refused:
        with pytest.raises(ValueError, match=rf"^{name}="):
            Settings(**{name: value})


def test_what_a_training_does_when_nothing_is_said():
    """Records name only what they changed: these values are part of each of them."""
    assert dataclasses.asdict(Settings()) == {
        "epochs": 8, "batch_size": 64, "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 1e-4, "schedule": "step",
        "milestones": (0.5, 0.75), "warmup_epochs": 0, "clip": None, "precision": "32-true", "seed": 0, "device": "auto",
        "devices": 1, "nodes": 1, "strategy": "auto", "optimizer": "sgd",
    }  # fmt: skip
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().epochs = 9  # type: ignore[misc]


def test_a_device_is_one_of_this_machine(monkeypatch):
    for cuda, mps in itertools.product([False, True], repeat=2):
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda mps=mps: mps)
        assert device("auto") == device() == torch.device("cuda" if cuda else "cpu")
        assert device("cpu") == torch.device("cpu")
        for name, there in (("cuda", cuda), ("mps", mps)):
            if there:
                assert device(name) == torch.device(name)
            else:
                with pytest.raises(ValueError, match=f"device='{name}': this machine has no such device"):
                    device(name)
    with pytest.raises(ValueError, match="device='tpu': expected one of auto, cpu, cuda, mps"):
        device("tpu")


def test_the_draws_follow_from_seed_epoch_and_stream():
    """The formula is a promise to every checkpoint."""
    for numbers in ((0, 0), (7, 3), (7, 3, 2)):
        mixed = np.random.SeedSequence([*numbers, 0][:3]).generate_state(1, np.uint64)[0]
        assert generator(*numbers).initial_seed() == int(mixed) // 2
    order = torch.randperm(10, generator=generator(5, 6))
    assert torch.equal(torch.cat(batches(10, 4, seed=5, epoch=6)), order)


@given(st.integers(1, 60), st.integers(1, 20))
@examples(max_examples=60, deadline=None)
def test_a_last_batch_is_joined_where_it_is_smaller_and_not_alone(count, size):
    apart = [len(batch) for batch in batches(count, size, seed=0, epoch=0)]
    joined = [len(batch) for batch in batches(count, size, seed=0, epoch=0, join_last=True)]
    if count % size == 0 or count < size:
        assert joined == apart
    else:
        assert joined == [*apart[:-2], size + count % size]
    order = torch.cat(batches(count, size, seed=0, epoch=0))
    assert torch.equal(torch.cat(batches(count, size, seed=0, epoch=0, join_last=True)), order)


SETTINGS = st.builds(
    Settings,
    epochs=st.integers(4, 40),
    learning_rate=st.floats(1e-4, 10),
    schedule=st.sampled_from(["constant", "step", "cosine"]),
    milestones=st.lists(st.floats(0, 1), max_size=3).map(lambda m: tuple(sorted(m))),
    warmup_epochs=st.integers(0, 4),
)


@given(SETTINGS, st.integers(1, 30))
@examples(max_examples=60, deadline=None)
def test_schedules_rise_to_the_peak_and_never_again(settings, steps):
    rates = [learning_rate(settings, step, steps) for step in range(settings.epochs * steps)]
    warmup, peak = settings.warmup_epochs * steps, settings.learning_rate
    assert all(0 < rate <= peak for rate in rates)
    assert rates[:warmup] == [peak * ((k + 1) / warmup) for k in range(warmup)]
    after = rates[warmup:]
    assert after == sorted(after, reverse=True)
    if settings.schedule == "constant":
        assert set(after) <= {peak}
    if settings.schedule == "step":
        for epoch in range(settings.warmup_epochs, settings.epochs):
            drops = sum(round(m * settings.epochs) <= epoch for m in settings.milestones)
            assert rates[epoch * steps : (epoch + 1) * steps] == pytest.approx([peak * 10.0**-drops] * steps)
    if settings.schedule == "cosine" and after:
        assert after[0] == peak
        assert learning_rate(settings, settings.epochs * steps, steps) == pytest.approx(0, abs=peak * 1e-15)
        half = warmup + (settings.epochs * steps - warmup) / 2
        if half == int(half):
            assert learning_rate(settings, int(half), steps) == pytest.approx(peak / 2)


@given(st.integers(1, 200), st.integers(1, 70), st.integers(0, 2**63 - 1), st.integers(0, 300))
@examples(max_examples=40, deadline=None)
def test_each_epoch_sees_each_image_once_in_an_order_of_its_own(count, size, seed, epoch):
    order = torch.cat(batches(count, size, seed=seed, epoch=epoch))
    assert sorted(order.tolist()) == list(range(count))
    assert torch.equal(order, torch.cat(batches(count, size, seed=seed, epoch=epoch)))
    if count > 30:
        assert not torch.equal(order, torch.cat(batches(count, size, seed=seed, epoch=epoch + 1)))
