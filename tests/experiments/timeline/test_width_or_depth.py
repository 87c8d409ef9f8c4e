"""A wide and a deep network of equal parameters, at every scale and on every set."""

import pytest
import torch

from resnetbook.experiments.timeline import width_or_depth
from resnetbook.lab import fitting, targets
from resnetbook.lab.running import Context

EXPERIMENT = width_or_depth.EXPERIMENT
STANDARD = [*EXPERIMENT.scales.values(), *EXPERIMENT.variants["quick"]]


class Shape:
    """Channels and classes of a set."""

    def __init__(self, channels, classes):
        self.shape, self.classes = (channels, 8, 8), tuple(range(classes))


@pytest.mark.parametrize("settings", STANDARD)
@pytest.mark.parametrize("shape", [Shape(1, 10), Shape(1, 2), Shape(3, 10)])
def test_parameters_are_equal_within_three_percent(settings, shape):
    with torch.device("meta"):
        wide, deep = (
            sum(p.numel() for p in width_or_depth.network(settings, arm, shape).parameters())
            for arm in ("wide", "deep")
        )
    assert wide == pytest.approx(deep, rel=0.03)


def test_each_arm_gets_its_own_seconds_and_the_seconds_to_the_target_are_epochs_times_those(
    monkeypatch, tmp_path
):
    settings = width_or_depth.Settings(
        epochs=1, train_size=60, batch_size=30, widths=(2, 4, 8), deep=(22, 1), target_share=1e9
    )
    asked = []

    def seconds_of(models, settings, data, device, which):
        asked.append([sum(p.numel() for p in net.parameters()) for net in models])
        return (2.0, 4.0) if which == 0 else (3.0, 6.0)

    monkeypatch.setattr(targets, "seconds_of", seconds_of)
    for arm, step in (("wide", 2.0), ("deep", 3.0)):
        context = Context("cpu", tmp_path / f"{arm}.pt", tuned={"learning_rate": 0.05})
        found = width_or_depth.run(settings, arm, 0, context)
        assert found["seconds_per_step"] == step
        assert found["images_per_second"] == pytest.approx(30 / step)
        assert found["multiplications_per_second"] == pytest.approx(30 / step * found["multiplications"])
        assert found["seconds_to_loss"] == pytest.approx(found["epochs_to_loss"] * 2 * step)
    assert asked[0] == asked[1]


def test_the_pool_of_validation_images_is_cut_and_the_test_images_stay():
    settings = width_or_depth.Settings(validation_size=50)
    first, other = (fitting.images_of(settings, seed) for seed in (0, 1))
    assert len(first.validation) == 50
    assert len(first.train) == 300
    assert torch.equal(first.test.labels, other.test.labels)
    assert len(first.test) == 597
