"""Stochastic depth: equal starts, a time that is one for the whole network, and losses that are what they say."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

from resnetbook.experiments.timeline import dropped_layers
from resnetbook.lab import fitting, measuring, training
from resnetbook.lab.running import Context

SETTINGS = replace(
    dropped_layers.EXPERIMENT.scales["live"], epochs=1, train_size=60, batch_size=20, widths=(2, 4, 8)
)


def job(arm, folder, settings=SETTINGS):
    context = Context("cpu", folder / "fit.pt", tuned={"learning_rate": 0.05})
    context.checkpoint_for("validation_loss").unlink(missing_ok=True)
    return dropped_layers.run(settings, arm, 0, context)


def test_arms_start_alike():
    data, states = fitting.images_of(SETTINGS, 0), []
    for arm in dropped_layers.arms(SETTINGS):
        training.seed_everything(3)
        states.append(dropped_layers.network(SETTINGS, arm, data).state_dict())
    assert len(states) == 3
    assert all(torch.equal(states[0][k], state[k]) for state in states for k in states[0])


def test_time_to_the_target_is_counted_in_steps_of_the_whole_network(tmp_path, monkeypatch):
    monkeypatch.setattr(measuring, "seconds_per_step", lambda models, *rest: [2.0, 1.5])
    whole, dropped = (job(f"survival-{p}", tmp_path) for p in ("1", "0.5"))
    assert (whole["step_ratio"], dropped["step_ratio"]) == (1.0, 0.75)
    assert dropped["relative_time"] == 0.75 * dropped["epochs_to_accuracy"] > 0
    assert dropped["relative_time_reached"] == dropped["epochs_to_accuracy_reached"] == 0
    # Three blocks: 1 - 1/6, 1 - 2/6, 1 - 3/6.
    assert dropped["blocks_computed"] == pytest.approx(2 / 3)
    assert whole["blocks_computed"] == 1


def test_the_loss_in_training_mode_has_blocks_missing(tmp_path):
    settings = replace(SETTINGS, epochs=4)
    whole, dropped = (job(f"survival-{p}", tmp_path, settings) for p in ("1", "0.5"))
    assert dropped["loss_in_training_mode"] != pytest.approx(dropped["loss_in_eval_mode"], rel=1e-3)
    assert whole["loss_in_eval_mode"] == pytest.approx(whole["train_loss"], rel=1e-4)
    outcomes = dropped["outcomes"]["test_loss"]
    assert len(outcomes) == len(fitting.images_of(settings, 0).test)
    assert float(outcomes.mean()) == pytest.approx(dropped["test_loss"])


def test_losses_are_those_of_each_image():
    data = fitting.images_of(SETTINGS, 0)
    training.seed_everything(1)
    model = dropped_layers.network(SETTINGS, "survival-0.5", data)
    found = measuring.losses(model, data.test.images, data.test.labels)
    assert model.training
    model.eval()
    expected = [
        cross_entropy(model(data.test.images[i : i + 1]), data.test.labels[i : i + 1]).item() for i in (0, 5)
    ]
    assert found[[0, 5]].tolist() == pytest.approx(expected, rel=1e-4)
