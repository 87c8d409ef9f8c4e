"""Equal sizes of the arms of C30, and the test loss at equal training loss on curves whose answer is known."""

import pytest
import torch

from resnetbook.experiments.timeline import dense_overfitting
from resnetbook.lab import measuring, training
from resnetbook.lab.data import ImageSet, Part
from resnetbook.lab.equal_fit import EachLoss, at_equal_fit

QUICK, FULL = (dense_overfitting.EXPERIMENT.scales[scale] for scale in ("quick", "full"))


def noise(channels: int = 1) -> ImageSet:
    part = Part(torch.randn(12, channels, 8, 8), torch.arange(12) % 10)
    return ImageSet("noise", part, part, part, tuple(map(str, range(10))), "", "", "", "")


@pytest.mark.parametrize(("settings", "channels"), [(QUICK, 1), (FULL, 3)])
def test_parameters_are_equal_within_two_per_cent(settings, channels):
    data = noise(channels)
    sizes = [
        sum(p.numel() for p in dense_overfitting.network(settings, arm, data).parameters())
        for arm in dense_overfitting.arms(settings)
    ]
    assert max(sizes) <= 1.02 * min(sizes)


def test_arms_differ_in_the_number_of_images():
    sizes = [dense_overfitting.with_images(QUICK, arm).train_size for arm in dense_overfitting.arms(QUICK)]
    assert sizes == [100] * 3 + [300] * 3


def rows(*pairs):
    return [{"eval_loss": loss, "test_losses": torch.tensor([test, 2 * test])} for loss, test in pairs]


def test_the_test_loss_is_read_where_the_training_loss_is_equal():
    """Two trainings on one line of test loss over training loss, at other epochs: equal; on a higher line: higher."""
    line = lambda losses, height=0.0: rows(*((loss, height + 0.5 + loss) for loss in losses))  # noqa: E731
    slow, quick = (at_equal_fit(line(losses), 0.3) for losses in ((1.0, 0.8, 0.5, 0.2), (0.9, 0.05)))
    assert slow[1]
    assert quick[1]
    assert torch.allclose(slow[0], torch.tensor([0.8, 1.6]))
    assert torch.allclose(quick[0], slow[0])
    assert torch.allclose(at_equal_fit(line((1.0, 0.1), height=1.0), 0.3)[0], torch.tensor([1.8, 3.6]))


def test_a_first_epoch_below_the_target_and_a_target_out_of_reach():
    assert torch.equal(at_equal_fit(rows((0.1, 0.7), (0.05, 0.9)), 0.3)[0], torch.tensor([0.7, 1.4]))
    losses, reached = at_equal_fit([*rows((0.9, 1.0), (0.5, 0.8)), {}], 0.3)
    assert torch.equal(losses, torch.tensor([0.8, 1.6]))
    assert not reached


def test_rows_hold_the_loss_of_each_test_image():
    data, row = noise(), {}
    model = dense_overfitting.network(QUICK, "resnet-few", data)
    EachLoss(data.test).on_epoch_end(0, model, row)
    assert row["test_losses"].shape == (12,)
    assert float(row["test_losses"].mean()) == pytest.approx(
        training.evaluate(model, data.test, device="cpu")["loss"], rel=1e-5
    )
    assert torch.equal(row["test_losses"], measuring.losses(model, data.test.images, data.test.labels))
