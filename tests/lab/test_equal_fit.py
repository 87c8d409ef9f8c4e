"""The test loss at equal training loss, on curves whose answer is known."""

import pytest
import torch
from torch import nn

from resnetbook.lab import measuring, training
from resnetbook.lab.data import Part
from resnetbook.lab.equal_fit import EachLoss, at_equal_fit


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


def test_the_first_epoch_at_the_target_counts_and_none_behind_it():
    losses, reached = at_equal_fit(rows((0.5, 0.9), (0.25, 0.7), (0.75, 5.0), (0.125, 9.0)), 0.25)
    assert torch.equal(losses, torch.tensor([0.7, 1.4]))
    assert reached


def test_rows_hold_the_loss_of_each_test_image():
    torch.manual_seed(0)
    part, row = Part(torch.randn(12, 1, 4, 4), torch.arange(12) % 3), {}
    model = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(16, 3))
    EachLoss(part).on_epoch_end(0, model, row)
    assert row["test_losses"].shape == (12,)
    assert float(row["test_losses"].mean()) == pytest.approx(
        training.evaluate(model, part, device="cpu")["loss"], rel=1e-5
    )
    assert torch.equal(row["test_losses"], measuring.losses(model, part.images, part.labels))
