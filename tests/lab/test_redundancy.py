"""Rank, correlation, alignment and novelty on features whose answer is known; budgets of C32 and C33 hold."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from resnetbook.experiments import experiment
from resnetbook.experiments.timeline import dual_path, redundancy
from resnetbook.lab.data import ImageSet, Part
from resnetbook.principle.counting import count


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
    assert redundancy.effective_rank(x * torch.tensor([1e-3, 1, 10, 1e3, 5]) + 7) == pytest.approx(5)
    assert redundancy.effective_rank(torch.cat([x, -2 * x], 1)) == pytest.approx(5)
    assert redundancy.effective_rank(x[:, :1].expand(-1, 4)) == pytest.approx(1)
    assert redundancy.effective_rank(torch.ones(10, 3)) == 0


def test_effective_rank_of_two_correlated_columns_is_the_closed_form():
    torch.manual_seed(1)
    a, b = columns(2).T
    rho = 0.6
    mixed = torch.stack([a, rho * a + (1 - rho**2) ** 0.5 * b], 1)
    p, q = (1 + rho) / 2, (1 - rho) / 2
    entropy = -p * torch.tensor(p).log() - q * torch.tensor(q).log()
    assert redundancy.effective_rank(mixed) == pytest.approx(float(entropy.exp()))
    assert redundancy.mean_correlation(mixed) == pytest.approx(rho)


def test_mean_correlation_leaves_out_columns_that_do_not_vary():
    torch.manual_seed(2)
    x = columns(1)
    assert redundancy.mean_correlation(torch.cat([x, -x, torch.zeros_like(x)], 1)) == pytest.approx(1)
    assert redundancy.mean_correlation(columns(3)) == pytest.approx(0, abs=1e-9)
    assert redundancy.mean_correlation(x) == 0


def test_alignment_is_one_up_to_a_turn_and_small_for_strangers():
    torch.manual_seed(3)
    x = columns(6)
    turn = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64))[0]
    both = redundancy.standardised(x) @ turn  # still uncorrelated, so that standardising changes no direction
    assert redundancy.linear_cka(x, both) == pytest.approx(1)
    assert redundancy.linear_cka(x[:, :3], x[:, 3:]) == pytest.approx(0, abs=1e-9)


def test_new_share_is_what_no_linear_function_gives():
    torch.manual_seed(4)
    x = columns(6)
    read, stranger = x[:, :4], x[:, 4:5]
    known = read @ torch.randn(4, 1, dtype=torch.float64)
    known = known / known.norm()
    assert redundancy.new_share(read, known) == pytest.approx(0, abs=1e-9)
    assert redundancy.new_share(read, stranger) == pytest.approx(1)
    half = known + stranger / stranger.norm()
    assert redundancy.new_share(torch.cat([read, read], 1), half) == pytest.approx(0.5)


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
def test_parameters_of_c33_and_multiplications_of_c32_are_equal_within_five_per_cent(scale):
    settings = experiment("redundancy").scales[scale]
    data = images(1 if settings.data == "digits" else 3)
    sizes = [
        sum(p.numel() for p in redundancy.network(settings, arm, data).parameters())
        for arm in redundancy.arms(settings)
    ]
    assert max(sizes) <= 1.05 * min(sizes)
    found = experiment("dual_path")
    for each in (found.scales[scale], *found.variants.get(scale, ())):
        size = {"digits": 8, "pneumoniamnist": 16, "cifar10_jpeg": 32}[each.data]
        classes = 2 if each.data == "pneumoniamnist" else 10
        data = images(3 if each.data == "cifar10_jpeg" else 1, size, classes)
        shape = tuple(data.train.images.shape[1:])
        macs = [
            count(dual_path.network(each, arm, data), shape).multiplications for arm in dual_path.arms(each)
        ]
        assert max(macs) <= 1.05 * min(macs)


def test_without_the_limits_three_arms_are_left():
    settings = dataclasses.replace(dual_path.Settings(), limits=False)
    assert dual_path.arms(settings) == ("dpn", "resnet", "densenet")
