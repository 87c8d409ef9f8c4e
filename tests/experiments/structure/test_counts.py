"""Experiments of section 4 that count or compare: their numbers from closed forms."""

import torch

from resnetbook.experiments.structure import dense_prediction, pooling_parameters, small_kernels


def test_small_kernels_by_the_closed_form():
    settings = small_kernels.Settings()
    for n, arm in zip(settings.stacks, small_kernels.arms(settings), strict=True):
        found = small_kernels.run(settings, arm, 0, None)
        assert found["parameters_ratio"] == found["multiplications_ratio"] == (2 * n + 1) ** 2 / (9 * n)
        assert found["activations_ratio"] == n


def test_only_parallel_and_learned_pooling_have_parameters():
    settings = pooling_parameters.Settings()
    found = {
        arm: pooling_parameters.run(settings, arm, 0, None)["parameters"]
        for arm in pooling_parameters.arms(settings)
    }
    assert {arm: n for arm, n in found.items() if n} == {
        "parallel": 16 * 16 * 4 + 16, "mixed by a learned weight": 1, "mixed by a learned gate": 4,
    }  # fmt: skip


def test_dense_prediction_is_exact_without_padding_alone():
    settings = dense_prediction.Settings()
    generator = torch.Generator().manual_seed(0)
    assert dense_prediction.difference(settings, settings.larger, 0, generator) < 1e-13
    assert dense_prediction.difference(settings, settings.size, 1, generator) < 1e-13
    assert dense_prediction.difference(settings, settings.larger, 1, generator) > 1e-2
