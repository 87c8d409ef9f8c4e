"""Rank, correlation, alignment and novelty on features whose answer is known; the budget of C33 holds."""

from __future__ import annotations

import pytest
import torch

from resnetbook.experiments.timeline import _features, redundancy
from resnetbook.lab.data import ImageSet, Part
from resnetbook.lab.running import Context


def images(channels: int = 1, size: int = 8, classes: int = 10) -> ImageSet:
    part = Part(torch.randn(4, channels, size, size), torch.arange(4))
    names = tuple(map(str, range(classes)))
    return ImageSet("noise", part, part, part, names, "", "", "", "")


def columns(count: int, rows: int = 4000) -> torch.Tensor:
    """Return orthogonal columns with mean 0."""
    raw = torch.randn(rows, count, dtype=torch.float64)
    return torch.linalg.qr(raw - raw.mean(0))[0]


def test_effective_rank_counts_independent_columns_whatever_their_scale():
    torch.manual_seed(0)
    x = columns(5)
    assert _features.effective_rank(x * torch.tensor([1e-3, 1, 10, 1e3, 5]) + 7) == pytest.approx(5)
    assert _features.effective_rank(torch.cat([x, -2 * x], 1)) == pytest.approx(5)
    assert _features.effective_rank(x[:, :1].expand(-1, 4)) == pytest.approx(1)
    assert _features.effective_rank(torch.ones(10, 3)) == 0


def test_effective_rank_of_two_correlated_columns_is_the_closed_form():
    torch.manual_seed(1)
    a, b = columns(2).T
    rho = 0.6
    mixed = torch.stack([a, rho * a + (1 - rho**2) ** 0.5 * b], 1)
    p, q = (1 + rho) / 2, (1 - rho) / 2
    entropy = -p * torch.tensor(p).log() - q * torch.tensor(q).log()
    assert _features.effective_rank(mixed) == pytest.approx(float(entropy.exp()))
    assert _features.mean_correlation(mixed) == pytest.approx(rho)


def test_mean_correlation_leaves_out_columns_that_do_not_vary():
    torch.manual_seed(2)
    x = columns(1)
    assert _features.mean_correlation(torch.cat([x, -x, torch.zeros_like(x)], 1)) == pytest.approx(1)
    assert _features.mean_correlation(columns(3)) == pytest.approx(0, abs=1e-9)
    assert _features.mean_correlation(x) == 0


def test_alignment_is_one_up_to_a_turn_and_small_for_strangers():
    torch.manual_seed(3)
    x = columns(6)
    turn = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64))[0]
    both = _features.standardised(x) @ turn  # still uncorrelated, so that standardising changes no direction
    assert _features.linear_cka(x, both) == pytest.approx(1)
    assert _features.linear_cka(x[:, :3], x[:, 3:]) == pytest.approx(0, abs=1e-9)


def test_new_share_is_what_no_linear_function_gives():
    torch.manual_seed(4)
    x = columns(6)
    read, stranger = x[:, :4], x[:, 4:5]
    known = read @ torch.randn(4, 1, dtype=torch.float64)
    known = known / known.norm()
    assert _features.new_share(read, known) == pytest.approx(0, abs=1e-9)
    assert _features.new_share(read, stranger) == pytest.approx(1)
    half = known + stranger / stranger.norm()
    assert _features.new_share(torch.cat([read, read], 1), half) == pytest.approx(0.5)


@pytest.mark.parametrize("arm", redundancy.arms(redundancy.Settings()))
def test_a_state_that_is_read_becomes_the_next_by_what_is_written(arm):
    torch.manual_seed(5)
    net = redundancy.network(redundancy.Settings(), arm, images())
    found = list(redundancy.features_of(net, torch.randn(3, 1, 8, 8)).values())
    read, written = found[0]
    following = found[1][0]
    if arm in ("densenet", "concat"):
        assert torch.equal(following[:, -written.shape[1] :], written)
    elif arm == "resnet":
        assert torch.allclose(following, torch.relu(read + written))
    else:
        assert torch.allclose(found[2][0], found[1][0] + found[1][1])


@pytest.mark.parametrize("scale", ["quick", "full"])
def test_parameters_are_equal_within_five_per_cent(scale):
    found = redundancy.EXPERIMENT
    for settings in (found.scales[scale], *found.variants.get(scale, ())):
        data = images(3 if settings.data == "cifar10_jpeg" else 1)
        sizes = [
            sum(p.numel() for p in redundancy.network(settings, arm, data).parameters())
            for arm in redundancy.arms(settings)
        ]
        assert max(sizes) <= 1.05 * min(sizes)


def test_what_was_learned_is_the_trained_network_against_its_own_first_weights(tmp_path):
    """Training at a rate of nearly nothing leaves the features of the first weights."""
    settings = redundancy.Settings(epochs=1, train_size=100, images=60, batch_size=20, blocks=1)
    still, moved = (
        redundancy.run(
            settings, "sum", 3, Context("cpu", tmp_path / f"{rate}.pt", tuned={"learning_rate": rate})
        )
        for rate in (1e-9, 0.1)
    )
    for name in ("rank_read", "new", "cka"):
        assert moved[f"{name}_start"] == still[f"{name}_start"]
        assert moved[f"{name}_learned"] == moved[name] - moved[f"{name}_start"]
        assert abs(still[f"{name}_learned"]) < 1e-4
    assert abs(moved["rank_read_learned"]) > 1e-3
