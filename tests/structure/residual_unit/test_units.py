"""What every unit has in common: its form, that it drops into one network, that its gradient is split unasked."""

import pytest
import torch
from torch import nn

from resnetbook import survey
from resnetbook.principle.gradient_flow import GradientFlow
from resnetbook.structure.residual_unit import NAMES, CrossConnectedUnit, make_units

MAPS = [m.id.removeprefix("4.3.") for m in survey.methods() if m.id.startswith("4.3.")]


def test_names_are_those_of_the_surveys_map():
    assert list(NAMES) == ["basic", *MAPS]


@pytest.mark.parametrize("name", NAMES)
def test_shape_is_kept_and_a_silent_branch_hands_x_on(name):
    torch.manual_seed(0)
    units = make_units(name, 8, 2, **({"outer": True} if name == "cross-connected" else {})).eval()
    x = torch.rand(2, 8, 5, 7)
    assert units(x).shape == x.shape
    with torch.no_grad():
        for module in units.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.zero_()
    torch.testing.assert_close(units(x), x)  # x is not negative: behind the basic block stands a ReLU


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_is_split_without_naming_blocks(name):
    torch.manual_seed(1)
    units, x = make_units(name, 4, 2), torch.randn(2, 4, 5, 5, requires_grad=True)
    with GradientFlow(units) as flow:
        units(x).square().sum().backward()
    assert flow.blocks == ["0", "1"]
    torch.testing.assert_close(flow.split["0"].total, x.grad)
    parts = flow.split["0"].identity, flow.split["0"].residual
    torch.testing.assert_close(sum(parts[1:], parts[0]), x.grad)
    assert parts[1].abs().sum() > 0
    assert bool(parts[0].abs().sum() > 0) == (name != "cross-connected"), "that block hands on no x"


@pytest.mark.parametrize("name", MAPS)
def test_gradients_by_finite_differences(name):
    torch.manual_seed(2)
    unit = make_units(name, 2, 1).double().eval()
    x = torch.randn(1, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(unit, (x,))


@pytest.mark.parametrize("name", MAPS)
def test_maps_of_another_form_are_refused(name):
    with pytest.raises(ValueError, match=r"x of shape \(1, 3, 4, 4\): expected \(N, 2, H, W\)"):
        make_units(name, 2, 1)(torch.zeros(1, 3, 4, 4))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: make_units("dense", 4, 1), "name='dense': expected one of basic"),
        (lambda: make_units("basic", 0, 1), "channels=0"),
        (lambda: make_units("multi-task", 4, 1, spread=1), "'multi-task' has no such setting"),
        (lambda: make_units("multi-branch", 4, 1, spread=-1), "spread=-1"),
        (lambda: make_units("multi-scale", 4, 1, kernel_sizes=(2,)), r"kernel_sizes=\(2,\): expected odd"),
        (lambda: make_units("multi-scale", 4, 1, widths=(1, 2)), r"widths=\(1, 2\): expected 3"),
        (lambda: make_units("multi-task", 4, 1, tasks=-1), "tasks=-1"),
        (
            lambda: CrossConnectedUnit(4, in_channels=2, outer=True),
            "expected in_channels=2 to equal channels=4",
        ),
        (lambda: CrossConnectedUnit(4, kernels=(1, 3)), "expected six odd sides"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
