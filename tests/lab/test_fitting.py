"""Training and measuring one arm: what the experiments on the networks of section 3 share."""

import dataclasses
import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from resnetbook.lab import fitting, training
from resnetbook.lab.data import load, redrawn
from resnetbook.lab.running.experiment import Context

SETTINGS = fitting.Fitting(train_size=100, epochs=3, rates=(1e-6, 0.05), target_loss=1.0, target_accuracy=0.5)


@pytest.fixture(scope="module")
def digits():
    return fitting.images_of(SETTINGS, 0)


@pytest.fixture
def context(tmp_path):
    return Context("cpu", tmp_path / "fit.pt", tuned={"learning_rate": 0.05})


def build(data=None) -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10))


def test_the_set_has_the_size_that_the_settings_ask_for(digits):
    assert len(digits.train.labels) == 100
    assert fitting.images_of(fitting.Fitting(size=6), 0).train.images.shape[-2:] == (6, 6)
    assert fitting.describe(SETTINGS)["name"] == "digits"


def test_a_seed_draws_its_training_images_and_leaves_the_test_images(digits):
    again, other = fitting.images_of(SETTINGS, 0), fitting.images_of(SETTINGS, 1)
    assert torch.equal(digits.train.images, again.train.images)
    assert not torch.equal(digits.train.labels, other.train.labels)
    # Each set is standardised by its own training images; undone, the test images are the same.
    assert torch.allclose(
        digits.unnormalise(digits.test.images), other.unnormalise(other.test.images), atol=1e-5
    )
    assert torch.equal(digits.test.labels, other.test.labels)


def test_no_image_stands_in_two_parts_whatever_the_seed():
    for seed in range(5):
        data = fitting.images_of(fitting.Fitting(), seed)
        raw = {name: {image.numpy().tobytes() for image in (data.unnormalise(part.images) * 16).round()}
               for name, part in data.parts.items()}  # fmt: skip
        assert sum(map(len, raw.values())) == len(set.union(*raw.values())) == 1797
        assert len(data.train) == 1000


def test_the_pool_gives_no_more_than_it_has():
    whole = load("digits", normalise=False)
    assert len(redrawn(whole, 3, train_size=1000).validation) == 200
    assert len(redrawn(whole, 3, train_size=1).train) == 1
    with pytest.raises(ValueError, match="train_size=-1: expected 1 to 1000"):
        redrawn(whole, 3, train_size=-1)
    with pytest.raises(ValueError, match="train_size=1001: expected 1 to 1000"):
        redrawn(whole, 3, train_size=1001)
    with pytest.raises(ValueError, match="standardised already"):
        redrawn(load("digits"), 3)


def test_a_rate_that_learns_scores_lower(context):
    scores = [
        fitting.score(SETTINGS, build, 0, dataclasses.replace(context, tuned={"learning_rate": rate}))
        for rate in (1e-6, 0.05)
    ]
    for name in fitting.READS:
        assert scores[1][name] < scores[0][name] - 0.5
    diverged = fitting.score(SETTINGS, build, 0, dataclasses.replace(context, tuned={"learning_rate": 1e30}))
    assert all(math.isnan(value) for value in diverged.values())


def test_seed_and_rate_decide_the_training_and_the_number_of_rows(digits, tmp_path):
    def same_start(data) -> nn.Module:
        torch.manual_seed(7)
        return build(data)

    def trained(seed: int, rate: float, build=build) -> torch.Tensor:
        context = Context("cpu", tmp_path / "fit.pt", tuned={"learning_rate": rate})
        context.checkpoint_for("validation_loss").unlink(missing_ok=True)
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
    _model, rows = fitting.fit(SETTINGS, build, digits, 0, context)
    assert len(rows) == SETTINGS.epochs
    assert rows[-1] == {}
    found = fitting.trained_metrics(SETTINGS, rows)
    assert math.isnan(found["train_loss"])
    assert (found["epochs_to_loss"], found["epochs_to_loss_reached"]) == (SETTINGS.epochs, 0)


def test_the_metrics_are_those_of_the_trained_network(digits, context):
    model, found = fitting.fit_and_measure(SETTINGS, build, 0, context)
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
    assert float(found["outcomes"]["test_accuracy"].float().mean()) == pytest.approx(found["test_accuracy"])


def test_what_is_read_on_training_images_takes_the_rate_of_the_training_loss(context):
    def measured(train: float, validation: float) -> dict:
        both = {"learning_rate": train, "chosen": {"train_loss": train, "validation_loss": validation}}
        where = dataclasses.replace(
            context, tuned=both, checkpoint=context.checkpoint.with_name(f"{train}-{validation}.pt")
        )
        return fitting.fit_and_measure(SETTINGS, build, 0, where)[1]

    slow, fast, mixed = measured(0.001, 0.001), measured(0.05, 0.05), measured(0.05, 0.001)
    assert (mixed["train_loss"], mixed["train_curve"]) == (fast["train_loss"], fast["train_curve"])
    assert (mixed["test_loss"], mixed["gap"]) == (slow["test_loss"], slow["gap"])
    assert fast["train_loss"] < slow["train_loss"]


@pytest.mark.parametrize(
    ("values", "epoch", "reached"),
    [((2.0, 1.0, 0.5), 2, 1), ((2.0, 1.1, 0.5), 3, 1), ((2.0, 1.5, 1.1), 3, 0)],
)
def test_a_target_is_reached_in_the_first_epoch_at_or_past_it(values, epoch, reached):
    found = fitting.first_epoch("epochs", values, lambda value: value <= 1.0)
    assert found == {"epochs": epoch, "epochs_reached": reached}


def test_the_default_job_trains_the_network_of_its_arm(context):
    made = []

    def network(settings, arm, data):
        made.append((arm, len(data.train)))
        return build()

    found = fitting.experiment("somewhere.named", "A toy", claims=("C99",), network=network, arms=lambda s: ("a",),
                               scales={"quick": SETTINGS})  # fmt: skip
    assert (found.name, found.module, found.claims) == ("named", "somewhere.named", ("C99",))
    assert found.run(SETTINGS, "a", 0, context)["parameters"] == 8 * 9 + 8 + 16 + 288 * 10 + 10
    assert set(found.score(SETTINGS, "a", 1, context)) == set(fitting.READS)
    assert made == [("a", 100)] * 2


def test_training_settings_are_passed_on(monkeypatch):
    asked = []

    def fit(model, *parts, settings, **_):
        asked.append(settings)
        return training.History()

    monkeypatch.setattr(training, "fit", fit)
    settings = fitting.Fitting(epochs=7, batch_size=9, warmup_epochs=2)
    fitting.train(
        nn.Linear(1, 1), load("digits"), settings, rate=0.25, seed=4, schedule="constant", device="cpu"
    )
    (found,) = asked
    assert (found.epochs, found.learning_rate, found.batch_size, found.seed) == (7, 0.25, 9, 4)
    assert (found.warmup_epochs, found.schedule, found.device) == (2, "constant", "cpu")
