"""Schedules and the order of images against their definitions; bad settings are named."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from resnetbook.lab.settings import Settings, batches, learning_rate


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
