"""Multi-task unit: one encoding whose gradient is the weighted sum of its readers'."""

import copy

import pytest
import torch
from torch import nn

from resnetbook.structure.residual_unit import MultiTaskNet, MultiTaskUnit, PreActivationUnit

X = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))


def net():
    torch.manual_seed(0)
    trunk = nn.Sequential(MultiTaskUnit(4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return MultiTaskNet(trunk, {"mask": nn.Linear(4, 3), "box": nn.Linear(4, 2)}).double()


def gradients(model, weight):
    model.zero_grad()
    answers = model(X.double())
    loss = answers["mask"].square().sum() + weight * answers["box"].square().sum()
    loss.backward()
    return torch.cat([p.grad.flatten() for p in model.trunk[0].shared.parameters()])


def test_the_trunks_gradient_is_the_weighted_sum():
    model = net()
    both, first = gradients(model, 0.3), gradients(model, 0.0)
    second = gradients(model, 1.0) - first
    torch.testing.assert_close(both, first + 0.3 * second)
    assert second.abs().max() > 1e-3


def test_a_task_of_weight_zero_changes_no_bit_of_a_step():
    model, alone = net(), net()
    gradients(model, 0.0)
    alone(X.double())["mask"].square().sum().backward()
    for ours, theirs in zip(model.trunk.parameters(), alone.trunk.parameters(), strict=True):
        assert (ours.grad is None and theirs.grad is None) or torch.equal(ours.grad, theirs.grad)


def test_heads_do_not_see_each_other():
    model = net()
    before = model(X.double())["mask"]
    with torch.no_grad():
        model.heads["box"].weight.add_(1)
    assert torch.equal(model(X.double())["mask"], before)


def test_adapters_start_at_nothing_and_are_each_tasks_own():
    torch.manual_seed(1)
    unit = MultiTaskUnit(4, 2).eval()
    h = unit(X)
    assert torch.equal(unit.for_task(h, 0), h)
    with torch.no_grad():
        unit.adapters[0].weight.copy_(torch.eye(4)[:, :, None, None])
    torch.testing.assert_close(unit.for_task(h, 0), 2 * h)
    assert torch.equal(unit.for_task(h, 1), h)


def test_without_tasks_it_is_the_pre_activation_unit():
    torch.manual_seed(2)
    unit, plain = MultiTaskUnit(4, 0), PreActivationUnit(4)
    plain.layers.load_state_dict(copy.deepcopy(unit.shared.state_dict()))
    assert torch.equal(unit.eval()(X), plain.eval()(X))
    assert sum(p.numel() for p in unit.parameters()) == sum(p.numel() for p in plain.parameters())


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="task=2: expected 0 to 1"):
        MultiTaskUnit(4).for_task(X, 2)
    with pytest.raises(ValueError, match="expected at least one task"):
        MultiTaskNet(nn.Identity(), {})
