"""Metrics against scikit-learn's and against their definitions."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from torch import nn

from resnetbook.lab.evaluation import Predictions, metrics, predict


def draw(seed: int, count: int, classes: int) -> Predictions:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (count,), generator=generator)
    logits = torch.randn(count, classes, generator=generator) + nn.functional.one_hot(labels, classes)
    return Predictions(logits, labels)


@given(st.integers(0, 999), st.integers(2, 60), st.integers(2, 6))
@settings(max_examples=40, deadline=None)
def test_metrics_equal_those_of_scikit_learn(seed, count, classes):
    found = draw(seed, count, classes)
    ours, truth, chances = metrics(found), found.labels.numpy(), found.probabilities.numpy()
    with np.errstate(all="ignore"):
        assert ours["accuracy"] == pytest.approx(sk.accuracy_score(truth, found.predicted.numpy()))
    present = np.unique(truth)
    recalls = [(found.predicted.numpy()[truth == k] == k).mean() for k in present]
    assert ours["balanced_accuracy"] == pytest.approx(np.mean(recalls), abs=1e-6)
    assert ours["loss"] == pytest.approx(sk.log_loss(truth, chances, labels=range(classes)), rel=1e-4)
    if len(present) == 1:
        assert math.isnan(ours["auc"])
    else:
        areas = [sk.roc_auc_score(truth == k, chances[:, k]) for k in present]
        assert ours["auc"] == pytest.approx(np.mean(areas), abs=1e-5)
    assert (
        found.confusion.tolist()
        == sk.confusion_matrix(truth, found.predicted.numpy(), labels=range(classes)).tolist()
    )


def test_calibration_error_equals_its_definition():
    found = draw(3, 400, 3)
    confidence, right = found.probabilities.max(1).values.numpy(), found.correct.numpy()
    bins = np.minimum((confidence * 10).astype(int), 9)
    gaps = [
        (bins == b).mean() * abs(right[bins == b].mean() - confidence[bins == b].mean()) for b in set(bins)
    ]
    assert metrics(found, bins=10)["calibration_error"] == pytest.approx(sum(gaps), abs=1e-5)


def test_logits_of_a_diverged_training_give_nan_and_no_error():
    logits = torch.full((4, 3), math.nan)
    found = metrics(Predictions(logits, torch.tensor([0, 1, 2, 0])))
    assert found["accuracy"] == 0.5
    assert math.isnan(found["auc"])
    assert math.isnan(found["loss"])


def test_predict_is_the_model_in_evaluation_mode_and_keeps_its_mode():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(9, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    model[2].running_mean += 1
    part = SimpleNamespace(images=torch.randn(10, 1, 3, 3), labels=torch.arange(10) % 4)
    model.train()
    model[3].eval()
    found = predict(model, part, batch_size=3, device="cpu")
    assert [module.training for module in model] == [True, True, True, False]
    wanted = model.eval()(part.images)
    torch.testing.assert_close(found.logits, wanted)
    assert torch.equal(found.correct, wanted.argmax(1) == part.labels)
    assert len(found) == 10


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (torch.zeros(3, 2), torch.zeros(2).long(), r"logits \(3, 2\) and labels \(2,\)"),
        (torch.zeros(3), torch.zeros(3).long(), r"expected \(N, K\)"),
        (torch.zeros(2, 2), torch.tensor([0, 2]), "from 0 to 1"),
        (torch.zeros(2, 2), torch.tensor([0.0, 1.0]), "whole numbers"),
    ],
)
def test_bad_predictions_are_named(logits, labels, message):
    with pytest.raises(ValueError, match=message):
        Predictions(logits, labels)
    with pytest.raises(ValueError, match="bins=0"):
        metrics(draw(0, 5, 2), bins=0)
