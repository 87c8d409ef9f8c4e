"""A ladder ends where a network reaches the target on validation images, and what stands there is that network's cost."""

from dataclasses import replace

import pytest
import torch

from resnetbook.experiments.timeline import dense_efficiency
from resnetbook.lab import fitting, measuring
from resnetbook.lab.running import Context

SETTINGS = replace(
    dense_efficiency.EXPERIMENT.scales["live"],
    train_size=40,
    batch_size=20,
    resnet_widths=(2, 3, 4),
    growth_rates=(12,),  # an end that is dearer than that of ResNet
    targets=(0.5, 0.8),
)


def climbed(tmp_path, monkeypatch, on_validation, on_test=0.99):
    """Run the ladder of ResNet with accuracies that are given by width."""
    tried = []
    data = fitting.images_of(SETTINGS, 0)

    def accuracy(model, images, labels):
        assert len(images) == len(data.validation)
        tried.append(model.conv1.out_channels)
        return on_validation[tried[-1]]

    monkeypatch.setattr(fitting, "train", lambda *args, **more: None)
    monkeypatch.setattr(measuring, "accuracy", accuracy)
    monkeypatch.setattr(measuring, "mode_gap", lambda *args: 0.0)
    monkeypatch.setattr(measuring, "right", lambda model, images, labels: torch.rand(len(images)) < on_test)
    monkeypatch.setattr(dense_efficiency, "seconds_per_step", lambda models, *rest: [1.0] * len(models))
    context = Context("cpu", tmp_path / "fit.pt", tuned={"learning_rate": 0.1})
    return tried, dense_efficiency.run(SETTINGS, "resnet", 0, context)


def parameters(width):
    data = fitting.images_of(SETTINGS, 0)
    return sum(p.numel() for p in dense_efficiency.of_size(SETTINGS, "resnet", width, data).parameters())


def test_the_first_network_at_the_target_stands_and_none_is_tried_beyond(tmp_path, monkeypatch):
    tried, found = climbed(tmp_path, monkeypatch, {2: 0.6, 3: 0.85, 4: 0.9})
    assert tried == [2, 3]
    assert found["parameters_lower"] == parameters(2) < found["parameters_higher"] == parameters(3)
    assert found["parameters_higher_reached"] == found["time_lower_reached"] == 1
    assert found["sizes"] == [parameters(2), parameters(3)]


def test_test_images_choose_nothing_and_a_target_that_is_missed_counts_alike_for_all(tmp_path, monkeypatch):
    tried, found = climbed(tmp_path, monkeypatch, {2: 0.4, 3: 0.6, 4: 0.7}, on_test=1.0)
    assert tried == [2, 3, 4]
    data = fitting.images_of(SETTINGS, 0)
    ends = [
        dense_efficiency.of_size(SETTINGS, arm, dense_efficiency.ladder(SETTINGS, arm)[-1], data)
        for arm in dense_efficiency.arms(SETTINGS)
    ]
    dearest = max(sum(p.numel() for p in end.parameters()) for end in ends)
    assert found["parameters_higher"] == dearest > parameters(4)
    assert found["parameters_higher_reached"] == found["memory_higher_reached"] == 0
    assert found["parameters_lower_reached"] == 1
    assert found["accuracy_higher"] == 1.0
    assert found["outcomes"]["accuracy_higher"].float().mean() == 1


@pytest.mark.parametrize("arm", dense_efficiency.arms(SETTINGS))
def test_the_frugal_form_is_the_same_network(arm):
    data = fitting.images_of(SETTINGS, 0)
    nets = []
    for frugal in (False, True):
        torch.manual_seed(0)
        nets.append(dense_efficiency.of_size(SETTINGS, arm, 3, data, frugal).train())
    outputs = [net(data.test.images[:5]) for net in nets]
    assert torch.allclose(*outputs, atol=1e-5)


def test_the_rate_is_chosen_for_the_middle_of_the_ladder():
    settings, data = dense_efficiency.Settings(), fitting.images_of(SETTINGS, 0)
    for arm in dense_efficiency.arms(settings):
        middle = dense_efficiency.of_size(settings, arm, 6, data)
        found = dense_efficiency.network(settings, arm, data)
        assert [p.shape for p in found.parameters()] == [p.shape for p in middle.parameters()]
