"""The measures of adjustments, on changes whose size is known."""

import pytest
import torch

from resnetbook.experiments.principle import adjustment
from resnetbook.lab import fitting
from resnetbook.principle.twins import TwinNet

SETTINGS = adjustment.Settings(depth=8, widths=(2, 4, 8))


def build(residual):
    torch.manual_seed(0)
    return TwinNet(8, widths=(2, 4, 8), residual=residual)


def grow_branches(model, factor):
    with torch.no_grad():
        for _, block in model.blocks:
            block.bn2.weight.mul_(factor)
            for convolution in (block.conv1, block.conv2):
                convolution.weight.mul_(1.25)


def test_the_first_step_is_that_of_each_convolution():
    model = build(False)
    seen = adjustment.Adjustments(model, torch.rand(6, 1, 8, 8))
    grow_branches(model, 1.0)
    seen.on_step_end(0, model, None)
    assert seen.first_step == pytest.approx([0.25] * 6)
    grow_branches(model, 1.0)
    seen.on_step_end(1, model, None)
    assert seen.first_step == pytest.approx([0.25] * 6)


def test_a_plain_block_changes_as_its_branch_does():
    model = build(False)
    seen = adjustment.Adjustments(model, torch.rand(6, 1, 8, 8))
    grow_branches(model, 1.5)
    seen.on_epoch_end(0, model, {})
    assert seen.own_curve == pytest.approx([0.0])
    assert seen.curve == pytest.approx([0.0])


def test_in_a_residual_block_the_change_of_f_is_larger_by_the_size_of_h():
    """One block grows its branch, so no input moves: F changes by a half of itself, H by as much."""
    model = build(True)
    x = torch.rand(6, 1, 8, 8)
    seen = adjustment.Adjustments(model, x)
    _name, last = model.blocks[-1]
    with torch.no_grad():
        last.bn2.weight.mul_(1.5)
    (f, h), (f_new, h_new) = seen.before[-1], seen.look()[-1]
    assert float((f_new - f).norm() / f.norm()) == pytest.approx(0.5, rel=1e-4)
    torch.testing.assert_close(f_new - f, h_new - h, atol=1e-5, rtol=1e-4)
    ratio = float((f_new - f).norm() / f.norm() / ((h_new - h).norm() / h.norm()))
    assert ratio == pytest.approx(float(h.norm() / f.norm()), rel=1e-4)
    assert ratio != pytest.approx(1.0, abs=0.01)


def test_looking_leaves_no_trace():
    model = build(True)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    adjustment.Adjustments(model, torch.rand(6, 1, 8, 8)).look()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training


def test_twins_start_from_the_same_weights():
    data, nets = fitting.images_of(SETTINGS, 0), []
    for arm in adjustment.arms(SETTINGS):
        torch.manual_seed(3)
        nets.append(adjustment.network(SETTINGS, arm, data).eval())
    plain, residual = (net.state_dict() for net in nets)
    assert all(torch.equal(value, residual[name]) for name, value in plain.items())
    assert plain.keys() == residual.keys()
    assert not torch.allclose(*(net(data.test.images[:4]) for net in nets))
