"""What is counted: layers with and without sharing, shortcuts of three types."""

import pytest
import torch
from torch import nn

from resnetbook.experiments.principle import identity_cost, sharing


def test_sharing_counts():
    counts = {
        kind: sharing.parameters(kind, sharing.Settings()) for kind in ("convolution", "local", "dense")
    }
    assert counts == {
        "convolution": 16 * 16 * 9 + 16,
        "local": 28 * 28 * (16 * 16 * 9 + 16),
        "dense": (28 * 28 * 16) ** 2 + 28 * 28 * 16,
    }
    with pytest.raises(ValueError, match="kind is 'other'"):
        sharing.layer("other", sharing.Settings())


def test_each_step_is_compared_apart_and_the_steps_multiply():
    found = sharing.run(sharing.Settings(), "ratio", 0, None)
    assert found["local_over_convolution"] == 28 * 28
    assert found["local_minus_convolution"] == (28 * 28 - 1) * 2320
    both = found["dense_over_local"] * found["local_over_convolution"]
    assert both == pytest.approx(found["dense_over_convolution"])


def test_a_locally_connected_layer_with_equal_kernels_is_a_convolution():
    convolution, local = nn.Conv2d(2, 2, 3, padding=1), sharing.LocallyConnected(2, 5, 3)
    x = torch.randn(3, 2, 5, 5)
    with torch.no_grad():
        local.weight.copy_(convolution.weight.view(1, 2, 18).expand_as(local.weight))
        local.bias.copy_(convolution.bias[:, None].expand_as(local.bias))
        torch.testing.assert_close(local(x), convolution(x))
        local.weight[0] += 1
        assert not torch.allclose(local(x), convolution(x))


def test_identity_cost_of_depth_20():
    a, b, c = (
        identity_cost.run(identity_cost.Settings(), f"type-{kind}", 0, None) for kind in ("A", "B", "C")
    )
    assert a["parameters"] == 97_216 * 3 - 21_926  # the closed form for 6n + 2 = 20
    assert (a["parameters_added"], a["multiplications_added"]) == (0, 0)
    # Two projections, each with its batch normalisation; all other shortcuts of type B are identities.
    assert b["parameters_of_projections"] == 16 * 32 + 32 * 64 + 2 * (32 + 64)
    assert b["parameters_added"] == b["parameters_of_projections"]
    assert c["parameters_added"] > b["parameters_added"]
    assert {found["parameters_of_identities"] for found in (a, b, c)} == {0}
    # Three blocks in each stage: 16 maps of 32x32, 32 of 16x16, 64 of 8x8.
    assert {found["additions"] for found in (a, b, c)} == {3 * (16 * 32**2 + 32 * 16**2 + 64 * 8**2)}
