"""Training and measuring one arm: what the experiments on the networks of section 3 share."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from resnetbook.lab import fitting
from resnetbook.lab.running.experiment import Context

SETTINGS = fitting.Fitting(train_size=100, epochs=3, rates=(1e-6, 0.05), target_loss=1.0, target_accuracy=0.5)


@pytest.fixture(scope="module")
def digits():
    return fitting.images_of(SETTINGS)


@pytest.fixture
def context(tmp_path):
    return Context("cpu", tmp_path / "fit.pt", tuned={"learning_rate": 0.05})


def build() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10))


def test_the_set_has_the_size_that_the_settings_ask_for(digits):
    assert len(digits.train.labels) == 100
    assert fitting.images_of(fitting.Fitting(size=6)).train.images.shape[-2:] == (6, 6)
    assert fitting.describe(SETTINGS)["name"] == "digits"


def test_the_rate_that_learns_is_chosen(digits, context):
    assert fitting.best_rate(SETTINGS, build, digits, context)["learning_rate"] == 0.05


def test_seed_and_rate_decide_the_training_and_the_number_of_rows(digits, tmp_path):
    def same_start() -> nn.Module:
        torch.manual_seed(7)
        return build()

    def trained(seed: int, rate: float, build=build) -> torch.Tensor:
        context = Context("cpu", tmp_path / "fit.pt", tuned={"learning_rate": rate})
        context.checkpoint.unlink(missing_ok=True)
        model, rows = fitting.fit(SETTINGS, build, digits, seed, context)
        assert [math.isfinite(row["eval_loss"]) for row in rows] == [True] * SETTINGS.epochs
        return nn.utils.parameters_to_vector(model.parameters()).detach()

    first = trained(0, 0.05)
    assert torch.equal(first, trained(0, 0.05))
    assert not torch.equal(first, trained(1, 0.05))
    assert not torch.equal(first, trained(0, 0.02))
    # The order of the images follows the seed too, not the first weights alone.
    assert not torch.equal(trained(0, 0.05, same_start), trained(1, 0.05, same_start))


def test_the_rows_of_a_training_that_diverged_are_filled_up(digits, tmp_path):
    context = Context("cpu", tmp_path / "fit.pt", tuned={"learning_rate": 1e30})
    model, rows = fitting.fit(SETTINGS, build, digits, 0, context)
    assert len(rows) == SETTINGS.epochs
    assert rows[-1] == {}
    found = fitting.measure(SETTINGS, model, rows, digits, context)
    assert math.isnan(found["train_loss"])
    assert found["epochs_to_loss"] == SETTINGS.epochs + 1


def test_the_metrics_are_those_of_the_trained_network(digits, context):
    model, found = fitting.fit_and_measure(SETTINGS, build, digits, 0, context)
    model.eval()
    with torch.no_grad():
        for part, name in ((digits.train, "train"), (digits.test, "test")):
            outputs = model(part.images)
            assert found[f"{name}_loss"] == pytest.approx(
                float(cross_entropy(outputs, part.labels)), rel=1e-4
            )
            share = float((outputs.argmax(1) == part.labels).float().mean())
            assert found[f"{name}_accuracy"] == pytest.approx(share)
    assert found["gap"] == pytest.approx(found["train_accuracy"] - found["test_accuracy"])
    assert found["parameters"] == 8 * 9 + 8 + 16 + 288 * 10 + 10
    assert len(found["train_curve"]) == len(found["validation_curve"]) == SETTINGS.epochs
    assert found["train_curve"][-1] == found["train_loss"]


def test_a_target_is_reached_in_the_first_epoch_at_or_past_it(digits, context):
    rows = [
        {"eval_loss": loss, "eval_accuracy": 0.5, "validation_accuracy": accuracy}
        for loss, accuracy in ((2.0, 0.4), (1.0, 0.49), (0.5, 0.5))
    ]
    found = fitting.measure(SETTINGS, build(), rows, digits, context)
    assert (found["epochs_to_loss"], found["epochs_to_accuracy"]) == (2, 3)
    assert found["gap"] == pytest.approx(0.5 - found["test_accuracy"])
