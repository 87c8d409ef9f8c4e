"""Statistics estimated anew are those of the training images, and training does not notice."""

import pytest
import torch
from torch import nn

from resnetbook.lab import fitting, measuring, normalisation
from resnetbook.lab.normalisation import FreshStatistics
from resnetbook.lab.running import Context

SETTINGS = fitting.Fitting(train_size=100, epochs=2, batch_size=50)


def trained(callbacks=()):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10))
    data = fitting.images_of(SETTINGS, 0)
    fitting.train(model, data, SETTINGS, rate=0.1, seed=0, device="cpu", callbacks=callbacks(data))
    return model, data


def test_they_are_those_of_the_training_images():
    model, data = trained(lambda data: [FreshStatistics(data, 2)])
    seen = model[0](data.train.images).detach()
    torch.testing.assert_close(model[1].running_mean, seen.mean((0, 2, 3)), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(model[1].running_var, seen.var((0, 2, 3)), atol=1e-5, rtol=1e-4)
    assert model[1].momentum == 0.1
    model.eval()
    with measuring.batch_statistics(model):
        with_batch = model(data.train.images)
    model.eval()
    assert (model(data.train.images) - with_batch).abs().max() < 0.02


def test_training_does_not_notice():
    ours, without = (trained(lambda data, n=n: [FreshStatistics(data, n)])[0] for n in (2, 10**6))
    for first, second in zip(ours.parameters(), without.parameters(), strict=True):
        assert torch.equal(first, second)
    assert not torch.allclose(ours[1].running_mean, without[1].running_mean, atol=1e-4)


def test_no_estimate_between_the_epochs():
    data = fitting.images_of(SETTINGS, 0)
    model = nn.Sequential(nn.BatchNorm2d(1))
    looking = FreshStatistics(data, 3)
    for step, expected in ((0, 0.0), (1, 0.0), (2, float(data.train.images.mean()))):
        model[0].running_mean.zero_()
        nn.init.zeros_(model[0].running_mean)
        looking.images = data.train.images + 1
        looking.on_step_end(step, model, torch.zeros(()))
        assert float(model[0].running_mean) == pytest.approx(expected + (step == 2), abs=1e-5)


def network(settings, arm, data):
    return nn.Sequential(
        nn.Conv2d(1, int(arm), 3),
        nn.BatchNorm2d(int(arm)),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(36 * int(arm), 10),
    )


def test_an_arm_is_measured_with_them_or_with_its_running_averages(tmp_path):
    def build(data):
        return network(SETTINGS, "8", data)

    def job(name):
        return SETTINGS, build, 3, Context("cpu", tmp_path / f"{name}.pt", tuned={"learning_rate": 0.05})

    def arm(name):
        return network, SETTINGS, "8", 3, job(name)[3]

    plain, its = fitting.fit_and_measure(*job("plain"))
    model, found = normalisation.fit_and_measure(*arm("anew"))
    kept, own = normalisation.fit_and_measure(*arm("kept"), anew=False)
    assert {**own, "outcomes": 0} == {**its, "outcomes": 0}
    assert own["outcomes"]["test_accuracy"].equal(its["outcomes"]["test_accuracy"])
    assert torch.equal(kept[1].running_mean, plain[1].running_mean)
    seen = model[0](fitting.images_of(SETTINGS, 3).train.images).detach()
    torch.testing.assert_close(model[1].running_mean, seen.mean((0, 2, 3)), atol=1e-5, rtol=1e-4)
    assert found["train_loss"] != its["train_loss"]
    scores = normalisation.score(*arm("score")), normalisation.score(*arm("score"), anew=False)
    assert scores[1] == fitting.score(*job("score")) != scores[0]
    assert scores[0]["train_loss"] == pytest.approx(found["train_loss"])
